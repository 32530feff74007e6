"""A database that is away, busy, or not what the code expects: said so before the first write."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.errors import SchemaDiffers
from pima.store import schema
from pima.store.engine import writing
from pima.store.tables import TABLES
from tests.support.databases import Database, call, free_port, insert_patients, the_json
from tests.support.every_command import EVERY_COMMAND, SECRET, wrong
from tests.support.patient_files import GOOD, HEADER, write
from tests.support.shell import in_a_shell
from tests.support.shipped import SHIPPED

Command = tuple[str, ...]

# The scheduler itself only looks at the schema; its children meet the rest.
WORKING: list[Command] = [
    ("migrate",),
    ("load", "patients.csv"),
    ("score",),
    ("retrain",),
    ("models", "rollback", "--reason", "a try"),
    ("requeue",),
]
working = pytest.mark.parametrize("command", WORKING, ids=lambda command: command[0])


def _state(database: Database) -> dict[str, int]:
    """Rows of every table that is there."""
    with writing(database.engine) as connection:
        there = "SELECT name FROM sqlite_master WHERE type = 'table'"
        if database.kind == "postgresql":
            there = (
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                "'public'::regnamespace"
            )
        names = set(connection.execute(text(there)).scalars())
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in sorted(names)
        }


def _given_file(command: Command, folder: Path) -> Command:
    """The command with its file, where it takes one."""
    return tuple(
        write(folder, HEADER, GOOD) if part == "patients.csv" else part for part in command
    )


def _refused_before_any_write(
    database: Database, command: Command, folder: Path, *named: str
) -> None:
    before = _state(database)
    command = _given_file(command, folder)
    wrong(call(database, *command), *named)
    assert _state(database) == before


# ---- the schema


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: command[0])
def test_a_renamed_column_stops_every_command_and_is_named(
    sqlite: Database, tmp_path: Path, command: Command
) -> None:
    sqlite.execute("ALTER TABLE patients RENAME COLUMN glucose TO sugar")
    _refused_before_any_write(sqlite, command, tmp_path, "patients.glucose")


def test_a_missing_schema_is_told_without_the_database_s_password(
    database: Database, tmp_path: Path
) -> None:
    database.remove_schema()
    _refused_before_any_write(database, ("score",), tmp_path, schema.HEAD, "python -m jobs.migrate")
    url = make_url(database.url)
    shown = url.set(password=SECRET) if database.kind == "postgresql" else url
    ended = call(None, "score", DATABASE_URL=shown.render_as_string(hide_password=False))
    wrong(ended, str(url.database), "DATABASE_URL")


def test_a_schema_that_is_ahead_is_told(sqlite: Database, tmp_path: Path) -> None:
    sqlite.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in ("score", "migrate"):
        _refused_before_any_write(sqlite, (command,), tmp_path, "9999", schema.HEAD)


def test_a_column_that_is_missing_from_any_table_is_named(database: Database) -> None:
    for table in TABLES:
        column = list(table.columns)[-1].name
        database.execute(f"ALTER TABLE {table.name} RENAME COLUMN {column} TO something_else")
        with pytest.raises(SchemaDiffers, match=rf"{table.name}\.{column}"):
            schema.require_schema(database.engine)
        database.execute(f"ALTER TABLE {table.name} RENAME COLUMN something_else TO {column}")


def test_migrate_mends_a_missing_schema_and_the_command_works(database: Database) -> None:
    database.remove_schema()
    ended = call(database, "migrate", "--json")
    assert (ended.exit_code, the_json(ended)) == (
        0,
        {"revision_before": None, "revision": schema.HEAD},
    )
    assert call(database, "score").exit_code == 0
    assert the_json(call(database, "migrate", "--json"))["revision_before"] == schema.HEAD


# ---- away


@pytest.mark.parametrize(
    "command", [*WORKING, ("status",), ("scheduler",)], ids=lambda command: command[0]
)
def test_a_server_that_is_not_there_is_to_be_tried_again(tmp_path: Path, command: Command) -> None:
    url = f"postgresql+psycopg://doctor:{SECRET}@127.0.0.1:{free_port()}/clinic"
    ended = call(None, *_given_file(command, tmp_path), "--json", DATABASE_URL=url)
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_away")
    assert SECRET not in ended.stdout + ended.stderr


@working
def test_a_file_that_someone_else_holds_is_to_be_tried_again(
    sqlite: Database, tmp_path: Path, command: Command
) -> None:
    insert_patients(sqlite, 1)
    before = _state(sqlite)
    sqlite.engine.dispose()
    holder = sqlite3.connect(make_url(sqlite.url).database or "", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    ended = call(
        sqlite, *_given_file(command, tmp_path), "--json", PIMA_DATABASE__LOCK_TIMEOUT_SECONDS="1"
    )
    holder.execute("ROLLBACK")
    holder.close()
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_busy"), ended.stderr
    assert _state(sqlite) == before


@pytest.mark.time_limit
def test_a_table_that_someone_else_has_locked_is_to_be_tried_again(
    postgresql: Database, tmp_path: Path
) -> None:
    insert_patients(postgresql, 1)
    file = write(tmp_path, HEADER, GOOD)
    with postgresql.engine.begin() as holder:
        holder.execute(text("LOCK TABLE patients IN ACCESS EXCLUSIVE MODE"))
        for command in (("load", file), ("requeue",)):
            ended = call(postgresql, *command, "--json", PIMA_DATABASE__LOCK_TIMEOUT_SECONDS="1")
            assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_busy"), (
                ended.stderr
            )
    assert postgresql.value("SELECT count(*) FROM loads") == 0


def test_a_database_without_room_says_so_and_keeps_what_was_committed(
    sqlite: Database, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 10)
    size = Path(make_url(sqlite.url).database or "").stat().st_size
    end = f"; ulimit -f {size // 1024 + 40}; {sys.executable} -m jobs.load --json --again {file}"
    ended = in_a_shell(sqlite, "load", "--json", str(SHIPPED), end=end)
    told = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, told["error"]) == (1, "database_full"), ended.stderr
    assert "Make room" in told["message"]
    assert sqlite.value("SELECT count(*) FROM patients") == 768
