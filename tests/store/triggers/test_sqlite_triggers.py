"""SQLite's own ways with the tables: names of the id, REPLACE, columns of the clinic's, tables that
were rebuilt."""

import sqlite3
from pathlib import Path

import pytest

from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.rows import (
    COLUMNS,
    VALUES,
    as_sqlite3_does,
    assert_queue_is_true,
    queue,
    unlabelled,
)
from tests.support.trained import install_models


def make(database: Database, statements: str) -> None:
    with as_sqlite3_does(database) as connection:
        connection.executescript(statements)


# ---- what is fixed, under whatever name


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
def test_an_id_is_fixed_by_each_name_that_sqlite_has_for_it(
    sqlite: Database, recursive_triggers: str
) -> None:
    insert_patients(sqlite, 2, first_id=1)
    before = (unlabelled(sqlite), queue(sqlite))
    with as_sqlite3_does(sqlite) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
        for name in ("id", "rowid", "_rowid_", "oid", '"ROWID"', "[Id]"):
            for statement in (
                f"UPDATE patients SET {name} = {name} + 10000",
                f"UPDATE OR IGNORE patients SET {name} = 2 WHERE id = 1",
                f"UPDATE OR REPLACE patients SET {name} = 2, glucose = 90 WHERE id = 1",
                (
                    f"INSERT INTO patients (id, {COLUMNS}) VALUES (1, {VALUES}) ON CONFLICT (id) DO "
                    f"UPDATE SET {name} = 9"
                ),
            ):
                with pytest.raises(sqlite3.IntegrityError, match=r"patients\.id is never changed"):
                    connection.execute(statement)
            connection.execute(f"UPDATE patients SET {name} = {name}, outcome = 1 WHERE id = 2")
            with pytest.raises(sqlite3.IntegrityError, match=r"patients\.id is at most"):
                connection.execute(
                    f"INSERT INTO patients ({name}, {COLUMNS}) VALUES ({2**62 + 1}, {VALUES})"
                )
    assert (unlabelled(sqlite), queue(sqlite)) == (before[0][:1], before[1][:1])


# ---- what PostgreSQL takes for no time

NO_TIMES = ("12:00", "2020-06-31", "2020-06-31T08:30:00.000Z", "2020-05-01 12:00+01", "2020-5-1")


@pytest.mark.parametrize("column", ["index_at", "acted_at", "labelled_at"])
def test_what_is_no_time_is_refused_and_midnight_is_the_next_days(
    sqlite: Database, column: str
) -> None:
    (patient_id,) = insert_patients(sqlite, 1, outcome=1, **{column: "2020-05-31 24:00"})
    refused = pytest.raises(sqlite3.IntegrityError, match=f"{column} is a time as 2026-10-31 14:30")
    for moment in NO_TIMES if column == "labelled_at" else (*NO_TIMES, "45991", "soon"):
        for statement in (
            f"INSERT INTO patients ({COLUMNS}, outcome, {column}) VALUES ({VALUES}, 1, ?)",
            f"UPDATE OR IGNORE patients SET {column} = ?",
        ):
            with refused, as_sqlite3_does(sqlite) as connection:
                connection.execute(statement, (moment,))
    found = f"SELECT {column} FROM patients WHERE id = {patient_id}"
    assert sqlite.execute(found) == [("2020-06-01T00:00:00.000Z",)]
    sqlite.execute(f"UPDATE patients SET {column} = '2020-06-30T24:00:00.000Z'")
    assert sqlite.execute(found) == [("2020-07-01T00:00:00.000Z",)]
    assert call(sqlite, "status").exit_code == 0


# ---- columns of the clinic's that are called as ours are elsewhere


def test_a_column_of_the_clinics_may_be_called_as_one_of_the_queue_is(
    scored_file: Database,
) -> None:
    for column in ("patient_id", "patient_version", "enqueued_at"):
        scored_file.execute(f"ALTER TABLE patients ADD COLUMN {column} INTEGER")
    insert_patients(scored_file, 4, first_id=1)
    scored_file.execute("UPDATE patients SET glucose = 90 WHERE id = 1")
    scored_file.execute("UPDATE patients SET outcome = 1 WHERE id = 2")
    scored_file.execute("DELETE FROM patients WHERE id = 3")
    assert_queue_is_true(scored_file)
    assert the_json(call(scored_file, "score", "--json"))["predicted"] == 2


# ---- rows that REPLACE takes away


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_entries_of_rows_that_replace_took_away_are_dropped(
    scored_file: Database, batch: int
) -> None:
    """By a unique column of the clinic's: SQLite then deletes without a trigger."""
    make(
        scored_file,
        "ALTER TABLE patients ADD COLUMN mrn TEXT; CREATE UNIQUE INDEX clinic_mrn ON patients "
        "(mrn)",
    )
    insert_patients(scored_file, 5, first_id=1)
    scored_file.execute("UPDATE patients SET mrn = 'm' || id")
    scored_file.execute(
        f"INSERT OR REPLACE INTO patients (id, mrn, {COLUMNS}) VALUES (6, 'm1', {VALUES})"
    )
    scored_file.execute(f"REPLACE INTO patients (id, mrn, {COLUMNS}) VALUES (7, 'm5', {VALUES})")
    scored_file.execute("UPDATE OR REPLACE patients SET mrn = 'm7', age = 51 WHERE id = 3")
    scored_file.execute("UPDATE OR REPLACE patients SET mrn = 'm2' WHERE mrn = 'm6'")
    there = [patient_id for (patient_id,) in scored_file.execute("SELECT id FROM patients")]
    ended = the_json(call(scored_file, "score", "--json", "--batch-size", str(batch)))
    assert (ended["claimed"], ended["predicted"]) == (len(there), len(there))
    predicted = scored_file.execute("SELECT patient_id FROM predictions ORDER BY patient_id")
    assert [patient_id for (patient_id,) in predicted] == sorted(there)
    assert queue(scored_file) == []


def test_nothing_but_such_entries_is_an_empty_queue_after_all(scored_file: Database) -> None:
    make(
        scored_file,
        "ALTER TABLE patients ADD COLUMN mrn TEXT; CREATE UNIQUE INDEX clinic_mrn ON patients "
        "(mrn)",
    )
    insert_patients(scored_file, 2, first_id=1)
    scored_file.execute("UPDATE patients SET mrn = 'm' || id")
    scored_file.execute(
        "INSERT OR REPLACE INTO patients (id, mrn, outcome) VALUES (6, 'm1', 1), (7, 'm2', 0)"
    )
    for option, left in (["--dry-run"], 2), ([], 0):
        ended = the_json(call(scored_file, "score", "--json", *option))
        assert (ended["claimed"], ended["predicted"], len(queue(scored_file))) == (0, 0, left)


@pytest.fixture
def scored_file(sqlite: Database, trained: Path) -> Database:
    install_models(sqlite, trained)
    return sqlite
