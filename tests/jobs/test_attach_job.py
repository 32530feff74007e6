"""The command: what it refuses to attach, what it prints for an administrator, and which role may do what."""

import json
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.core.source import Source
from pima.reading_settings import read_settings
from pima.settings import DatabaseSettings
from pima.store.attaching import attach_faults
from pima.store.engine import make_engine, reading
from tests.conftest import PATIENCE_SECONDS, Database, Ended, call, under_role, until_someone_waits_for_a_lock
from tests.jobs.attached import attached_and_pulled, pulled
from tests.jobs.clinic import URL, Clinic

REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "a view": ("CREATE VIEW seen AS SELECT * FROM visits", {"table": "seen"}, "seen is no table but a view"),
    "no such table": ("SELECT 1", {"table": "stays"}, "there is no stays for its URL"),
    "no such column": ("SELECT 1", {"key": "stay"}, "no stored column stay|no column stay"),
}
REFUSED_ON_POSTGRESQL: dict[str, tuple[str, str]] = {
    "partitions": (
        """DROP TABLE visits; CREATE TABLE visits (visit_id uuid) PARTITION BY HASH (visit_id);
        CREATE TABLE one PARTITION OF visits FOR VALUES WITH (MODULUS 1, REMAINDER 0)""",
        "has partitions or child tables, or is one",
    ),
    "a partition": (
        """CREATE TABLE many (LIKE visits) PARTITION BY HASH (visit_id);
        ALTER TABLE many ATTACH PARTITION visits FOR VALUES WITH (MODULUS 1, REMAINDER 0)""",
        "has partitions or child tables, or is one",
    ),
    "a child": ("CREATE TABLE parent (LIKE visits); ALTER TABLE visits INHERIT parent", "or is one"),
    "an unlogged table": ("ALTER TABLE visits SET UNLOGGED", "visits is unlogged or temporary"),
    "a materialized view": (
        "ALTER TABLE visits RENAME TO rows; CREATE MATERIALIZED VIEW visits AS SELECT * FROM rows",
        "visits is no table but a view or the like",
    ),
}
REFUSED_ON_SQLITE: dict[str, tuple[str, str]] = {
    "an expression": ("CREATE UNIQUE INDEX one ON visits (lower(sex))", "has a unique index on an expression"),
    "no table of rows": (
        "DROP TABLE visits; CREATE VIRTUAL TABLE visits USING fts5(visit_id)",
        "visits is no table but a view or the like",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_triggers_is_refused(database: Database, own_clinic: Clinic, what: str) -> None:
    made, settings, said = REFUSED[what]
    own_clinic.execute(made)
    own_clinic.settings |= settings
    _assert_refused(database, own_clinic, said)


@pytest.mark.parametrize("what", REFUSED_ON_POSTGRESQL)
def test_what_triggers_would_not_see_all_of_is_refused_on_postgresql(
    postgresql: Database, postgresql_own_clinic: Clinic, what: str
) -> None:
    made, said = REFUSED_ON_POSTGRESQL[what]
    postgresql_own_clinic.execute(made)
    _assert_refused(postgresql, postgresql_own_clinic, said)


@pytest.mark.parametrize("what", REFUSED_ON_SQLITE)
def test_what_triggers_would_not_see_all_of_is_refused_on_sqlite(
    sqlite: Database, sqlite_own_clinic: Clinic, what: str
) -> None:
    made, said = REFUSED_ON_SQLITE[what]
    for statement in made.split("; "):
        sqlite_own_clinic.execute(statement)
    _assert_refused(sqlite, sqlite_own_clinic, said)


def test_a_table_in_another_database_is_refused(database: Database, clinic: Clinic) -> None:
    _assert_refused(database, clinic, "it is in another database")


def test_a_query_is_refused(database: Database, own_clinic: Clinic) -> None:
    del own_clinic.settings["table"]
    own_clinic.settings["query"] = "SELECT * FROM visits"
    _assert_refused(database, own_clinic, "it is a query")


def _assert_refused(database: Database, clinic: Clinic, said: str) -> None:
    for arguments in (["clinic"], ["clinic", "--sql"]):
        refused = clinic.attach(database, *arguments)
        assert refused.exit_code == 2
        assert any(each in refused.stderr for each in said.split("|")), refused.stderr
    assert database.value("SELECT count(*) FROM attached_sources") == 0


USAGE = [
    ([], "Name the sources."),
    (["--sql"], "Name the sources."),
    (["clinic", "--check", "--sql"], "--check goes with names alone"),
    (["--check", "--detach"], "--check goes with names alone"),
    (["nobody"], "there are: clinic"),
    (["clinic; DROP TABLE patients", "--detach"], "there are: clinic"),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_wrong_usage_is_told(sqlite: Database, sqlite_own_clinic: Clinic, arguments: list[str], said: str) -> None:
    refused = sqlite_own_clinic.attach(sqlite, *arguments)
    assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr


def test_what_is_printed_does_what_the_command_does(database: Database, own_clinic: Clinic) -> None:
    printed = own_clinic.attach(database, "clinic", "--sql")
    assert printed.exit_code == 0
    assert database.value("SELECT count(*) FROM attached_sources") == 0
    _as_administrator(database, printed.stdout)
    assert own_clinic.attach(database, "--check", "clinic").exit_code == 0
    own_clinic.insert(3)
    assert database.value("SELECT count(*) FROM source_changes") == 3
    taken_away = own_clinic.attach(database, "clinic", "--detach", "--sql", "--json")
    _as_administrator(database, json.loads(taken_away.stdout)["sql"])
    own_clinic.insert(3, seed=2)
    assert database.value("SELECT count(*) FROM source_changes") == 0
    left = "SELECT count(*) FROM {} WHERE {} LIKE '%clinic%'"
    catalogue = (
        [("sqlite_master", "name")]
        if database.kind == "sqlite"
        else [("pg_class", "relname"), ("pg_proc", "proname"), ("pg_trigger", "tgname")]
    )
    assert [database.value(left.format(*place)) for place in catalogue] == [0] * len(catalogue)


def _as_administrator(database: Database, script: str) -> None:
    """As psql and sqlite3 run a file."""
    if database.kind == "sqlite":
        import sqlite3

        with sqlite3.connect(make_url(database.url).database or "") as connection:
            connection.executescript(script)
        return
    url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = nowhere")
        connection.execute(script)  # type: ignore[call-overload]


def test_a_schema_and_a_table_may_have_names_that_need_quotes(
    postgresql: Database, postgresql_own_clinic: Clinic
) -> None:
    clinic = postgresql_own_clinic
    for said in ('CREATE SCHEMA "Clinic"', 'ALTER TABLE visits SET SCHEMA "Clinic"'):
        clinic.execute(said)
    clinic.execute('ALTER TABLE "Clinic".visits RENAME TO "Visits 1"')
    clinic.settings |= {"schema": "Clinic", "table": "Visits 1"}
    _as_administrator(postgresql, clinic.attach(postgresql, "clinic", "--sql").stdout)
    assert clinic.attach(postgresql, "--check", "clinic").exit_code == 0
    for arguments in (["clinic", "--detach"], ["clinic"], ["--check"], ["clinic", "--detach"]):
        ended = clinic.attach(postgresql, *arguments)
        assert ended.exit_code == 0, (arguments, ended.stderr)


def test_attaching_twice_and_detaching_twice_is_no_harm(database: Database, own_clinic: Clinic) -> None:
    for _ in range(2):
        assert own_clinic.attach(database, "clinic").exit_code == 0
    own_clinic.insert(3)
    assert database.value("SELECT count(*) FROM source_changes") == 3
    for _ in range(2):
        detached = own_clinic.attach(database, "clinic", "--detach")
        assert (detached.exit_code, "pulls go by changed_since, or compare all" in detached.stdout) == (0, True)


def test_an_attached_source_that_is_no_longer_declared_can_be_taken_away(
    database: Database, own_clinic: Clinic
) -> None:
    assert own_clinic.attach(database, "clinic").exit_code == 0
    own_clinic.settings["name"] = "ward"

    def attach(*arguments: str) -> Ended:
        return call(database, "attach", "--config", own_clinic.config, *arguments)

    faulty = attach("--check")
    assert (faulty.exit_code, "(--detach takes its triggers away)" in faulty.stderr) == (1, True), faulty.stderr
    assert attach("clinic", "--detach").exit_code == 0
    assert attach("--check").exit_code == 0


def test_writers_that_are_under_way_are_not_waited_for_long(
    postgresql: Database, postgresql_own_clinic: Clinic
) -> None:
    """Who comes behind would wait as well."""
    clinic = postgresql_own_clinic
    with clinic.engine.begin() as writer:
        writer.execute(text("INSERT INTO visits (visit_id) VALUES (gen_random_uuid())"))
        busy = clinic.attach(postgresql, "clinic", PIMA_DATABASE__LOCK_TIMEOUT_SECONDS="600")
        assert (busy.exit_code, "55P03" in busy.stderr) == (75, True)
    assert clinic.attach(postgresql, "clinic").exit_code == 0


def test_of_two_who_attach_at_once_the_second_waits(postgresql: Database, postgresql_own_clinic: Clinic) -> None:
    clinic = postgresql_own_clinic
    printed = clinic.attach(postgresql, "clinic", "--sql").stdout
    with postgresql.engine.begin() as first:
        done = printed.removeprefix("BEGIN;").removesuffix("COMMIT;\n")
        first.exec_driver_sql(done, execution_options={"no_parameters": True})
        second = postgresql.start("attach", "--config", clinic.config, "clinic", **{URL: clinic.url})
        until_someone_waits_for_a_lock(postgresql)
    _, stderr = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, stderr
    assert clinic.attach(postgresql, "--check", "clinic").exit_code == 0


@pytest.fixture
def guarded(postgresql: Database) -> Database:
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    return postgresql


def test_a_pull_of_an_attached_source_works_under_the_loader_s_role(
    guarded: Database, postgresql_own_clinic: Clinic
) -> None:
    visits = attached_and_pulled(guarded, postgresql_own_clinic)
    loader = under_role(guarded, "pima_loader")
    visits.execute("UPDATE visits SET age = 91")
    assert pulled(loader, visits) == ("touched", {"updated": 50})
    assert pulled(loader, visits) == ("touched", {})
    visits.execute("LOCK TABLE source_changes IN ACCESS EXCLUSIVE MODE; UPDATE visits SET age = 92")
    assert pulled(loader, visits) == ("touched", {"updated": 50})
    visits.execute("DROP TRIGGER pima_clinic_inserted ON visits")
    visits.insert(1, seed=8)
    assert pulled(loader, visits) == ("all", {"inserted": 1, "unchanged": 50})


@pytest.mark.parametrize("role", ["pima_scheduler", "pima_operator"])
def test_who_looks_after_the_service_may_ask_what_is_wrong(
    guarded: Database, postgresql_own_clinic: Clinic, role: str
) -> None:
    visits = attached_and_pulled(guarded, postgresql_own_clinic)
    engine = make_engine(under_role(guarded, role).url, DatabaseSettings())
    assert _faults(engine, visits) == []
    visits.execute("ALTER TABLE visits DISABLE TRIGGER pima_clinic_deleted")
    assert _faults(engine, visits) == ["clinic: the trigger pima_clinic_deleted is disabled"]
    assert call(under_role(guarded, role), "attach", "--config", visits.config, "--check").exit_code == 1
    told = call(under_role(guarded, role), "health", "--config", visits.config).stderr
    assert "attach_faulty: clinic: the trigger pima_clinic_deleted is disabled; its pulls compare" in told
    engine.dispose()


def _faults(engine, clinic: Clinic) -> list[str]:
    sources: tuple[Source, ...] = read_settings(Path(clinic.config), {}).sources
    with reading(engine) as connection:
        return [f"{fault.source}: {fault.what}" for fault in attach_faults(connection, sources)]


def test_other_roles_are_told_to_ask_an_administrator(guarded: Database, postgresql_own_clinic: Clinic) -> None:
    loader = under_role(guarded, "pima_loader")
    refused = postgresql_own_clinic.attach(loader, "clinic")
    assert (refused.exit_code, "The role pima_loader may not attach" in refused.stderr) == (2, True)
    assert "With --sql the command prints" in refused.stderr
    printed = postgresql_own_clinic.attach(loader, "clinic", "--sql")
    _as_administrator(guarded, printed.stdout)
    assert postgresql_own_clinic.attach(guarded, "--check", "clinic").exit_code == 0
    refused = postgresql_own_clinic.attach(loader, "clinic", "--detach")
    assert (refused.exit_code, "attach_not_allowed" in refused.stdout + refused.stderr) == (2, False)


def test_health_tells_what_is_wrong_with_attached_triggers_until_it_is_mended(
    database: Database, own_clinic: Clinic
) -> None:
    attached_and_pulled(database, own_clinic)
    assert "attach_faulty" not in call(database, "health", "--config", own_clinic.config).stderr
    own_clinic.execute("DROP TRIGGER pima_clinic_inserted" + (" ON visits" if database.kind == "postgresql" else ""))
    told = call(database, "health", "--config", own_clinic.config).stderr
    assert "attach_faulty: clinic: the trigger pima_clinic_inserted on its table is missing" in told
    assert own_clinic.attach(database, "clinic").exit_code == 0
    assert "attach_faulty" not in call(database, "health", "--config", own_clinic.config).stderr
