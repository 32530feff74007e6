"""Dump a database of each kind as this release makes it, into tests/releases/VERSION: `python -m
tests.releases`.

Done once a release, and again if it changes before its tag. Every later one migrates, pulls into,
scores and retrains these (tests/jobs/databases/test_releases.py).
"""

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pima.store.schema import migrate
from tests.releases.making import version_of
from tests.releases.packages import git
from tests.support.clinic import Clinic, clinic_at
from tests.support.databases import (
    NEWEST_PROGRAMS,
    Database,
    call,
    for_programs,
    postgresql_from,
    postgresql_server,
    sqlite_from,
)
from tests.support.shipped import HOLDOUT, ROOT, SHIPPED

FOLDER = Path(__file__).parent


def main() -> None:
    version = version_of(ROOT)
    if git("tag", "--list", f"v{version}"):
        sys.exit(
            f"{version} is released, and its dumps stay as they are: expected the next version"
        )
    folder = FOLDER / version
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for database in sqlite_from(None, Path(scratch)):
            _live(database, Path(scratch))
            database.engine.dispose()
            path = Path(str(database.engine.url.database))
            (folder / "sqlite.db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    with tempfile.TemporaryDirectory() as scratch, postgresql_server() as server:
        for database in postgresql_from(server, "template1"):
            _live(database, Path(scratch))
            run_program(
                "pg_dump",
                database,
                "--format=custom",
                "--no-owner",
                "--file",
                folder / "postgresql.dump",
            )
    print(folder)


def visits(folder: Path) -> Clinic:
    """The clinic's table as it was when the dumps were made."""
    clinic = next(clinic_at("sqlite", f"sqlite:///{folder / 'clinic.db'}", folder))
    clinic.insert(40)
    clinic.insert(40, seed=2, diabetic="yes")
    return clinic


def _live(database: Database, folder: Path) -> None:
    """Labelled rows, a champion, a pulled source, predictions; corrected, labelled, rejected and
    waiting rows."""
    migrate(database.engine, HOLDOUT)
    _succeed(database, "load", str(SHIPPED))
    _succeed(database, "retrain")
    clinic = visits(folder)
    clinic.pulled(database)
    database.execute(
        "INSERT INTO patients (id, glucose, bmi) VALUES (5000, 120, 5000), (5001, 120, 30), "
        "(5002, 99, 25)"
    )
    _succeed(database, "score")
    database.execute("UPDATE patients SET age = 44 WHERE source IS NOT NULL AND id % 7 = 0")
    database.execute("UPDATE patients SET outcome = 0 WHERE id = 5001")


def _succeed(database: Database, job: str, *arguments: str) -> None:
    ended = call(database, job, *arguments)
    assert ended.exit_code == 0, ended.stderr


def restore(database: Database, version: str) -> None:
    """Fill an empty PostgreSQL database with the dump of a release."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        dump = FOLDER / version / "postgresql.dump"
        # The dump is of the newest server, and no earlier pg_restore reads it.
        restores = str(NEWEST_PROGRAMS / "pg_restore")
        run_program(restores, database, "--no-owner", f"--file={script.name}", dump)
        # It sets what servers before PostgreSQL 17 don't know.
        sql = Path(script.name).read_text().replace("SET transaction_timeout = 0;\n", "", 1)
        Path(script.name).write_text(sql)
        run_script(database, Path(script.name))


def run_script(database: Database, script: Path) -> None:
    run_program("psql", database, "--quiet", "--set=ON_ERROR_STOP=1", "--file", script)


def run_program(program: str, database: Database, *arguments: str | Path) -> None:
    """Run a program of PostgreSQL's on a database."""
    subprocess.run(
        [program, *arguments],
        env=os.environ | for_programs(database.url),
        stdout=subprocess.DEVNULL,
        check=True,
    )


if __name__ == "__main__":
    main()
