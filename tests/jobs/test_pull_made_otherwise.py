"""A source that gives its rows other values without a write: no time of change tells of that, and the pull finds it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Database, under_role
from tests.jobs.clinic import Clinic
from tests.jobs.pulls import counts

ROWS = 50


def _pulled(database: Database, clinic: Clinic) -> tuple[str, dict[str, int]]:
    """How much was compared, and what came of it."""
    found = clinic.pulled(database)
    return found["compared"], counts(found)


def _pulled_by_its_times(database: Database, clinic: Clinic) -> None:
    """With fifty visits, of which each pull reads what their times say, which is all of them."""
    clinic.execute("ALTER TABLE visits ADD COLUMN updated_at TEXT DEFAULT '2026-03-10'")
    clinic.insert(ROWS)
    clinic.settings |= {"changed_since": "updated_at", "vanished": "delete"}
    assert _pulled(database, clinic) == ("all", {"inserted": ROWS})
    assert _pulled(database, clinic) == ("changed", {"unchanged": ROWS})


MADE_OTHERWISE: dict[str, tuple[list[str], Any, list[str], dict[str, int]]] = {
    "a column of the same name": (
        [],
        "age",
        ["ALTER TABLE visits DROP COLUMN age", "ALTER TABLE visits ADD COLUMN age integer DEFAULT 91"],
        {"updated": 50},
    ),
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
    clinic = seen_by_a_reader
    before, clinic.columns["age"], after, expected = MADE_OTHERWISE[what]
    for statement in before:
        clinic.execute(statement)
    _pulled_by_its_times(postgresql, clinic)
    clinic.execute("INSERT INTO kept SELECT visit_id FROM visits")
    for statement in after:
        clinic.execute(statement)
    assert _pulled(postgresql, clinic) == ("all", expected)
    assert _pulled(postgresql, clinic)[0] == "changed"


def test_a_table_that_is_made_otherwise_is_found_on_sqlite(sqlite: Database, sqlite_clinic: Clinic) -> None:
    _pulled_by_its_times(sqlite, sqlite_clinic)
    for statement in MADE_OTHERWISE["a column of the same name"][2]:
        sqlite_clinic.execute(statement)
    assert _pulled(sqlite, sqlite_clinic) == ("all", {"updated": ROWS})
    assert _pulled(sqlite, sqlite_clinic)[0] == "changed"


HARMLESS = (
    "VACUUM ANALYZE visits",
    "CREATE INDEX ON visits (age)",
    "GRANT SELECT ON visits TO PUBLIC",
    """CREATE TRIGGER theirs BEFORE UPDATE ON visits
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()""",
    "COMMENT ON TABLE visits IS 'theirs'",
    "ALTER TABLE visits ALTER age SET STATISTICS 500",
    "ALTER TABLE visits ALTER age SET DEFAULT 50",
    "CREATE POLICY theirs ON visits FOR INSERT WITH CHECK (true)",
)


def test_what_leaves_the_rows_as_they_are_costs_no_full_compare(
    postgresql: Database, postgresql_own_clinic: Clinic
) -> None:
    _pulled_by_its_times(postgresql, postgresql_own_clinic)
    for statement in HARMLESS:
        with postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        assert _pulled(postgresql, postgresql_own_clinic) == ("changed", {"unchanged": ROWS}), statement
