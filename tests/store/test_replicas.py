"""Rows that come in past ordinary triggers: a replica's session, logical replication, triggers switched off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store import queue as store_queue
from pima.store import schema
from pima.store.engine import make_engine, writing
from tests.conftest import (
    HOLDOUT,
    Database,
    call,
    insert_many,
    insert_patients,
    postgresql_server,
    the_json,
    without_triggers,
)
from tests.store.rows import COLUMNS, VALUES, assert_queue_is_true, patient, queue


@contextmanager
def as_a_replica(database: Database) -> Iterator[Connection]:
    with writing(database.engine) as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


def assert_stamped(database: Database) -> None:
    assert database.value("SELECT count(*) FROM patients WHERE (outcome IS NULL) <> (labelled_at IS NULL)") == 0
    assert database.value("SELECT count(DISTINCT version) = count(*) AND min(version) > 0 FROM patients")


def test_what_a_replica_session_writes_is_stamped_and_queued(postgresql: Database) -> None:
    insert_patients(postgresql, 4, first_id=1)
    before = {n: patient(postgresql, n).version for n in range(1, 5)}
    with as_a_replica(postgresql) as connection:
        connection.execute(
            text(f"INSERT INTO patients (id, {COLUMNS}) SELECT n, {VALUES} FROM generate_series(11, 13) n")
        )
        connection.execute(text("UPDATE patients SET glucose = 90 WHERE id = 1"))
        connection.execute(text("UPDATE patients SET outcome = 1 WHERE id IN (2, 12)"))
        connection.execute(text("DELETE FROM patients WHERE id IN (3, 13)"))
    assert patient(postgresql, 1).version > before[1]
    assert patient(postgresql, 2).version == before[2]
    assert [entry[0] for entry in queue(postgresql)] == [1, 4, 11]
    assert_queue_is_true(postgresql)
    assert_stamped(postgresql)
    with as_a_replica(postgresql) as connection:
        connection.execute(text("UPDATE patients SET outcome = NULL WHERE id = 2"))
        connection.execute(text("UPDATE patients SET age = age"))
    assert patient(postgresql, 2).version > before[2]
    assert patient(postgresql, 4).version == before[4]
    assert_queue_is_true(postgresql)
    with as_a_replica(postgresql) as connection:
        connection.execute(text("TRUNCATE patients"))
    assert queue(postgresql) == []


def test_the_keys_of_what_a_replica_session_writes_are_kept(postgresql: Database) -> None:
    insert_patients(postgresql, 2, first_id=1)
    insert_patients(postgresql, 1, first_id=3, source="clinic", source_key="v3")
    with as_a_replica(postgresql) as connection:
        connection.execute(
            text(f"""
                INSERT INTO patients (id, {COLUMNS}, source, source_key, person_key)
                SELECT n, {VALUES}, 'clinic', 'v' || n, CASE WHEN n = 12 THEN 'p' END FROM generate_series(11, 12) n""")
        )
        connection.execute(text("UPDATE patients SET source = 'clinic', source_key = 'v1' WHERE id = 1"))
        connection.execute(text("UPDATE patients SET person_key = 'p' WHERE id IN (2, 3)"))
    kept = postgresql.execute("SELECT patient_id, source_key, side_key FROM row_keys ORDER BY patient_id")
    assert kept == [
        (1, "v1", "1"),
        (2, None, "2"),
        (3, "v3", "source clinic v3"),
        (11, "v11", "source clinic v11"),
        (12, "v12", "person p"),
    ]
    assert_queue_is_true(postgresql)


# ---- logical replication --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logical_server() -> Iterator[str]:
    """A server that publishes; both databases are its own."""
    with postgresql_server("wal_level = logical") as url:
        yield url


@pytest.fixture
def clinic(logical_server: str) -> Iterator[Database]:
    """The clinic's database with a table of its own, named and typed as ours, with no stamps."""
    yield from _new_database(logical_server, "clinic")


@pytest.fixture
def subscriber(logical_server: str) -> Iterator[Database]:
    for database in _new_database(logical_server, "subscriber"):
        schema.migrate(database.engine, HOLDOUT)
        yield database


def _new_database(server: str, name: str) -> Iterator[Database]:
    on_server = make_engine(server, DatabaseSettings())
    with on_server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    database = Database("postgresql", url, make_engine(url, DatabaseSettings()))
    yield database
    database.engine.dispose()
    on_server.dispose()


def _until_applied(clinic: Database, subscriber: Database) -> None:
    """Until the subscriber's rows are the clinic's."""
    look = f"SELECT id, {COLUMNS}, outcome FROM patients ORDER BY id"
    until = time.monotonic() + 60
    while clinic.execute(look) != subscriber.execute(look):
        assert time.monotonic() < until, "the subscription did not catch up"
        time.sleep(0.05)


def test_what_logical_replication_applies_is_stamped_queued_and_scored_once(
    clinic: Database, subscriber: Database
) -> None:
    columns = ", ".join(f"{name} DOUBLE PRECISION" for name in COLUMNS.split(", "))
    clinic.execute(f"CREATE TABLE patients (id BIGINT PRIMARY KEY, {columns}, outcome INTEGER)")
    rows = f"INSERT INTO patients (id, {COLUMNS}) SELECT n, {VALUES} FROM generate_series"
    clinic.execute(f"{rows}(1, 5) n")
    clinic.execute("CREATE PUBLICATION patients FOR TABLE patients")
    with _autocommit(clinic) as connection:
        connection.exec_driver_sql("SELECT pg_create_logical_replication_slot('patients', 'pgoutput')")
    # Both ends are one server, so the slot is made ahead: the subscription would wait for its own transaction's end.
    address = make_url(clinic.url)
    host = address.query["host"]
    with _autocommit(subscriber) as connection:
        connection.exec_driver_sql(
            f"CREATE SUBSCRIPTION patients CONNECTION 'host={host} user={address.username} dbname={address.database}' "
            "PUBLICATION patients WITH (create_slot = false, slot_name = 'patients')"
        )
    try:
        _until_applied(clinic, subscriber)  # the rows that were there, by COPY
        assert_queue_is_true(subscriber)
        clinic.execute(f"{rows}(11, 15) n")
        clinic.execute("UPDATE patients SET glucose = 90 WHERE id = 1")
        clinic.execute("UPDATE patients SET outcome = 1 WHERE id IN (2, 12)")
        clinic.execute("DELETE FROM patients WHERE id IN (3, 13)")
        _until_applied(clinic, subscriber)
        assert [entry[0] for entry in queue(subscriber)] == [1, 4, 5, 11, 14, 15]
        assert_queue_is_true(subscriber)
        assert_stamped(subscriber)
        subscriber.execute("DELETE FROM scoring_queue")  # as if they were scored
        clinic.execute("UPDATE patients SET glucose = 91 WHERE id = 1")
        clinic.execute("UPDATE patients SET outcome = NULL WHERE id = 2")
        _until_applied(clinic, subscriber)
        assert [entry[0] for entry in queue(subscriber)] == [1, 2]
        clinic.execute("TRUNCATE patients")
        _until_applied(clinic, subscriber)
        assert queue(subscriber) == []
    finally:
        with _autocommit(subscriber) as connection:
            connection.exec_driver_sql("DROP SUBSCRIPTION patients")


@contextmanager
def _autocommit(database: Database) -> Iterator[Connection]:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


# ---- written while the triggers were away ---------------------------------------------------------------------------


def test_health_tells_and_requeue_mends_what_came_in_while_the_triggers_were_away(database: Database) -> None:
    insert_patients(database, 6, first_id=1)
    insert_patients(database, 1, first_id=7, outcome=1)
    with without_triggers(database):
        database.execute(f"INSERT INTO patients (id, {COLUMNS}) VALUES (11, {VALUES}), (12, {VALUES})")
        database.execute(f"INSERT INTO patients (id, {COLUMNS}, outcome) VALUES (13, {VALUES}, 1)")
        database.execute("UPDATE patients SET glucose = 90 WHERE id = 1")  # its entry waits with what it was
        database.execute("UPDATE patients SET outcome = 1 WHERE id = 2")
        database.execute("UPDATE patients SET outcome = NULL WHERE id = 7")
        database.execute("DELETE FROM patients WHERE id = 3")
    with writing(database.engine) as connection:
        seen = store_queue.unseen_rows(connection)
    # 2, 7, 11, 12 and 13; the entries of 2 and 3.
    assert seen == {"row_without_its_stamps": 5, "queue_entry_that_is_not_the_row": 2}
    unwell = call(database, "health")
    assert unwell.exit_code == 1
    assert "rows_unseen" in unwell.stderr
    assert "python -m jobs.requeue" in unwell.stderr

    mended = the_json(call(database, "requeue", "--json"))
    assert mended == {"mended": 7, "requeued": 0, "below_predicted": 0}  # 2, 7, 11, 12, 13, the entries of 1 and 3
    assert [entry[0] for entry in queue(database)] == [1, 4, 5, 6, 7, 11, 12]
    assert_queue_is_true(database)
    assert_stamped(database)
    assert "rows_unseen" not in call(database, "health").stderr
    assert the_json(call(database, "requeue", "--json")) == {"mended": 0, "requeued": 0, "below_predicted": 0}


ENTRIES_THAT_ARE_NOT_THE_ROW = {
    "another measurement": ("UPDATE patients SET glucose = 60", 60),
    "an older version": ("UPDATE patients SET glucose = 60, version = version + 1", None),
    "of a labelled row": ("UPDATE patients SET outcome = 1, labelled_at = updated_at", None),
}


@pytest.mark.parametrize("what", ENTRIES_THAT_ARE_NOT_THE_ROW)
def test_requeue_keeps_the_entry_of_a_row_that_someone_holds(postgresql: Database, what: str) -> None:
    statement, mended = ENTRIES_THAT_ARE_NOT_THE_ROW[what]
    insert_patients(postgresql, 1, first_id=1)
    with without_triggers(postgresql):
        postgresql.execute(statement)
    entry = queue(postgresql)
    with postgresql.engine.connect() as someone:
        someone.execute(text("SELECT 1 FROM patients FOR NO KEY UPDATE"))
        found = the_json(call(postgresql, "requeue", "--json"))
    assert found == {"mended": 0 if mended is None else 1, "requeued": 0, "below_predicted": 0}
    if mended is None:  # left to whoever holds the row, or to the next requeue
        assert queue(postgresql) == entry
        assert call(postgresql, "requeue").exit_code == 0
    assert_queue_is_true(postgresql)


# ---- by PostgreSQL's own trigger that drops an update which changes nothing -----------------------------------------


def test_rows_are_stamped_where_updates_that_change_nothing_are_dropped(postgresql: Database) -> None:
    """As PostgreSQL's documentation makes it, with a name that is to come last."""
    postgresql.execute("""
        CREATE TRIGGER z_min_update BEFORE UPDATE ON patients
        FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()""")
    insert_patients(postgresql, 1, first_id=1)
    with without_triggers(postgresql):
        postgresql.execute("UPDATE patients SET outcome = 1 WHERE id = 1")
        postgresql.execute(f"INSERT INTO patients (id, {COLUMNS}) VALUES (2, {VALUES})")
    assert the_json(call(postgresql, "requeue", "--json")) == {"mended": 2, "requeued": 0, "below_predicted": 0}
    assert "rows_unseen" not in call(postgresql, "health").stderr
    assert_queue_is_true(postgresql)
    assert_stamped(postgresql)


def test_health_tells_of_new_rows_without_an_outcome_alone_whatever_became_of_version_0(database: Database) -> None:
    with without_triggers(database):
        database.execute(f"INSERT INTO patients (id, {COLUMNS}) VALUES (11, {VALUES}), (12, {VALUES}), (13, {VALUES})")
        # A labelled row has no need of a version.
        database.execute(f"""
            INSERT INTO patients (id, {COLUMNS}, outcome, labelled_at)
            VALUES (14, {VALUES}, 1, '2026-01-01T00:00:00.000Z')""")
    # Those of earlier rows of these ids.
    database.execute("""
        INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability, predicted_class,
                                 threshold)
        VALUES (12, 0, 1, 1, 0.5, 1, 0.5)""")
    database.execute("""
        INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
        VALUES (13, 0, 1, 'missing', 'age')""")
    unwell = call(database, "health")
    assert "rows_unseen: 3 patients" in unwell.stderr
    assert "or neither outcome nor version" in unwell.stderr
    assert the_json(call(database, "requeue", "--json")) == {"mended": 3, "requeued": 0, "below_predicted": 0}
    assert [entry[0] for entry in queue(database)] == [11, 12, 13]
    assert_queue_is_true(database)
    assert database.value("SELECT min(version) FROM patients WHERE outcome IS NULL") > 0
    assert "rows_unseen" not in call(database, "health").stderr


def test_what_health_counts_of_patients_is_found_by_an_index_that_is_empty(database: Database) -> None:
    insert_many(database, 5_000)
    database.execute("ANALYZE patients")
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    for asked in ("SELECT * FROM unseen_rows", "SELECT patient_id FROM patient_versions WHERE lacks_stamps"):
        plan = " ".join(str(row) for row in database.execute(f"{explain} {asked}"))
        assert "ix_patients_unstamped" in plan, asked
