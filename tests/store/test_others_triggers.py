"""A clinic's own triggers on `patients` beside ours: what they make of a row, in whatever order, is what waits."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from pima.errors import SchemaDiffers
from pima.store import queue as store_queue
from pima.store import schema
from pima.store.engine import writing
from tests.conftest import Database, call, insert_patients, without_triggers
from tests.store.rows import COLUMNS, VALUES, assert_queue_is_true, patient, queue

# What a clinic's trigger does to the row that fires it, and how one sets it off.
CHANGES = {
    "derives a measurement": "UPDATE patients SET bmi = 33.3 WHERE id = NEW.id AND bmi IS NULL",
    "sets the outcome": "UPDATE patients SET outcome = 1 WHERE id = NEW.id AND outcome IS NULL",
    "clears the outcome": "UPDATE patients SET outcome = NULL WHERE id = NEW.id AND outcome IS NOT NULL",
    "takes the row away": "DELETE FROM patients WHERE id = NEW.id",
    "sets the outcome and takes it back": """
        UPDATE patients SET outcome = 1 WHERE id = NEW.id; UPDATE patients SET outcome = NULL WHERE id = NEW.id""",
}
# PostgreSQL fires statement triggers behind row triggers, and each kind by name; SQLite in no promised order.
FIRES = {
    "sqlite": ("row, made before ours", "row, made after ours"),
    "postgresql": ("row", "statement, before ours", "statement, after ours"),
}


def add_trigger(database: Database, event: str, body: str, how: str) -> None:
    """A trigger of the clinic's on patients that runs `body`, with NEW (of a deleted row OLD) being the row."""
    if database.kind == "sqlite":
        with writing(database.engine) as connection:
            made = [row.sql for row in connection.execute(text(OUR_TRIGGERS))] if "before" in how else []
            for statement in made:
                connection.execute(text(f"DROP TRIGGER {statement.split()[2]}"))
            once = "WHEN (SELECT count(*) FROM fired) = 0"
            connection.execute(text("CREATE TABLE IF NOT EXISTS fired (n INTEGER)"))
            connection.exec_driver_sql(
                f"CREATE TRIGGER clinic AFTER {event} ON patients {once} "
                f"BEGIN INSERT INTO fired VALUES (1); {body}; DELETE FROM fired; END"
            )
            for statement in made:
                connection.exec_driver_sql(statement)
        return
    once = "IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;"
    if how == "row":
        name, level, loop, end = "clinic", "FOR EACH ROW", "", ""
    else:
        table = "OLD" if event == "DELETE" else "NEW"
        level = f"REFERENCING {table} TABLE AS changed FOR EACH STATEMENT"
        name = "aaa_clinic" if "before" in how else "zzz_clinic"
        loop, end = "FOR r IN SELECT * FROM changed LOOP", "END LOOP;"
        body = body.replace("NEW.", "r.").replace("OLD.", "r.")
    database.execute(
        f"CREATE FUNCTION clinic() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r RECORD; "
        f"BEGIN {once} {loop} {body}; {end} RETURN NULL; END $$".replace(":", "\\:")
    )
    database.execute(f"CREATE TRIGGER {name} AFTER {event} ON patients {level} EXECUTE FUNCTION clinic()")


OUR_TRIGGERS = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'patients\\_%' ESCAPE '\\'"
WAYS = [(kind, how) for kind, hows in FIRES.items() for how in hows]


def assert_all_is_true(database: Database) -> None:
    """The queue is the unlabelled rows as they are; an outcome has its time, and no other row has one."""
    assert_queue_is_true(database)
    assert database.value("SELECT count(*) FROM patients WHERE (outcome IS NULL) <> (labelled_at IS NULL)") == 0


UPDATES = (
    "glucose = 90, bmi = NULL",
    "outcome = 0",
    "outcome = NULL",
    "outcome = 1, age = 60",
    "glucose = glucose + 1",
)


@pytest.mark.parametrize(("kind", "how"), WAYS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_what_a_trigger_makes_of_a_row_is_what_waits(
    request: pytest.FixtureRequest, kind: str, how: str, change: str, event: str
) -> None:
    database: Database = request.getfixturevalue(kind)
    add_trigger(database, event, CHANGES[change], how)
    for first_id, before in ((1, None), (11, 1)):
        for n, update in enumerate(UPDATES):
            insert_patients(database, 2, first_id=first_id + 2 * n, outcome=before, bmi=None)
            if (event, change) == ("INSERT", "derives a measurement"):
                assert patient(database, first_id + 2 * n).bmi == 33.3
            assert_all_is_true(database)
            database.execute(f"UPDATE patients SET {update} WHERE id >= {first_id + 2 * n}")
            assert_all_is_true(database)


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_a_row_that_a_trigger_brings_back_waits(request: pytest.FixtureRequest, kind: str, how: str) -> None:
    database: Database = request.getfixturevalue(kind)
    insert_patients(database, 2, first_id=1)
    again = f"INSERT INTO patients (id, {COLUMNS}) VALUES (OLD.id, {VALUES})"
    add_trigger(database, "DELETE", again, how)
    database.execute("DELETE FROM patients WHERE id = 1")
    assert [entry[0] for entry in queue(database)] == [1, 2]
    assert_all_is_true(database)


@pytest.mark.parametrize("name", ["aaa_clinic", "zzz_clinic"])
def test_rows_that_a_trigger_inserts_behind_a_truncate_wait(postgresql: Database, name: str) -> None:
    insert_patients(postgresql, 3)
    postgresql.execute(
        f"""CREATE FUNCTION clinic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO patients ({COLUMNS}) VALUES ({VALUES}); RETURN NULL; END $$""".replace(":", "\\:")
    )
    postgresql.execute(f"CREATE TRIGGER {name} AFTER TRUNCATE ON patients EXECUTE FUNCTION clinic()")
    postgresql.execute("TRUNCATE patients")
    assert len(queue(postgresql)) == 1
    assert_all_is_true(postgresql)


REPLACED = f"""
    WITH gone AS (DELETE FROM patients RETURNING *)
    INSERT INTO patients (id, {COLUMNS}, outcome)
    SELECT id - {{moved}}, {COLUMNS.replace("glucose", "glucose + 1")}, {{outcome}} FROM gone"""


# With a LIMIT the DELETE is still going when the INSERT is done, and its trigger fires last.
@pytest.mark.parametrize("last", ["", "LIMIT 3"])
@pytest.mark.parametrize("moved", [0, 1])
@pytest.mark.parametrize(("before", "outcome"), [(None, "NULL"), (None, "1"), (0, "NULL")])
def test_rows_deleted_and_inserted_in_one_statement(
    postgresql: Database, before: int | None, outcome: str, moved: int, last: str
) -> None:
    insert_patients(postgresql, 3, first_id=2, outcome=before)
    newest = postgresql.value("SELECT max(version) FROM patients")
    postgresql.execute(f"{REPLACED.format(moved=moved, outcome=outcome)} {last}")
    assert postgresql.execute("SELECT id FROM patients ORDER BY id") == [(n - moved,) for n in (2, 3, 4)]
    assert postgresql.value("SELECT min(version) FROM patients") > newest
    assert len(queue(postgresql)) == (3 if outcome == "NULL" else 0)
    assert_all_is_true(postgresql)


def test_an_entry_never_gives_way_to_an_older_version(postgresql: Database) -> None:
    insert_patients(postgresql, 1, first_id=1)
    postgresql.execute("UPDATE scoring_queue SET patient_version = 1000")
    postgresql.execute("UPDATE patients SET glucose = 90")
    assert postgresql.value("SELECT patient_version FROM scoring_queue") == 1000


ROUND_UP = """CREATE FUNCTION clinic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.glucose := 5 * ceil(NEW.glucose / 5); RETURN NEW; END $$""".replace(":", "\\:")


def test_what_a_before_trigger_changes_draws_a_version(postgresql: Database) -> None:
    """BEFORE triggers fire by name: one that the clinic names like a word of its own comes ahead of ours."""
    postgresql.execute(ROUND_UP)
    postgresql.execute(
        "CREATE TRIGGER rounded BEFORE INSERT OR UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION clinic()"
    )
    insert_patients(postgresql, 1, first_id=1, glucose=151)
    before = patient(postgresql, 1)
    postgresql.execute("DELETE FROM scoring_queue")
    postgresql.execute("UPDATE patients SET glucose = 156")
    after = patient(postgresql, 1)
    assert (before.glucose, after.glucose) == (155, 160)
    assert after.version > before.version
    assert_all_is_true(postgresql)
    schema.require_schema(postgresql.engine)
    postgresql.execute("DELETE FROM scoring_queue")
    postgresql.execute("UPDATE patients SET glucose = 159")  # rounded to what stands there already
    assert patient(postgresql, 1).version == after.version
    assert queue(postgresql) == []


@pytest.mark.parametrize("name", ["zzzz_rounded", "~rounded", "é"])
def test_a_before_trigger_behind_ours_is_named(postgresql: Database, name: str) -> None:
    postgresql.execute(ROUND_UP)
    how = "BEFORE INSERT OR UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION clinic()"
    postgresql.execute(f'CREATE TRIGGER "{name}" {how}')
    with pytest.raises(SchemaDiffers, match=f"{name} fires after"):
        schema.require_schema(postgresql.engine)
    postgresql.execute(f'ALTER TABLE patients DISABLE TRIGGER "{name}"')
    schema.require_schema(postgresql.engine)


# ---- a version is above every earlier one of its row ----------------------------------------------------------------


# What holds a version that the counter is behind.
AT_1000 = {
    "patients": "UPDATE patients SET version = 1000 WHERE id = 2",
    "scoring_queue": "UPDATE scoring_queue SET patient_version = 1000 WHERE patient_id = 1",
    "predictions": """INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability,
        predicted_class, threshold) VALUES (1, 1000, 1, 1, 0.5, 1, 0.5)""",
    "rejections": """INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
        VALUES (1, 1000, 1, 'out_of_range', 'age')""",
}
SET_BACK = {
    "sqlite": "UPDATE patient_version_counter SET last = 2",
    "postgresql": "SELECT setval('patient_version', 2)",
}


@pytest.mark.parametrize("command", ["migrate", "requeue"])
@pytest.mark.parametrize("table", AT_1000)
def test_a_counter_behind_the_versions_that_are_there_is_raised(database: Database, table: str, command: str) -> None:
    """As where rows were restored without it: a row that is deleted and inserted again would have a version twice."""
    insert_patients(database, 2, first_id=1)
    with without_triggers(database):
        database.execute(AT_1000[table])
    database.execute(SET_BACK[database.kind])
    assert call(database, command).exit_code == 0
    for patient_id in (1, 2):
        database.execute("DELETE FROM patients WHERE id = :id", {"id": patient_id})
        insert_patients(database, 1, first_id=patient_id)
        assert patient(database, patient_id).version > 1000
    raised = patient(database, 2).version
    assert call(database, command).exit_code == 0
    insert_patients(database, 1, first_id=3)
    assert patient(database, 3).version == raised + 1  # where it is above them it stays
    assert_all_is_true(database)


def test_versions_that_another_session_has_drawn_ahead_are_given_up(postgresql: Database) -> None:
    postgresql.execute("ALTER SEQUENCE patient_version CACHE 50")
    insert = text(f"INSERT INTO patients ({COLUMNS}) VALUES ({VALUES}) RETURNING version")
    with (
        postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as one,
        postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other,
    ):
        for session in (one, other):
            session.execute(insert)
        assert call(postgresql, "score").exit_code == 2
        assert call(postgresql, "migrate").exit_code == 0
        versions = [session.scalar(insert) for session in (other, one, other, one)]
    assert versions == sorted(versions)


# ---- writers whose snapshot is older than an entry ------------------------------------------------------------------

SNAPSHOTS = [("origin", "SERIALIZABLE"), ("replica", "REPEATABLE READ")]


@pytest.mark.parametrize(("session", "level"), SNAPSHOTS)
@pytest.mark.parametrize(
    "statement", ["UPDATE patients SET outcome = 1 WHERE id = 1", "DELETE FROM patients WHERE id = 1"]
)
def test_a_row_that_requeue_queued_behind_a_snapshot_is_written_again_from_the_beginning(
    postgresql: Database, level: str, session: str, statement: str
) -> None:
    with (
        _behind_a_snapshot(postgresql, level, session) as writer,
        pytest.raises(OperationalError, match="could not serialize"),
    ):
        writer.execute(text(statement))
    assert_queue_is_true(postgresql)
    postgresql.execute(statement)
    assert_queue_is_true(postgresql)


@pytest.mark.parametrize(("session", "level"), SNAPSHOTS)
def test_a_truncate_takes_entries_that_its_snapshot_does_not_see(
    postgresql: Database, level: str, session: str
) -> None:
    with _behind_a_snapshot(postgresql, level, session) as writer:
        writer.execute(text("TRUNCATE patients"))
        writer.commit()
    assert queue(postgresql) == []


@contextmanager
def _behind_a_snapshot(postgresql: Database, level: str, session: str) -> Iterator[Connection]:
    """A writer's connection in a transaction whose snapshot does not see the entries that requeue has made."""
    insert_patients(postgresql, 2, first_id=1)
    postgresql.execute("DELETE FROM scoring_queue")
    with postgresql.engine.connect().execution_options(isolation_level=level) as writer:
        writer.execute(text(f"SET LOCAL session_replication_role = {session}"))
        writer.execute(text("SELECT count(*) FROM predictions"))  # the snapshot is taken here
        with writing(postgresql.engine) as connection:
            assert store_queue.requeue_lost(connection) == 2
        yield writer


@pytest.mark.parametrize(("session", "level"), SNAPSHOTS)
@pytest.mark.parametrize("outcome", ["NULL", "1"])
def test_an_id_that_somebody_has_deleted_behind_a_snapshot_is_inserted_from_the_beginning(
    postgresql: Database, level: str, session: str, outcome: str
) -> None:
    """Two rows of that id would be seen, and the deleted one's version might be queued again."""
    insert_patients(postgresql, 2, first_id=1)
    insert = f"INSERT INTO patients (id, outcome, {COLUMNS}) VALUES (1, {outcome}, {VALUES})"
    with postgresql.engine.connect().execution_options(isolation_level=level) as writer:
        writer.execute(text(f"SET LOCAL session_replication_role = {session}"))
        writer.execute(text("SELECT count(*) FROM predictions"))  # the snapshot is taken here
        postgresql.execute("DELETE FROM patients WHERE id = 1")
        with pytest.raises(OperationalError, match="another transaction has deleted a row of this id"):
            writer.execute(text(insert))
        writer.rollback()
        writer.execute(text(f"SET LOCAL session_replication_role = {session}"))
        writer.execute(text(insert))
        writer.commit()
    assert_all_is_true(postgresql)


@pytest.mark.parametrize("session", ["origin", "replica"])
def test_an_ordinary_write_under_an_old_snapshot_is_as_ever(postgresql: Database, session: str) -> None:
    insert_patients(postgresql, 4, first_id=1)
    with postgresql.engine.connect().execution_options(isolation_level="SERIALIZABLE") as writer:
        writer.execute(text(f"SET LOCAL session_replication_role = {session}"))
        writer.execute(text("UPDATE patients SET outcome = 1 WHERE id = 1"))
        writer.execute(text("DELETE FROM patients WHERE id = 2"))
        writer.execute(text("UPDATE patients SET glucose = 90 WHERE id = 3"))
        writer.commit()
    assert [entry[0] for entry in queue(postgresql)] == [3, 4]
    assert_all_is_true(postgresql)


def test_a_column_of_the_clinics_may_bear_the_name_of_a_variable(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE patients ADD touched boolean DEFAULT true")
    with writing(postgresql.engine) as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"INSERT INTO patients ({COLUMNS}) VALUES ({VALUES})"))
    assert_all_is_true(postgresql)
