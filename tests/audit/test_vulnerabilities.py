"""What `make audit` says with a database and without one: a server that answers as OSV does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.audit.vulnerabilities import NotLookedUp, known
from tests.support.databases import free_port

AFFECTED = {
    "id": "PYSEC-2021-66",
    "aliases": ["CVE-2020-28493"],
    "summary": "A slow expression.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.11.3"}]}],
        }
    ],
}


@contextmanager
def osv(vulnerabilities: dict[str, Any]) -> Iterator[list[str]]:
    """The options that name it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = vulnerabilities.get(asked["package"]["name"], [])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": found} if found else {}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield options(server.server_port)
    server.shutdown()
    server.server_close()


def options(port: int) -> list[str]:
    return ["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{port}/v1/query"]


def test_a_known_vulnerability_is_told_with_the_version_that_mends_it(tmp_path: Path) -> None:
    packages = tmp_path / "packages.txt"
    packages.write_text("jinja2==2.11.0\nsix==1.17.0\n")
    with osv({"jinja2": [AFFECTED]}) as database:
        assert known(database, packages) == [
            "jinja2 2.11.0: PYSEC-2021-66 (CVE-2020-28493), mended in 2.11.3"
        ]


def test_where_a_database_knows_of_none_there_is_none() -> None:
    with osv({}) as database:
        assert known(database) == []


def test_without_a_database_none_found_is_not_said() -> None:
    with pytest.raises(NotLookedUp):
        known(options(free_port()))
