"""The tests of roles, triggers and a pool on Debian's PostgreSQL, the oldest from 14 on: `make
server-test`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = 14
TESTS = (
    "tests/jobs/roles/test_roles.py",
    "tests/store/triggers/test_triggers.py",
    "tests/store/triggers/test_planted.py",
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
    environ = os.environ | {"PIMA_TEST_POSTGRESQL": str(PLACE / str(min(usable)) / "bin")}
    return subprocess.run([sys.executable, "-m", "pytest", *TESTS], env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
