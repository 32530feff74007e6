"""Whose row it is: what the triggers keep of keys that come with a row, later, or again; and the
order of keys."""

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from pima.core.declared.identifiers import name_of_key, name_of_person
from pima.errors import DatabaseFailed
from pima.store.engine import writing
from pima.store.rows.histories import SIDE_KEY
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    insert_patients,
    until_someone_waits_for_a_lock,
)
from tests.support.pages import PAGES, blocks
from tests.support.rows import (
    COLUMNS,
    VALUES,
    as_sqlite3_does,
    assert_queue_is_true,
    patient,
    predict,
    queue,
)
from tests.support.shipped import ROOT

ANOTHERS = (
    "this source key had the id 5: insert the row under that id|uq_row_keys_source_source_key"
)
OTHER_KEY = "this id had another source key"
KEY_IS_FIXED = "patients.source_key is never changed"
NO_KEYS = "source and source_key are both there or both NULL|ck_row_keys_"


def refusal(database: Database, statement: str) -> str:
    """What the database tells a clinic's own software, which ours would keep from a log."""
    work = _told_by_sqlite if database.kind == "sqlite" else _told_by_postgresql
    with pytest.raises((sqlite3.DatabaseError, psycopg.Error)) as refused:
        work(database, statement)
    return str(refused.value)


def _told_by_sqlite(database: Database, statement: str) -> None:
    with as_sqlite3_does(database) as connection:
        connection.execute(statement)


def _told_by_postgresql(database: Database, statement: str) -> None:
    url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as session:
        session.execute(statement)


def row_keys(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT patient_id, source, source_key, side_key FROM row_keys ORDER BY patient_id"
    )


# ---- insert


def test_what_a_row_is_called_when_it_comes_is_kept(database: Database) -> None:
    insert_patients(database, 1, first_id=5, source="clinic", source_key="Ä 1")
    insert_patients(database, 1, first_id=6, source="clinic", source_key="v1", person_key="p 7")
    insert_patients(database, 1, first_id=7, person_key="7")
    kept = [
        (5, "clinic", "Ä 1", "source clinic Ä 1"),
        (6, "clinic", "v1", "person p 7"),
        (7, None, None, "person 7"),
    ]
    assert row_keys(database) == kept
    assert database.value("SELECT count(first_seen_at) FROM row_keys") == 3
    database.execute("DELETE FROM patients")
    assert row_keys(database) == kept
    assert queue(database) == []


CALLED = {
    5: ({"source": "clinic", "source_key": "v 5"}, name_of_key("clinic", "v 5")),
    6: ({"source": "clinic", "source_key": "v6", "person_key": "p 6"}, name_of_person("p 6")),
    7: ({"person_key": "7"}, name_of_person("7")),
    8: ({}, "8"),
}
"""By id: a row's keys, and the name that decides its side of the holdout."""


def test_triggers_queries_and_code_give_a_row_the_same_name(database: Database) -> None:
    names = [name for _, name in CALLED.values()]
    for patient_id, (keys, _) in CALLED.items():
        insert_patients(database, 1, first_id=patient_id, **keys)
    assert [row[3] for row in row_keys(database)] == names[:3]
    database.execute("DELETE FROM row_keys")
    # As rows are that were written while the triggers were off.
    read = f"SELECT {SIDE_KEY} FROM patients ORDER BY patients.id"
    assert [row[0] for row in database.execute(read)] == names
    database.execute("UPDATE patients SET person_key = 'another'")
    assert [row[3] for row in row_keys(database)] == names


def test_code_spells_the_names_of_rows_in_one_file() -> None:
    spelled = re.compile(r"""["']person [{%'"]|["']source '""")
    files = (ROOT / "pima").rglob("*.py")
    found = [path.name for path in files if spelled.search(path.read_text("utf-8"))]
    assert found == ["identifiers.py"]


def test_a_row_of_its_own_leaves_nothing(database: Database) -> None:
    insert_patients(database, 3)
    database.execute("UPDATE patients SET glucose = 99, outcome = 1 WHERE id = 2")
    database.execute("DELETE FROM patients WHERE id = 1")
    assert row_keys(database) == []


def test_many_rows_in_one_statement_are_kept_each(database: Database) -> None:
    database.execute(f"""
        INSERT INTO patients ({COLUMNS}, source, source_key, person_key)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        SELECT {VALUES}, CASE WHEN i % 2 = 0 THEN 'clinic' END, CASE WHEN i % 2 = 0 THEN 'v' || i
            END,
            CASE WHEN i % 3 = 0 THEN 'p' || (i % 10) END FROM n""")
    wanted = database.execute("""
        SELECT id, source, source_key, CASE WHEN person_key IS NOT NULL THEN 'person ' || person_key
            ELSE 'source clinic ' || source_key END
        FROM patients WHERE source_key IS NOT NULL OR person_key IS NOT NULL ORDER BY id""")
    assert len(wanted) == 667
    assert row_keys(database) == wanted


def test_an_id_that_comes_again_keeps_its_side(database: Database) -> None:
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v1")
    insert_patients(database, 1, first_id=6, person_key="p6")
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v1", person_key="p5")
    insert_patients(database, 1, first_id=6, source="clinic", source_key="v6", person_key="another")
    assert row_keys(database) == [
        (5, "clinic", "v1", "source clinic v1"),
        (6, "clinic", "v6", "person p6"),
    ]


def test_an_id_or_a_key_that_was_anothers_is_refused(database: Database) -> None:
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v1")
    database.execute("DELETE FROM patients")
    kept = row_keys(database)
    others = ("INSERT OR IGNORE", "INSERT OR REPLACE") if database.kind == "sqlite" else ()
    for verb in ("INSERT", *others):
        insert = (
            f"{verb} INTO patients (id, {COLUMNS}, source, source_key) VALUES ({{}}, {VALUES}, "
            f"'clinic', '{{}}')"
        )
        assert re.search(ANOTHERS, refusal(database, insert.format(6, "v1")))
        assert OTHER_KEY in refusal(database, insert.format(5, "v2"))
    assert row_keys(database) == kept
    assert database.value("SELECT count(*) FROM patients") == 0


# ---- insert again, without an id


def by_key(*keys: str) -> str:
    rows = ", ".join(f"({VALUES}, 'clinic', '{key}')" for key in keys)
    return f"INSERT INTO patients ({COLUMNS}, source, source_key) VALUES {rows}"


IN_ONE_STATEMENT = f"""
    WITH gone AS (DELETE FROM patients RETURNING source_key AS key)
    INSERT INTO patients ({COLUMNS}, source, source_key)
    SELECT {VALUES}, 'clinic', key FROM (SELECT key FROM gone UNION SELECT 'new') AS r"""
AGAIN = {
    "in two transactions": [["DELETE FROM patients"], [by_key("new", "v3", "v1", "v2")]],
    "in one": [["DELETE FROM patients", by_key("v3", "v1"), by_key("new", "v2")]],
    "in one statement": [[IN_ONE_STATEMENT]],
    "after TRUNCATE": [["TRUNCATE patients", by_key("v3", "v1", "new", "v2")]],
}


@pytest.mark.parametrize("how", AGAIN)
def test_keys_that_come_again_without_ids_have_those_they_had(
    postgresql: Database, how: str
) -> None:
    postgresql.execute(by_key("v1", "v2", "v3"))
    postgresql.execute("UPDATE patients SET person_key = 'p2' WHERE id = 2")
    kept, newest = row_keys(postgresql), postgresql.value("SELECT max(version) FROM patients")
    told: list[tuple[Any, ...]] = []
    for transaction in AGAIN[how]:
        with writing(postgresql.engine) as connection:
            for statement in transaction:
                returning = (
                    ""
                    if statement.startswith(("DELETE", "TRUNCATE"))
                    else " RETURNING source_key, id"
                )
                result = connection.execute(text(statement + returning))
                told += [tuple(row) for row in result] if returning else []
    new = dict(told)["new"]
    assert sorted(told) == [("new", new), ("v1", 1), ("v2", 2), ("v3", 3)]
    assert row_keys(postgresql) == [*kept, (new, "clinic", "new", "source clinic new")]
    assert postgresql.value("SELECT min(version) FROM patients") > newest
    assert_queue_is_true(postgresql)


def with_id(patient_id: int, key: str) -> str:
    return (
        by_key(key)
        .replace(f"({COLUMNS}", f"(id, {COLUMNS}")
        .replace("VALUES (", f"VALUES ({patient_id}, ")
    )


def test_an_id_that_is_given_stays_though_it_was_drawn_last(postgresql: Database) -> None:
    with postgresql.engine.connect() as connection:
        connection.execute(text(by_key("v1", "v2")))  # draws 1 and 2
        connection.execute(text("DELETE FROM patients WHERE id = 1"))
        connection.execute(text(f"{with_id(2, 'v1')} ON CONFLICT (id) DO UPDATE SET glucose = 99"))
        assert connection.execute(text("SELECT id, source_key, glucose FROM patients")).all() == [
            (2, "v2", 99)
        ]
        connection.execute(text("DELETE FROM patients"))
        with pytest.raises(IntegrityError, match=OTHER_KEY):
            connection.execute(text(with_id(2, "v1")))


def test_a_key_that_somebody_is_deleting_comes_again_under_its_id(postgresql: Database) -> None:
    postgresql.execute(by_key("v1"))
    with ThreadPoolExecutor(1) as threads, postgresql.engine.connect() as other:
        other.execute(text("DELETE FROM patients"))
        waiting = threads.submit(postgresql.execute, f"{by_key('v1')} RETURNING id")
        until_someone_waits_for_a_lock(postgresql)
        other.commit()
        assert waiting.result(timeout=PATIENCE_SECONDS) == [(1,)]
    assert_queue_is_true(postgresql)


def test_on_sqlite_a_key_that_comes_again_is_told_its_id(sqlite: Database) -> None:
    sqlite.execute(with_id(42, "v1"))
    sqlite.execute("DELETE FROM patients")
    told = refusal(sqlite, by_key("v2", "v1"))
    assert "this source key had the id 42: insert the row under that id" in told
    assert sqlite.value("SELECT count(*) FROM patients") == 0
    sqlite.execute(with_id(42, "v1"))
    assert_queue_is_true(sqlite)


# ---- update


def test_keys_that_arrive_leave_the_side_that_the_row_had(database: Database) -> None:
    own, sourced, persons = (
        insert_patients(database, 1, first_id=5)
        + insert_patients(database, 1, first_id=6, source="clinic", source_key="v6")
        + insert_patients(database, 1, first_id=7, person_key="p7")
    )
    versions = [patient(database, each).version for each in (own, sourced, persons)]
    database.execute("DELETE FROM scoring_queue")
    database.execute("UPDATE patients SET person_key = 'p' WHERE id <> 7")
    database.execute(
        "UPDATE patients SET source = 'clinic', source_key = 'v' || id WHERE source IS NULL"
    )
    assert row_keys(database) == [
        (5, "clinic", "v5", "5"),
        (6, "clinic", "v6", "source clinic v6"),
        (7, "clinic", "v7", "person p7"),
    ]
    assert [patient(database, each).version for each in (own, sourced, persons)] == versions
    assert queue(database) == []


def test_a_source_key_that_is_set_is_never_changed(database: Database) -> None:
    insert_patients(database, 1, source="clinic", source_key="v1")
    for change in ("source = 'other'", "source_key = 'v2'", "source = NULL, source_key = NULL"):
        assert KEY_IS_FIXED in refusal(database, f"UPDATE patients SET {change}")
    database.execute("UPDATE patients SET source = 'clinic', source_key = 'v1', glucose = 99")
    assert database.execute("SELECT source, source_key, glucose FROM patients") == [
        ("clinic", "v1", 99)
    ]


def test_a_key_that_arrives_may_not_be_another_ids(database: Database) -> None:
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v1")
    insert_patients(database, 1, first_id=6)
    database.execute("DELETE FROM patients WHERE id = 5")
    assert re.search(
        ANOTHERS, refusal(database, "UPDATE patients SET source = 'clinic', source_key = 'v1'")
    )


def test_the_upsert_of_the_page_keeps_one_row(database: Database) -> None:
    page = blocks(PAGES["docs/start/my-database.md"].read_text())
    (upsert,) = (block.text for block in page if "ON CONFLICT" in block.text)
    database.execute(upsert)
    (first,) = database.execute("SELECT id, version FROM patients")
    database.execute(upsert)
    assert database.execute("SELECT id, version FROM patients") == [first]
    database.execute(upsert.replace("9.9", "9.8"))
    (second,) = database.execute("SELECT id, version FROM patients")
    assert second[0] == first[0]
    assert second[1] > first[1]
    assert row_keys(database) == [(first[0], "clinic", "v1", "source clinic v1")]
    assert_queue_is_true(database)
    if database.kind == "postgresql":
        database.execute("DELETE FROM patients")
        database.execute(upsert)
        assert database.execute("SELECT id FROM patients") == [(first[0],)]


def test_keys_are_kept_in_each_statement_of_a_transaction_and_after_a_savepoint(
    database: Database,
) -> None:
    insert = text(
        f"INSERT INTO patients (id, {COLUMNS}, person_key) VALUES (:id, {VALUES}, :person)"
    )
    with writing(database.engine) as connection:
        connection.execute(insert, {"id": 1, "person": None})
        savepoint = connection.begin_nested()
        connection.execute(insert, {"id": 2, "person": "lost"})
        savepoint.rollback()
        connection.execute(insert, {"id": 2, "person": "two"})
        connection.execute(insert, {"id": 3, "person": None})
        connection.execute(insert, {"id": 4, "person": "four"})
    insert_patients(database, 1, first_id=5, person_key="five")
    assert [(row[0], row[3]) for row in row_keys(database)] == [
        (2, "person two"),
        (4, "person four"),
        (5, "person five"),
    ]


def persons(database: Database) -> dict[int, str | None]:
    return {
        row[0]: row[1] for row in database.execute("SELECT patient_id, person_key FROM row_keys")
    }


def test_whose_a_row_is_by_now_is_kept_and_outlives_it(database: Database) -> None:
    insert_patients(database, 3, first_id=1)
    insert_patients(database, 1, first_id=4, person_key="four")
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v5", person_key="five")
    insert_patients(database, 1, first_id=6, source="clinic", source_key="v6")
    database.execute("UPDATE patients SET person_key = 'late' WHERE id IN (2, 6)")
    database.execute("UPDATE patients SET person_key = 'another' WHERE id = 5")
    database.execute("UPDATE patients SET source = 'clinic', source_key = 'v3' WHERE id = 3")
    kept: dict[int, str | None] = {2: "late", 3: None, 4: "four", 5: "another", 6: "late"}
    assert persons(database) == kept
    database.execute("DELETE FROM patients")
    assert persons(database) == kept


def test_a_person_that_is_taken_back_is_kept_no_more_and_one_that_is_not_said_again_is(
    database: Database,
) -> None:
    insert_patients(database, 1, first_id=4, person_key="four")
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v5", person_key="five")
    insert_patients(database, 1, first_id=6, source="clinic", source_key="v6", person_key="six")
    database.execute("UPDATE patients SET person_key = NULL WHERE id IN (4, 5)")
    assert persons(database) == {4: None, 5: None, 6: "six"}
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=4, person_key="another")
    insert_patients(database, 1, first_id=5)
    insert_patients(database, 1, first_id=6, source="clinic", source_key="v6")
    assert persons(database) == {4: "another", 5: None, 6: "six"}
    assert [row[3] for row in row_keys(database)] == ["person four", "person five", "person six"]


def test_a_key_that_arrives_takes_no_person_back_whom_the_row_came_again_without(
    database: Database,
) -> None:
    insert_patients(database, 1, first_id=4, person_key="four")
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=4)
    database.execute("UPDATE patients SET source = 'clinic', source_key = 'v4' WHERE id = 4")
    assert persons(database) == {4: "four"}
    database.execute("UPDATE patients SET person_key = 'another' WHERE id = 4")
    assert persons(database) == {4: "another"}
    database.execute("UPDATE patients SET person_key = NULL WHERE id = 4")
    assert persons(database) == {4: None}


# ---- the table


NO_KEY: list[dict[str, str]] = [
    {"source": "clinic"},
    {"source_key": "v1"},
    {"source": "clinic", "source_key": ""},
    {"person_key": ""},
    {"person_key": "ä" * 101},
    {"source": "clinic", "source_key": "ä" * 101},
    {"source": "Clinic", "source_key": "v1"},
    {"source": "the clinic", "source_key": "v1"},
    {"source": "c" * 31, "source_key": "v1"},
]


def test_what_is_no_key_is_refused(database: Database) -> None:
    insert_patients(database, 1)
    verb = (
        "INSERT OR IGNORE" if database.kind == "sqlite" else "INSERT"
    )  # which lets a table's own condition pass
    for keys in NO_KEY:
        names, values = ", ".join(keys), ", ".join(f"'{value}'" for value in keys.values())
        insert = f"{verb} INTO patients ({COLUMNS}, {names}) VALUES ({VALUES}, {values})"
        assert re.search(NO_KEYS, refusal(database, insert)), keys
        assigned = ", ".join(f"{name} = '{value}'" for name, value in keys.items())
        assert re.search(NO_KEYS, refusal(database, f"UPDATE patients SET {assigned}")), keys
    assert database.execute("SELECT source, source_key, person_key FROM patients") == [
        (None, None, None)
    ]


def test_the_table_takes_the_longest_keys_and_each_once(database: Database) -> None:
    keys = {"source": "c" * 30, "source_key": "ä" * 100}
    insert_patients(database, 1, **keys, person_key="ä" * 100)
    with pytest.raises(DatabaseFailed):
        insert_patients(database, 1, **keys)


def test_keys_stand_in_the_order_of_their_bytes(database: Database) -> None:
    keys = ["a", "B", "ä", "Z", "_", "10", "9", "a b", "ab", "\U0001f600", "z"]
    for key in keys:
        insert_patients(database, 1, source="clinic", source_key=key, person_key=key)
    for column in ("source_key", "person_key"):
        found = [
            row[0] for row in database.execute(f"SELECT {column} FROM patients ORDER BY {column}")
        ]
        assert found == sorted(keys, key=str.encode)


# ---- what others see


def test_a_prediction_says_whose_it_is_though_the_row_is_gone(database: Database) -> None:
    insert_patients(database, 1, first_id=1)
    insert_patients(database, 1, first_id=2, source="clinic", source_key="v2")
    insert_patients(database, 1, first_id=3, source="clinic", source_key="v3")
    for patient_id in (1, 2, 3):
        predict(database, patient_id)
    database.execute("DELETE FROM patients WHERE id = 3")
    shown = database.execute(
        "SELECT patient_id, source, source_key FROM current_predictions ORDER BY patient_id"
    )
    assert shown == [(1, None, None), (2, "clinic", "v2"), (3, "clinic", "v3")]
