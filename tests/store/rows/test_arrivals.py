"""Rows on their way in: the table that they go through, and which of ours are deleted where a
source lacks them."""

from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event, text

from pima.errors import DatabaseFailed
from pima.intake.files.loading import LoadOptions, load_files
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.store.engine import reading, writing
from pima.store.rows.arrivals import VANISHED, KeyRange, RowsSoFar, StagedFile, Staging, rows_so_far
from tests.support.databases import Database, insert_patients
from tests.support.rows import COLUMNS, VALUES
from tests.support.shipped import FEATURE_NAMES, SHIPPED


def _so_far(database: Database) -> RowsSoFar:
    with reading(database.engine) as connection:
        return rows_so_far(connection)


def _deleted(database: Database, so_far: RowsSoFar, *keys: str) -> int:
    vanished = pd.DataFrame({"reason": VANISHED, "field": ""}, index=list(keys), dtype=object)
    with writing(database.engine) as connection:
        staging = Staging(connection, FEATURE_NAMES, "source_key", "clinic")
        staging.make()
        staging.append(vanished, "source_key")
        return staging.take(KeyRange("", max(keys), 0, 0, len(keys)), so_far).deleted


def _insert(key: str) -> str:
    return (
        f"INSERT INTO patients ({COLUMNS}, source, source_key) VALUES ({VALUES}, 'clinic', '{key}')"
    )


def test_what_came_since_stays(database: Database) -> None:
    database.execute(_insert("before"))
    so_far = _so_far(database)
    database.execute(_insert("since"))
    assert _deleted(database, so_far, "before", "since") == 1
    assert database.execute("SELECT source_key FROM patients") == [("since",)]
    assert _deleted(database, _so_far(database), "since") == 1


def test_a_row_that_was_written_anew_since_stays_for_the_next_pull(database: Database) -> None:
    insert_patients(database, 1, first_id=1, source="clinic", source_key="v1")
    so_far = _so_far(database)
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=1, source="clinic", source_key="v1")
    assert _deleted(database, so_far, "v1") == 0
    assert _deleted(database, _so_far(database), "v1") == 1


@pytest.mark.parametrize("within_savepoint", [False, True])
def test_so_does_what_was_written_before_and_committed_since(
    postgresql: Database, within_savepoint: bool
) -> None:
    postgresql.execute(_insert("before"))
    postgresql.execute(_insert("labelled meanwhile"))
    with postgresql.engine.begin() as begun_first, postgresql.engine.begin() as writer:
        begun_first.execute(text("SELECT pg_current_xact_id()"))
        writer.execute(
            text("UPDATE patients SET outcome = 1 WHERE source_key = 'labelled meanwhile'")
        )
        savepoint = writer.begin_nested() if within_savepoint else None
        writer.execute(text(_insert("in between")))
        if savepoint is not None:
            savepoint.commit()
        postgresql.execute("SELECT pg_current_xact_id()")
        so_far = _so_far(postgresql)
        begun_first.execute(text(_insert("late")))
        postgresql.execute(_insert("since"))
    keys = ("before", "labelled meanwhile", "in between", "late", "since")
    assert _deleted(postgresql, so_far, *keys) == 2
    kept = postgresql.execute("SELECT source_key FROM patients ORDER BY source_key")
    assert kept == [("in between",), ("late",), ("since",)]
    assert _deleted(postgresql, _so_far(postgresql), *keys) == 3


def test_rows_that_come_in_with_their_ids_ask_no_trigger_for_them(postgresql: Database) -> None:
    """A call for each row would cost a pull a quarter more of each insert."""
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql("""CREATE
            OR REPLACE FUNCTION take_kept_id() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'asked'; END $$""")
    with writing(postgresql.engine) as connection:
        staging = Staging(connection, ("glucose",), "source_key", "clinic")
        staging.make()
        staging.append(pd.DataFrame({"glucose": [100.0]}, index=["v1"]), "source_key")
        assert staging.take(KeyRange("", "v1", 1, 0, 0)).inserted == 1
    with pytest.raises(DatabaseFailed):
        postgresql.execute(_insert("v2"))


def test_a_table_of_the_staging_tables_name_is_neither_filled_nor_dropped(
    database: Database,
) -> None:
    database.execute("CREATE TABLE pima_staging (whose TEXT)")
    database.execute("INSERT INTO pima_staging VALUES ('of the clinic')")
    for line in (1, 2):
        with writing(database.engine) as connection:
            staging = Staging(connection, ("glucose",), None)
            staging.make()
            staging.append(pd.DataFrame({"glucose": [100.0]}, index=[line]), "line")
            assert staging.take().inserted == 1
            staging.drop()
    database.engine.dispose()
    assert database.value("SELECT whose FROM pima_staging") == "of the clinic"


def test_what_a_file_held_is_not_left_in_the_session(database: Database) -> None:
    """Behind a pool of connections the next user of the session would read it."""
    load_files(database.engine, [SHIPPED, SHIPPED], LoadOptions(again=True), SHIPPED_DECLARATION)
    assert database.engine.pool.checkedin() > 0  # the connection is the same one
    staged = (
        "sqlite_temp_master WHERE name" if database.kind == "sqlite" else "pg_class WHERE relname"
    )
    assert database.value(f"SELECT count(*) FROM {staged} = 'pima_staging'") == 0


def test_one_statement_drops_bad_lines_however_many_they_are(database: Database) -> None:
    """A statement for each would read the whole table each time."""
    runs: list[int] = []

    def count(
        _connection: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        is_many: bool,
    ) -> None:
        if statement.startswith("DELETE"):
            runs.append(len(parameters) if is_many else 1)

    with writing(database.engine) as connection:
        event.listen(connection, "before_cursor_execute", count)
        staging = StagedFile(connection, ("glucose",), None)
        staging.make()
        staging.append(pd.DataFrame({"glucose": 100.0}, index=range(1, 101)), "line")
        staging.drop_lines([*range(2, 101), 777])
        assert staging.take().inserted == 1
    assert runs == [1]
