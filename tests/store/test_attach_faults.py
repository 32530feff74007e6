"""What may become of the triggers on a clinic's table: it is told, put right by attaching again, and not forgotten."""

from collections.abc import Callable

import pytest

from pima.store.database import database_of
from pima.store.engine import reading
from tests.conftest import Database, call
from tests.jobs.clinic import Clinic
from tests.store.noted import KEYS as K
from tests.store.noted import attach, fault, noted, with_four_visits


def _state(database: Database) -> str:
    with reading(database.engine) as connection:
        return database_of(connection).attaching.state(connection, "clinic")


def _definition(database: Database) -> str:
    with reading(database.engine) as connection:
        known = database_of(connection)
        return known.definition(connection, known.attaching.table_id(connection, ["visits"]))


SWALLOWED = """CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"""
ON_POSTGRESQL: dict[str, tuple[str, str, str]] = {
    "a trigger disabled": (
        "ALTER TABLE visits DISABLE TRIGGER pima_clinic_inserted",
        "pima_clinic_inserted is disabled",
        "ALTER TABLE visits ENABLE ALWAYS TRIGGER pima_clinic_inserted",
    ),
    "all triggers disabled": (
        "ALTER TABLE visits DISABLE TRIGGER ALL",
        "pima_clinic_inserted is disabled",
        """ALTER TABLE visits ENABLE ALWAYS TRIGGER pima_clinic_inserted,
        ENABLE ALWAYS TRIGGER pima_clinic_updated, ENABLE ALWAYS TRIGGER pima_clinic_deleted,
        ENABLE ALWAYS TRIGGER pima_clinic_truncated""",
    ),
    "not in all sessions": (
        "ALTER TABLE visits ENABLE TRIGGER pima_clinic_deleted",
        "pima_clinic_deleted is not as it was made",
        "ALTER TABLE visits ENABLE ALWAYS TRIGGER pima_clinic_deleted",
    ),
    "a trigger gone": (
        "DROP TRIGGER pima_clinic_truncated ON visits",
        "pima_clinic_truncated on its table is missing",
        """CREATE TRIGGER pima_clinic_truncated AFTER TRUNCATE ON visits EXECUTE FUNCTION note_changes_of_clinic();
        ALTER TABLE visits ENABLE ALWAYS TRIGGER pima_clinic_truncated""",
    ),
    "a trigger for other rows": (
        """CREATE OR REPLACE TRIGGER pima_clinic_deleted AFTER DELETE ON visits REFERENCING OLD TABLE AS old_rows
        FOR EACH STATEMENT WHEN (current_user <> 'x') EXECUTE FUNCTION note_changes_of_clinic()""",
        "pima_clinic_deleted is not as it was made",
        "",
    ),
    "another body": (
        """CREATE OR REPLACE FUNCTION note_changes_of_clinic() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$ BEGIN RETURN NULL; END $$""",
        "notes something else than the source's key",
        "",
    ),
    "the writer's rights": (
        "ALTER FUNCTION note_changes_of_clinic() SECURITY INVOKER",
        "has other settings than it was made with",
        "ALTER FUNCTION note_changes_of_clinic() SECURITY DEFINER",
    ),
    "a longer wait": (
        "ALTER FUNCTION note_changes_of_clinic() SET lock_timeout = '1h'",
        "has other settings than it was made with",
        "ALTER FUNCTION note_changes_of_clinic() SET lock_timeout = '10ms'",
    ),
    "the function gone": ("DROP FUNCTION note_changes_of_clinic CASCADE", "note_changes_of_clinic, which", ""),
    "the sequence gone": (
        "DROP SEQUENCE missed_changes_of_clinic",
        "the sequence missed_changes_of_clinic is missing",
        "CREATE SEQUENCE missed_changes_of_clinic; GRANT SELECT ON missed_changes_of_clinic TO PUBLIC",
    ),
    "another table of the name": (
        "ALTER TABLE visits RENAME TO visits_old; CREATE TABLE visits (LIKE visits_old)",
        "its triggers are on public.visits_old, which is another table",
        "DROP TABLE visits; ALTER TABLE visits_old RENAME TO visits",
    ),
    "made anew": (
        "CREATE TABLE other AS SELECT * FROM visits; DROP TABLE visits; ALTER TABLE other RENAME TO visits",
        "pima_clinic_inserted on its table is missing",
        "",
    ),
    "a child table": (
        "CREATE TABLE visits_2027 () INHERITS (visits)",
        "visits has partitions or child tables, or is one",
        "",
    ),
    "the key renamed": (
        f"ALTER TABLE visits RENAME visit_id TO visit; INSERT INTO visits (visit) VALUES ('{K[8]}')",
        "visits has no stored column visit_id",
        "ALTER TABLE visits RENAME visit TO visit_id",
    ),
    "not logged": (
        "ALTER TABLE visits SET UNLOGGED",
        "visits is unlogged or temporary",
        "ALTER TABLE visits SET LOGGED",
    ),
    "of another owner": (
        "CREATE ROLE pima_test_other; ALTER FUNCTION note_changes_of_clinic() OWNER TO pima_test_other",
        "belongs to pima_test_other",
        "ALTER FUNCTION note_changes_of_clinic() OWNER TO CURRENT_USER; DROP ROLE pima_test_other",
    ),
}


@pytest.mark.parametrize("what", ON_POSTGRESQL)
def test_what_becomes_of_the_triggers_is_told_and_mended_on_postgresql(
    postgresql: Database, postgresql_own_clinic: Clinic, what: str
) -> None:
    clinic = with_four_visits(postgresql, postgresql_own_clinic)
    done, said, undone = ON_POSTGRESQL[what]
    before = _state(postgresql)
    _run(postgresql, done)
    assert said in (fault(postgresql, clinic) or "")
    if undone:
        _run(postgresql, undone)
        assert fault(postgresql, clinic) is None
        # Triggers go with their table, so what is written there under another name is noted.
        assert (_state(postgresql) == before) == (what == "another table of the name")
    elif what != "a child table":
        attach(postgresql, clinic)
    if what != "a child table":
        noted(postgresql)
        clinic.execute(f"INSERT INTO visits (visit_id) VALUES ('{K[7]}')")
        assert noted(postgresql) == {K[7]}


def _run(database: Database, statements: str) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(statements)


HARMLESS = [
    "VACUUM ANALYZE visits",
    "VACUUM ANALYZE source_changes",
    "CREATE INDEX ON visits (age)",
    "GRANT SELECT ON visits TO PUBLIC",
    """CREATE TRIGGER theirs BEFORE UPDATE ON visits
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()""",
    "COMMENT ON TABLE visits IS 'theirs'",
    "ALTER TABLE visits ALTER age SET STATISTICS 500",
    "ALTER TABLE visits ALTER age SET DEFAULT 50",
    "CREATE POLICY theirs ON visits FOR INSERT WITH CHECK (true)",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_what_keeps_nothing_from_being_noted_costs_no_full_compare(
    postgresql: Database, postgresql_own_clinic: Clinic, statement: str
) -> None:
    clinic = with_four_visits(postgresql, postgresql_own_clinic)
    clinic.execute("UPDATE visits SET age = 51")
    before = _state(postgresql), _definition(postgresql)
    with postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
    assert fault(postgresql, clinic) is None
    assert (_state(postgresql), _definition(postgresql)) == before


ON_SQLITE: dict[str, tuple[str, str, str]] = {
    "a trigger gone": (
        "DROP TRIGGER pima_clinic_deleted",
        "pima_clinic_deleted on its table is missing",
        "",
    ),
    "a trigger that does nothing": (
        """DROP TRIGGER pima_clinic_deleted;
        CREATE TRIGGER pima_clinic_deleted AFTER DELETE ON visits BEGIN SELECT 1; END""",
        "pima_clinic_deleted is not as it was made",
        "",
    ),
    "the table gone": (
        "ALTER TABLE visits RENAME TO visits_old",
        "the table visits is missing",
        "ALTER TABLE visits_old RENAME TO visits",
    ),
    "made anew": (
        "CREATE TABLE other AS SELECT * FROM visits; DROP TABLE visits; ALTER TABLE other RENAME TO visits",
        "pima_clinic_inserted on its table is missing",
        "",
    ),
    "something unique since": (
        "CREATE UNIQUE INDEX one_each ON visits (patient_no)",
        "pima_clinic_pushed_out_by_insert is not as it was made",
        "DROP INDEX one_each",
    ),
    "the key renamed": (
        "ALTER TABLE visits RENAME visit_id TO visit",
        "visits has no column visit_id",
        "ALTER TABLE visits RENAME visit TO visit_id",
    ),
}


@pytest.mark.parametrize("what", ON_SQLITE)
def test_what_becomes_of_the_triggers_is_told_and_mended_on_sqlite(
    sqlite: Database, sqlite_own_clinic: Clinic, what: str
) -> None:
    clinic = with_four_visits(sqlite, sqlite_own_clinic)
    done, said, undone = ON_SQLITE[what]
    before = _state(sqlite)
    for statement in _each(done):
        clinic.execute(statement)
    assert said in (fault(sqlite, clinic) or "")
    for statement in _each(undone):
        clinic.execute(statement)
    if fault(sqlite, clinic) is not None:
        attach(sqlite, clinic)
    assert _state(sqlite) != before
    noted(sqlite)
    clinic.execute(f"INSERT INTO visits (visit_id) VALUES ('{K[7]}')")
    assert noted(sqlite) == {K[7]}


def _each(statements: str) -> list[str]:
    whole = statements.replace("; END", "\0 END").split(";")
    return [statement.replace("\0", ";") for statement in whole if statement.strip()]


KEYS_CHANGED: dict[str, Callable[[Clinic], None]] = {
    "another column": lambda clinic: clinic.settings.update(key="patient_no", key_type="integer"),
    "a column more": lambda clinic: clinic.settings.update(
        key=["visit_id", "patient_no"], key_type=["uuid", "integer"]
    ),
}


@pytest.mark.parametrize("what", KEYS_CHANGED)
def test_another_key_in_the_settings_is_told(database: Database, own_clinic: Clinic, what: str) -> None:
    clinic = with_four_visits(database, own_clinic)
    KEYS_CHANGED[what](clinic)
    assert fault(database, clinic) is not None
    attach(database, clinic)


def test_a_source_that_the_settings_no_longer_have_is_told(database: Database, own_clinic: Clinic) -> None:
    clinic = with_four_visits(database, own_clinic)
    clinic.settings["name"] = "other"
    assert "clinic: it is attached, and the settings declare no source" in (fault(database, clinic) or "")


def test_a_schema_that_knows_nothing_of_it_is_not_gone_back_to(database: Database, own_clinic: Clinic) -> None:
    clinic = with_four_visits(database, own_clinic)
    refused = call(database, "migrate", "--to", "0010")
    assert (refused.exit_code, "while sources are attached (clinic)" in refused.stderr) == (2, True)
    assert clinic.attach(database, "clinic", "--detach").exit_code == 0
    assert call(database, "migrate", "--to", "0010").exit_code == 0
    clinic.execute("DELETE FROM visits")
    assert call(database, "migrate").exit_code == 0
