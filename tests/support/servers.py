"""A PostgreSQL server of programs that are there, in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server_of(programs: Path) -> Iterator[str]:
    """The URL of a new server of these programs; it and its folder are gone at the end."""
    # A socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pima-server-"))
    data, owner = folder / "data", None
    if os.geteuid() == 0:
        owner = "nobody"  # PostgreSQL refuses to run as root
        shutil.chown(folder, owner)

    def run(program: str, *arguments: str) -> None:
        command = [programs / program, "-D", data, *arguments]
        subprocess.run(command, check=True, user=owner, cwd=folder, stdout=quiet)

    try:
        with (folder / "log").open("wb") as quiet:
            run(
                "initdb",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            )
            run("pg_ctl", "start", "-w", "-o", f"-k {folder} -c listen_addresses= -c fsync=off")
            try:
                yield f"postgresql://postgres:@/postgres?host={folder}"
            finally:
                run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder)
