"""A pull through Debian's PgBouncer, which gives each transaction any free session, or a client one
for its time."""

import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.clinic import Clinic
from tests.support.databases import Database, free_port, wait_for


@pytest.mark.parametrize(("mode", "exit_code"), [("transaction", 2), ("session", 0)])
def test_no_row_is_staged_in_a_session_that_a_pool_gives_to_others(
    postgresql: Database, sqlite_clinic: Clinic, tmp_path: Path, mode: str, exit_code: int
) -> None:
    sqlite_clinic.insert(30)
    place, port, settings = postgresql.engine.url, free_port(), tmp_path / "pgbouncer.ini"
    folder = Path(str(place.query["host"]))
    settings.write_text(f"""
        [databases]
        pooled = host={folder} dbname={place.database} user={place.username}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = {mode}""")
    # It refuses to be root.
    command = ["pgbouncer", "-q", "-u", folder.owner(), "/dev/stdin"]
    with (
        settings.open() as said,
        subprocess.Popen(command, stdin=said, stderr=subprocess.DEVNULL, text=True) as pool,
    ):
        wait_for(lambda: _listens(port), pool)
        ended = sqlite_clinic.pull(
            replace(postgresql, url=f"postgresql://someone@127.0.0.1:{port}/pooled")
        )
        left = postgresql.execute("SELECT relname FROM pg_class WHERE relname LIKE 'pima_staging%'")
        pool.kill()
    assert (ended.exit_code, left) == (exit_code, []), ended.stderr


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
