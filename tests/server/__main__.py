"""The tests of roles, triggers and a pool on Debian's PostgreSQL, the oldest from 14 on: `make
server-test`."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OLDEST = 14
TESTS = (
    "tests/jobs/test_roles.py",
    "tests/store/test_triggers.py",
    "tests/store/test_planted.py",
    "tests/server/test_pool.py",
)
PLACE = Path("/usr/lib/postgresql")


def main() -> int:
    there = [int(path.parents[1].name) for path in PLACE.glob("*/bin/initdb")]
    usable = [version for version in there if version >= OLDEST]
    if not usable or shutil.which("pgbouncer") is None:
        print(
            f"it needs PostgreSQL in {PLACE}, and PgBouncer: apt-get install postgresql pgbouncer",
            file=sys.stderr,
        )
        return 2
    print(f"on PostgreSQL {min(usable)}", flush=True)
    with _server(PLACE / str(min(usable)) / "bin") as url:
        environ = os.environ | {"PIMA_TEST_DATABASE_URL": url}
        # One process: two would make the server's roles at once.
        return subprocess.run([sys.executable, "-m", "pytest", *TESTS], env=environ).returncode


@contextmanager
def _server(programs: Path) -> Iterator[str]:
    """The URL of a new server in a folder of its own, both gone at the end."""
    # A socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pima-server-"))
    data, owner = folder / "data", None
    if os.geteuid() == 0:
        owner = "postgres"  # of the package: PostgreSQL refuses to run as root
        shutil.chown(folder, owner)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, "-D", data, *arguments],
            check=True,
            user=owner,
            cwd=folder,
            stdout=quiet,
        )

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


if __name__ == "__main__":
    sys.exit(main())
