"""Where everybody may create in the schema of patients, nothing that somebody plants there runs in
the triggers."""

from itertools import product

import pytest
from sqlalchemy import text

from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import Database, under_role
from tests.support.rows import COLUMNS, VALUES, assert_queue_is_true
from tests.support.shipped import HOLDOUT

# Of all names and types in triggers.sql: PostgreSQL prefers what fits exactly. A cast needs the
# type's owner.
FUNCTIONS = (
    "concat(text, text, text, text) RETURNS text",
    "nextval(text) RETURNS bigint",
    "nextval(regclass) RETURNS bigint",
    "pg_sequence_last_value(text) RETURNS bigint",
    "pg_sequence_last_value(regclass) RETURNS bigint",
    "clock_timestamp() RETURNS timestamptz",
    "count() RETURNS bigint",
    "currval(text) RETURNS bigint",
    "currval(regclass) RETURNS bigint",
    "current_setting(text, boolean) RETURNS text",
    "set_config(text, text, boolean) RETURNS text",
    "pg_trigger_depth() RETURNS integer",
)
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "||")
TYPES = ("bigint", "integer", "text", "double precision", "timestamptz", "boolean")
WRITES = (
    (
        f"INSERT INTO patients ({COLUMNS}, source, source_key) VALUES ({VALUES}, 's', '1'), "
        f"({VALUES}, 's', '2')"
    ),
    (
        f"INSERT INTO patients ({COLUMNS}, outcome, labelled_at, person_key) VALUES ({VALUES}, 1, "
        "'2001-01-01', 'p')"
    ),
    (
        "UPDATE patients SET glucose = 150, outcome = 1, labelled_at = '2001-01-01' WHERE source_key "
        "= '1'"
    ),
    "UPDATE patients SET outcome = NULL, person_key = 'q' WHERE source_key = '1'",
    "UPDATE patients SET outcome = 0, labelled_at = NULL WHERE source_key = '2'",
    "DELETE FROM patients WHERE source_key = '2'",
    f"INSERT INTO patients ({COLUMNS}, source, source_key) VALUES ({VALUES}, 's', '2')",
)
"""Of a loader."""
OWNERS_WRITES = (
    f"INSERT INTO patients ({COLUMNS}, version) VALUES ({VALUES}, 999)",
    "TRUNCATE patients",
)


@pytest.fixture
def planted(postgresql: Database) -> Database:
    """A database as one that PostgreSQL 14 made: the lowest role plants what it can."""
    migrate(postgresql.engine, HOLDOUT, with_roles=True)
    postgresql.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    wicked = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$"
    statements = [f"CREATE FUNCTION public.{name} {wicked}" for name in FUNCTIONS]
    for left, right in product(TYPES, TYPES):
        statements.append(
            f"CREATE FUNCTION public.planted({left}, {right}) RETURNS boolean {wicked}"
        )
        arguments = f"FUNCTION = public.planted, LEFTARG = {left}, RIGHTARG = {right}"
        statements += [f"CREATE OPERATOR public.{name} ({arguments})" for name in OPERATORS]
    statements += [
        f"CREATE DOMAIN public.{name} AS integer CHECK (false)" for name in ("text", "regclass")
    ]
    _write(under_role(postgresql, "pima_monitor"), *statements)
    return postgresql


def _write(database: Database, *statements: str) -> None:
    engine = make_engine(database.url, DatabaseSettings())
    try:
        with writing(engine) as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def test_nothing_that_is_planted_runs_when_patients_are_written(planted: Database) -> None:
    for writer, statements in ("pima_loader", WRITES), ("postgres", OWNERS_WRITES):
        _write(under_role(planted, writer), *statements)
        assert_queue_is_true(planted)
    assert planted.value("SELECT side_key FROM row_keys ORDER BY patient_id") == "source s 1"
