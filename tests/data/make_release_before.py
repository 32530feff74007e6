"""Makes `release_before.db.gz`: what an installation of an earlier release looks like to this one.

    git worktree add /tmp/before COMMIT
    python -m tests.data.make_release_before /tmp/before

The code of that folder did all that is in it: it loaded the shipped rows, the first 300 before the first
retraining, promoted versions 1 and 2, rolled 2 back, and retrained once more, which blocked version 3, made of the same
data by the same settings. The file in the repository was made by commit 1abb3bb.
"""

import gzip
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import SALT, SHIPPED, clean_environ

FILE = Path(__file__).with_name("release_before.db.gz")


def main(release: Path) -> None:
    """Drive the commands of the release that lies in the folder."""
    lines = SHIPPED.read_text().splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = folder / "first.csv", folder / "second.csv"
        first.write_text("".join(lines[:300]))
        second.write_text("".join(lines[300:]))
        environ = clean_environ() | {"DATABASE_URL": f"sqlite:///{folder}/pima.db", "PIMA_HOLDOUT__SALT": SALT}
        for variables, command in (
            ({}, ("migrate",)),
            ({}, ("load", str(first))),
            ({"PIMA_RETRAIN__NETWORK": "article"}, ("retrain",)),
            ({}, ("load", str(second))),
            ({}, ("retrain",)),
            ({}, ("models", "rollback", "--reason", "the ward disagrees")),
            ({}, ("retrain",)),
        ):
            subprocess.run(
                [sys.executable, "-m", f"jobs.{command[0]}", *command[1:]],
                cwd=release,
                env=environ | variables,
                check=True,
            )
        with sqlite3.connect(folder / "pima.db") as database:
            moves = database.execute("SELECT verdict, reason, from_version, to_version FROM promotions").fetchall()
            database.execute("VACUUM")
        database.close()
        print(*moves, sep=os.linesep)
        FILE.write_bytes(gzip.compress((folder / "pima.db").read_bytes(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
