"""What somebody has changed in the database by hand, undone as docs/do/repair-the-database.md
says."""

import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.shipped import ROOT

FUNCTION = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
BY_HAND = {
    "row security": (
        "ALTER TABLE predictions ENABLE ROW LEVEL SECURITY",
        {"table": "predictions"},
    ),
    "has a rule": (
        "CREATE RULE nothing AS ON INSERT TO rejections DO INSTEAD NOTHING",
        {"rule": "nothing", "table": "rejections"},
    ),
    "lacks its primary key": (
        "ALTER TABLE predictions DROP CONSTRAINT pk_predictions",
        {"table": "predictions", "columns": "patient_id, patient_version, model_version"},
    ),
    "has child tables": (
        "CREATE TABLE patients_elsewhere () INHERITS (patients)",
        {"child": "patients_elsewhere", "table": "patients"},
    ),
    "fires after": (
        (
            f"{FUNCTION}; CREATE TRIGGER zzzz BEFORE INSERT ON patients FOR EACH ROW EXECUTE FUNCTION "
            "other()"
        ),
        {"trigger": "zzzz"},
    ),
    "could change or drop": (
        (
            f"{FUNCTION}; CREATE TRIGGER drops BEFORE INSERT ON predictions FOR EACH ROW EXECUTE "
            "FUNCTION other()"
        ),
        {"trigger": "drops", "table": "predictions"},
    ),
}


def _undone_by(what: str) -> list[str]:
    """The statements of the page's row for a message."""
    page = (ROOT / "docs" / "do" / "repair-the-database.md").read_text()
    (row,) = re.findall(
        rf"^\|[^|]*{what}[^|]*\|(.*)\|$",
        page.partition("## What was changed by hand")[2],
        re.MULTILINE,
    )
    return re.findall(r"`([A-Z]{4,} [^`]+)`", row)


@pytest.fixture
def role(postgresql: Database) -> Iterator[str]:
    """The URL of one that owns nothing and may write everything."""
    name = f"pima_some_{uuid.uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {name} LOGIN")
    postgresql.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    postgresql.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
    yield make_url(postgresql.url).set(username=name).render_as_string(hide_password=False)
    postgresql.execute(f"DROP OWNED BY {name}")
    postgresql.execute(f"DROP ROLE {name}")


EMPTIED = {
    "champion": ("status",),
    "declarations": ("health", "migrate"),
    "installation": ("forget", "migrate"),
}


@pytest.mark.parametrize("table", EMPTIED)
def test_a_table_that_lacks_its_row_is_told(database: Database, table: str) -> None:
    """As after a restore without it, or TRUNCATE model_versions CASCADE, which empties the
    champion."""
    kept = database.execute(f"SELECT * FROM {table}")
    database.execute(f"DELETE FROM {table}")
    for command in EMPTIED[table]:
        told = call(database, command, *(("1", "--dry-run") if command == "forget" else ()))
        assert told.exit_code in (1, 2)
        assert f"{table} has no row" in told.stderr + told.stdout
    assert database.execute(f"SELECT * FROM {table}") == []
    for statement in _undone_by("a table has no row") if table == "champion" else ():
        database.execute(statement)
        assert database.execute("SELECT * FROM champion") == kept
        assert call(database, "status").exit_code == 0


def test_a_champion_that_is_gone_is_told_and_another_can_be_named(
    scored_database: Database,
) -> None:
    """As where model_versions was restored alone, with triggers disabled or by SQLite's own
    tool."""
    insert_patients(scored_database, 1)
    point = "UPDATE champion SET model_version = 99"
    if scored_database.kind == "sqlite":
        with (
            closing(sqlite3.connect(scored_database.engine.url.database or "")) as connection,
            connection,
        ):
            connection.execute(point)
    else:
        with scored_database.engine.begin() as server:
            server.exec_driver_sql("SET LOCAL session_replication_role = replica")
            server.exec_driver_sql(point)
    for command in (
        ["status"],
        ["score"],
        ["report"],
        ["models", "promote", "1", "--reason", "a test"],
    ):
        told = call(scored_database, *command)
        assert (told.exit_code, "champion names version 99" in told.stderr) == (2, True), (
            command,
            told.stderr,
        )
    (undone,) = _undone_by("names a version that is not there")
    scored_database.execute(undone)
    assert call(scored_database, "models", "promote", "1", "--reason", "a test").exit_code == 0
    assert call(scored_database, "score").exit_code == 0


@pytest.mark.parametrize("what", BY_HAND)
def test_what_was_changed_by_hand_is_undone_by_the_page_s_statements(
    postgresql: Database, role: str, what: str
) -> None:
    done, names = BY_HAND[what]
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(done)
    whoever = Database("postgresql", role, postgresql.engine)
    told = the_json(call(whoever, "score", "--json"))
    assert (told["error"], what in told["message"]) == ("schema_differs", True), told
    assert "docs/do/repair-the-database.md" in told["message"]
    with postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in _undone_by(what):
            connection.execute(text(re.sub(r"<(\w+)>", lambda name: names[name[1]], statement)))
    assert call(whoever, "score").exit_code == 0
