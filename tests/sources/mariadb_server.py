"""A MariaDB of the tests' own, from Debian's package mariadb-server, in a folder that goes with
it."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.databases import PATIENCE_SECONDS, free_port

# Where Debian keeps what only an administrator runs.
_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
_PLAIN = ("--no-defaults", f"--user={getpass.getuser()}")


@dataclass
class Server:
    """A server that can be stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def door(self) -> Path:
        """The socket through which its administrator comes in without a password."""
        return self.folder / "socket"

    def start(self) -> None:
        """Return once it answers."""
        command = [
            *_found("mariadbd"),
            *_PLAIN,
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.door}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)

    def stop(self) -> None:
        """Return once it has ended."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)

    def execute(self, *statements: str) -> None:
        """As its administrator."""
        engine = create_engine(f"mysql+pymysql://root@/mysql?unix_socket={self.door}")
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def _answers(self) -> bool:
        # Not by the driver, which leaves its socket open where nobody answers.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.door)) == 0


@contextmanager
def running_server() -> Iterator[Server]:
    """From an empty folder; all of it is gone afterwards."""
    # A socket's path has a hundred characters at most.
    folder = Path(tempfile.mkdtemp(prefix="pima-mariadb-"))
    server = Server(folder)
    try:
        made = [*_found("mariadb-install-db"), *_PLAIN, f"--datadir={folder / 'data'}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(
            [*made, *options], check=True, capture_output=True, env=os.environ | {"PATH": _PATH}
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _found(command: str) -> list[str]:
    path = shutil.which(command, path=_PATH)
    if path is None:
        pytest.exit(f"there is no {command}: apt-get install mariadb-server", returncode=2)
    return [path]
