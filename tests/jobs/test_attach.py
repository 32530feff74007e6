"""A pull of an attached source compares what was touched, all where that may not be enough, and misses nothing."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import Database, under_role
from tests.jobs.attached import assert_nothing_is_missing, attached_and_pulled, pulled
from tests.jobs.clinic import Clinic


@pytest.fixture
def visits(database: Database, own_clinic: Clinic) -> Clinic:
    return attached_and_pulled(database, own_clinic)


@pytest.fixture
def on_postgresql(postgresql: Database, postgresql_own_clinic: Clinic) -> Clinic:
    return attached_and_pulled(postgresql, postgresql_own_clinic)


def keys_of(clinic: Clinic) -> list[str]:
    return [str(key) for (key,) in clinic.execute("SELECT visit_id FROM visits ORDER BY visit_id")]


def test_only_what_was_touched_is_compared_and_then_forgotten(database: Database, visits: Clinic) -> None:
    first, second, third, fourth, *_ = keys_of(visits)
    visits.execute("UPDATE visits SET age = 90 WHERE visit_id = :key", {"key": first})
    visits.execute("UPDATE visits SET age = age WHERE visit_id = :key", {"key": second})
    visits.execute("DELETE FROM visits WHERE visit_id = :key", {"key": third})
    visits.execute("UPDATE visits SET diabetic = 'yes' WHERE visit_id = :key", {"key": fourth})
    (new,) = visits.insert(1, seed=2)
    expected = {"inserted": 1, "updated": 2, "unchanged": 1, "vanished": 1, "deleted": 1, "outcomes_arrived": 1}
    assert pulled(database, visits, "--dry-run") == ("touched", expected)
    assert database.value("SELECT count(*) FROM source_changes") == 5
    assert pulled(database, visits) == ("touched", expected)
    assert database.value("SELECT count(*) FROM source_changes") == 0
    waiting = "SELECT p.source_key FROM scoring_queue q JOIN patients p ON p.id = q.patient_id ORDER BY 1"
    assert [key for (key,) in database.execute(waiting)] == sorted([first, new])
    assert pulled(database, visits) == ("touched", {})
    assert_nothing_is_missing(database, visits)


def test_a_row_that_gets_another_key_is_another_row(database: Database, visits: Clinic) -> None:
    first, *_ = keys_of(visits)
    other = str(uuid.UUID(int=1))
    visits.execute("UPDATE visits SET visit_id = :other WHERE visit_id = :key", {"other": other, "key": first})
    assert pulled(database, visits) == ("touched", {"inserted": 1, "vanished": 1, "deleted": 1})
    # And back: it has its old id.
    known = database.value("SELECT patient_id FROM row_keys WHERE source_key = :key", {"key": first})
    visits.execute("UPDATE visits SET visit_id = :key WHERE visit_id = :other", {"other": other, "key": first})
    assert pulled(database, visits) == ("touched", {"inserted": 1, "vanished": 1, "deleted": 1})
    assert database.value("SELECT id FROM patients WHERE source_key = :key", {"key": first}) == known
    assert_nothing_is_missing(database, visits)


def test_a_table_that_is_emptied_is_compared_whole(postgresql: Database, on_postgresql: Clinic) -> None:
    visits = on_postgresql
    visits.execute("TRUNCATE visits")
    refused = visits.pull(postgresql)
    assert (refused.exit_code, "minimum_rows" in refused.stderr) == (3, True)
    visits.insert(3, seed=7)
    assert pulled(postgresql, visits) == ("all", {"inserted": 3, "vanished": 50, "deleted": 50})
    assert pulled(postgresql, visits) == ("touched", {})


def test_a_row_without_a_key_is_refused_as_ever_and_nothing_is_forgotten(
    database: Database, own_clinic: Clinic
) -> None:
    own_clinic.settings |= {"key": "patient_no", "key_type": "integer"}
    del own_clinic.settings["person"], own_clinic.settings["person_type"]
    visits = attached_and_pulled(database, own_clinic)
    visits.insert(1, seed=2, patient_no=None)
    visits.insert(1, seed=3, patient_no=1_000_001)
    refused = visits.pull(database)
    assert (refused.exit_code, "in 1 row the key (patient_no) is NULL" in refused.stderr) == (2, True)
    visits.execute("DELETE FROM visits WHERE patient_no IS NULL")
    assert pulled(database, visits) == ("all", {"inserted": 1, "unchanged": 50})
    assert pulled(database, visits) == ("touched", {})


def test_once_a_week_all_is_compared(database: Database, visits: Clinic) -> None:
    # Nobody has told of it: behind the triggers' back, in our own table.
    database.execute("UPDATE patients SET age = 99 WHERE id = (SELECT min(id) FROM patients)")
    assert pulled(database, visits) == ("touched", {})
    week = "interval '7 days'" if database.kind == "postgresql" else None
    before = f"compared_whole_at - {week}" if week else "strftime('%Y-%m-%dT%H:%M:%fZ', compared_whole_at, '-7 days')"
    database.execute(f"UPDATE source_pulls SET compared_whole_at = {before}")
    assert pulled(database, visits) == ("all", {"updated": 1, "unchanged": 49})
    assert pulled(database, visits) == ("touched", {})


def test_other_settings_make_all_to_be_compared_once(database: Database, visits: Clinic) -> None:
    visits.columns["glucose"] = {"column": "glucose_mmol", "factor": 18.0}
    assert pulled(database, visits) == ("all", {"updated": 50})
    assert pulled(database, visits) == ("touched", {})


UNSEEN: dict[str, list[str]] = {
    "a trigger that was off for a while": [
        "ALTER TABLE visits DISABLE TRIGGER ALL",
        "UPDATE visits SET age = 91",
        """ALTER TABLE visits ENABLE ALWAYS TRIGGER pima_clinic_inserted,
        ENABLE ALWAYS TRIGGER pima_clinic_updated, ENABLE ALWAYS TRIGGER pima_clinic_deleted,
        ENABLE ALWAYS TRIGGER pima_clinic_truncated""",
    ],
    "a column that was computed anew": ["ALTER TABLE visits ALTER age TYPE integer USING age + 100 - age"],
    "a column of the same name": [
        "ALTER TABLE visits DROP COLUMN age",
        "ALTER TABLE visits ADD COLUMN age integer DEFAULT 91",
    ],
    "a table that was elsewhere for a while": [
        "ALTER TABLE source_changes RENAME TO elsewhere",
        "UPDATE visits SET age = 91",
        "ALTER TABLE elsewhere RENAME TO source_changes",
    ],
    "a table and a sequence that were elsewhere": [
        "ALTER TABLE source_changes RENAME TO elsewhere",
        "ALTER SEQUENCE missed_changes_of_clinic RENAME TO nowhere",
        "UPDATE visits SET age = 91",
        "ALTER SEQUENCE nowhere RENAME TO missed_changes_of_clinic",
        "ALTER TABLE elsewhere RENAME TO source_changes",
    ],
    "notes that were thrown away": ["UPDATE visits SET age = 91", "TRUNCATE source_changes"],
    "a counter of notes that was set back": [
        "INSERT INTO source_changes (source) VALUES ('another')",
        "ALTER SEQUENCE source_changes_id_seq RESTART",
        "UPDATE source_changes SET id = 1",
        "UPDATE visits SET age = 91",
    ],
}


@pytest.mark.parametrize("what", UNSEEN)
def test_what_was_not_noted_is_found_though_all_is_well_again(
    postgresql: Database, on_postgresql: Clinic, what: str
) -> None:
    visits = on_postgresql
    for statement in UNSEEN[what]:
        visits.execute(statement)
    assert visits.attach(postgresql, "--check").exit_code == 0
    assert pulled(postgresql, visits) == ("all", {"updated": 50})
    assert pulled(postgresql, visits) == ("touched", {})


def test_what_was_not_noted_is_found_though_all_is_well_again_on_sqlite(
    sqlite: Database, sqlite_own_clinic: Clinic
) -> None:
    visits = attached_and_pulled(sqlite, sqlite_own_clinic)
    made = sqlite.value("SELECT sql FROM sqlite_master WHERE name = 'pima_clinic_updated'")
    visits.execute("DROP TRIGGER pima_clinic_updated")
    visits.execute("UPDATE visits SET age = 91")
    visits.execute(made)
    assert visits.attach(sqlite, "--check").exit_code == 0
    assert pulled(sqlite, visits) == ("all", {"updated": 50})
    assert pulled(sqlite, visits) == ("touched", {})


MADE_OTHERWISE: dict[str, tuple[list[str], Any, list[str], dict[str, int]]] = {
    "a column that is computed when it is read": (
        ["ALTER TABLE visits ADD COLUMN computed integer GENERATED ALWAYS AS (age) VIRTUAL"],
        "computed",
        ["ALTER TABLE visits ALTER computed SET EXPRESSION AS (age + 1)"],
        {"updated": 50},
    ),
    "an enum's values": (
        [
            "CREATE TYPE decade AS ENUM ('forty', 'fifty')",
            "CREATE DOMAIN about AS decade",
            "ALTER TABLE visits ADD COLUMN computed about DEFAULT 'forty'",
        ],
        {"column": "computed", "words": {"forty": 40, "fifty": 50}},
        [
            "ALTER TYPE decade RENAME VALUE 'fifty' TO 'sixty'",
            "ALTER TYPE decade RENAME VALUE 'forty' TO 'fifty'",
        ],
        {"updated": 50},
    ),
    "a policy": (
        [],
        "age",
        ["ALTER POLICY seen ON visits USING (visit_id <> (SELECT min(visit_id::text)::uuid FROM kept))"],
        {"unchanged": 49, "vanished": 1, "deleted": 1},
    ),
    "a function that a policy calls": (
        [],
        "age",
        [
            """CREATE OR REPLACE FUNCTION is_seen(uuid) RETURNS boolean LANGUAGE sql AS $$
            SELECT $1 <> (SELECT min(visit_id::text)::uuid FROM kept) $$"""
        ],
        {"unchanged": 49, "vanished": 1, "deleted": 1},
    ),
    "a role that a policy is for": (
        [
            """CREATE POLICY theirs ON visits AS RESTRICTIVE FOR SELECT TO pima_test_others
            USING (visit_id <> (SELECT min(visit_id::text)::uuid FROM kept))"""
        ],
        "age",
        ["GRANT pima_test_others TO pima_test_seer"],
        {"unchanged": 49, "vanished": 1, "deleted": 1},
    ),
}
_READER = """
    CREATE ROLE pima_test_seer LOGIN;
    CREATE ROLE pima_test_others;
    CREATE TABLE kept (visit_id uuid);
    GRANT SELECT ON visits, kept TO pima_test_seer;
    CREATE FUNCTION is_seen(uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
    ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
    CREATE POLICY seen ON visits FOR SELECT TO pima_test_seer USING (is_seen(visit_id))"""
_NO_READER = """
    DROP OWNED BY pima_test_seer, pima_test_others;
    DROP ROLE pima_test_seer, pima_test_others"""


@pytest.fixture
def seen_by_a_reader(postgresql: Database, postgresql_own_clinic: Clinic) -> Iterator[Clinic]:
    """The clinic, whose rows a role of its own reads through row security."""
    clinic = postgresql_own_clinic
    clinic.execute(_READER)
    clinic.url = under_role(postgresql, "pima_test_seer").url
    yield clinic
    clinic.execute(_NO_READER)


@pytest.mark.parametrize("what", MADE_OTHERWISE)
def test_what_gives_the_rows_other_values_without_a_write_is_found(
    postgresql: Database, seen_by_a_reader: Clinic, what: str
) -> None:
    before, seen_by_a_reader.columns["age"], after, expected = MADE_OTHERWISE[what]
    for statement in before:
        seen_by_a_reader.execute(statement)
    visits = attached_and_pulled(postgresql, seen_by_a_reader)
    visits.execute("INSERT INTO kept SELECT visit_id FROM visits")
    for statement in after:
        visits.execute(statement)
    assert visits.attach(postgresql, "--check").exit_code == 0
    assert pulled(postgresql, visits) == ("all", expected)
    assert pulled(postgresql, visits) == ("touched", {})


FAULTY = {
    "postgresql": "DROP TRIGGER pima_clinic_updated ON visits",
    "sqlite": "DROP TRIGGER pima_clinic_updated",
}


def test_as_long_as_a_trigger_is_gone_all_is_compared(database: Database, visits: Clinic) -> None:
    visits.execute(FAULTY[database.kind])
    for age in (91, 92):
        visits.execute(f"UPDATE visits SET age = {age}")
        ended = visits.pull(database)
        assert (ended.exit_code, "pima_clinic_updated on its table is missing" in ended.stderr) == (0, True)
        assert "50 rows read, 0 inserted, 50 updated" in ended.stdout
    assert visits.attach(database, "clinic").exit_code == 0
    assert pulled(database, visits) == ("all", {"unchanged": 50})
    assert pulled(database, visits) == ("touched", {})


def test_once_detached_all_is_compared(database: Database, visits: Clinic) -> None:
    assert visits.attach(database, "clinic", "--detach").exit_code == 0
    visits.execute("UPDATE visits SET age = 91")
    assert pulled(database, visits) == ("all", {"updated": 50})
    assert visits.attach(database, "clinic").exit_code == 0
    assert pulled(database, visits) == ("all", {"unchanged": 50})
    assert pulled(database, visits) == ("touched", {})


def test_what_is_committed_later_than_what_came_after_it_is_not_lost(
    postgresql: Database, on_postgresql: Clinic
) -> None:
    """Numbers are drawn in one order and become visible in another."""
    visits, (first, second, *_) = on_postgresql, keys_of(on_postgresql)
    update = text("UPDATE visits SET age = 91 WHERE visit_id = :key")
    with visits.engine.begin() as slow:
        slow.execute(update, {"key": first})
        visits.execute(update.text, {"key": second})
        assert pulled(postgresql, visits) == ("touched", {"updated": 1})
    assert pulled(postgresql, visits) == ("touched", {"updated": 1})
    assert_nothing_is_missing(postgresql, visits)


def test_what_was_not_noted_and_is_committed_after_the_pull_is_found_by_the_next(
    postgresql: Database, on_postgresql: Clinic
) -> None:
    """The sequence moves at once, and the row can be seen only later."""
    visits, (first, *_) = on_postgresql, keys_of(on_postgresql)
    with visits.engine.begin() as slow:
        with visits.engine.begin() as locked:
            locked.execute(text("LOCK TABLE source_changes IN ACCESS EXCLUSIVE MODE"))
            slow.execute(text("UPDATE visits SET age = 91 WHERE visit_id = :key"), {"key": first})
        assert pulled(postgresql, visits) == ("all", {"unchanged": 50})
        assert pulled(postgresql, visits) == ("touched", {})
    assert pulled(postgresql, visits) == ("all", {"updated": 1, "unchanged": 49})
    assert pulled(postgresql, visits) == ("touched", {})


def test_a_writer_waits_for_nothing_of_ours(postgresql: Database, on_postgresql: Clinic) -> None:
    """Rows of ours that are locked, and a note that somebody holds."""
    visits = on_postgresql
    visits.execute("UPDATE visits SET age = 90")
    with postgresql.engine.begin() as ours:
        for table in ("source_changes", "patients", "attached_sources", "source_pulls"):
            ours.execute(text(f"SELECT count(*) FROM (SELECT 1 FROM {table} FOR UPDATE) t"))
        ours.execute(text("SELECT pg_advisory_lock(1280262468), pg_advisory_xact_lock(1835627379)"))
        visits.execute("SET lock_timeout = '1s'; UPDATE visits SET age = 91")
        visits.insert(2, seed=9)
    assert pulled(postgresql, visits) == ("touched", {"inserted": 2, "updated": 50})


KEY_TYPES: dict[str, tuple[str, str, list[Any]]] = {
    "numeric": ("integer", "numeric(20, 2)", [7, "8.00"]),
    "char": ("text", "char(5)", ["ab", "abcde"]),
}


@pytest.mark.parametrize("what", KEY_TYPES)
def test_a_key_is_found_whatever_its_type(database: Database, own_clinic: Clinic, what: str) -> None:
    _assert_found_by_key(database, own_clinic, *KEY_TYPES[what])


def test_a_key_in_a_column_of_no_type_is_found(sqlite: Database, sqlite_own_clinic: Clinic) -> None:
    _assert_found_by_key(sqlite, sqlite_own_clinic, "integer", "", [7, 8])


def _assert_found_by_key(database: Database, clinic: Clinic, key_type: str, of_column: str, keys: list[Any]) -> None:
    names = [how if isinstance(how, str) else how["column"] for how in clinic.columns.values()]
    measured = ", ".join(f"{name} double precision" for name in names)
    clinic.execute(f"CREATE TABLE stays (stay {of_column} PRIMARY KEY, {measured})")
    for name in ("person", "person_type", "outcome", "outcome_words"):
        del clinic.settings[name]
    clinic.settings |= {"table": "stays", "key": "stay", "key_type": key_type, "most_vanished": 1}
    assert clinic.attach(database, "clinic").exit_code == 0
    insert = "INSERT INTO stays (stay, age, bmi) VALUES (:key, 50, 30)"
    clinic.execute(insert, {"key": keys[0]})
    assert pulled(database, clinic) == ("all", {"inserted": 1})
    clinic.execute(insert, {"key": keys[1]})
    clinic.execute("UPDATE stays SET age = 51 WHERE stay = :key", {"key": keys[0]})
    assert pulled(database, clinic) == ("touched", {"inserted": 1, "updated": 1})
    clinic.execute("DELETE FROM stays WHERE stay = :key", {"key": keys[1]})
    assert pulled(database, clinic) == ("touched", {"vanished": 1})
