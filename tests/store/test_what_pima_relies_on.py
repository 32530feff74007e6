"""What a clinic may hang on the tables, and what is refused by name, as what-pima-relies-on.md has
it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from sqlalchemy import Connection, text

from pima.errors import SchemaDiffers
from pima.store import schema
from pima.store.engine import writing
from pima.store.tables import TABLES
from tests.support.databases import Database, call, insert_patients, server_version
from tests.support.rows import COLUMNS, VALUES, assert_queue_is_true, patient, queue
from tests.support.shipped import HOLDOUT

# ---- let be

AUDIT = """CREATE TABLE audit (patient_id BIGINT, what TEXT);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit VALUES (coalesce(NEW.id, OLD.id), TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE
        ON patients FOR EACH ROW EXECUTE FUNCTION audit()"""
DERIVES = """CREATE FUNCTION derives() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE patients SET bmi = 33.3 WHERE id = NEW.id AND bmi IS DISTINCT FROM 33.3; RETURN NULL;
            END $$;
    CREATE TRIGGER {name} AFTER INSERT OR UPDATE
        ON patients FOR EACH ROW EXECUTE FUNCTION derives()"""
SETS_UPDATED_AT = """CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.updated_at := now(); RETURN NEW; END $$;
    CREATE TRIGGER set_updated_at BEFORE UPDATE
        ON patients FOR EACH ROW EXECUTE FUNCTION set_updated_at()"""
LET_BE = {
    "an audit trigger": AUDIT,
    "an AFTER trigger that writes to the row, before ours": DERIVES.format(name="a_derives"),
    "an AFTER trigger that writes to the row, after ours": DERIVES.format(name="zzzz_derives"),
    "a BEFORE trigger": SETS_UPDATED_AT,
    "a foreign key": (
        "CREATE TABLE visits (patient_id BIGINT REFERENCES patients (id) ON DELETE CASCADE)"
    ),
    "an index": "CREATE INDEX clinic ON patients (glucose)",
    "columns of the clinic's": (
        "ALTER TABLE patients ADD kept TEXT, ADD patient_id BIGINT, ADD patient_version BIGINT"
    ),
    "a view": "CREATE VIEW wards AS SELECT id, glucose FROM patients",
    "a grant": "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
    "a comment": "COMMENT ON TABLE patients IS 'ours'",
    "a publication": "CREATE PUBLICATION clinic FOR ALL TABLES",
    "a replica identity": "ALTER TABLE patients REPLICA IDENTITY FULL",
    "a schema that comes first": 'CREATE SCHEMA "postgres"',
}


@pytest.mark.parametrize("what", LET_BE)
def test_what_hospitals_hang_on_patients_is_let_be(
    server: str, postgresql: Database, what: str
) -> None:
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(LET_BE[what])
    try:
        schema.require_schema(postgresql.engine)
        insert_patients(postgresql, 6, first_id=1)
        postgresql.execute("UPDATE patients SET glucose = 160 WHERE id IN (1, 2)")
        postgresql.execute("UPDATE patients SET outcome = 1 WHERE id IN (2, 3)")
        postgresql.execute("UPDATE patients SET outcome = NULL WHERE id = 3")
        postgresql.execute("DELETE FROM patients WHERE id = 4")
        brings = f"""
            MERGE INTO patients p USING (VALUES (5), (7)) AS brought (id) ON p.id = brought.id
            WHEN MATCHED THEN UPDATE SET age = 61
            WHEN NOT MATCHED THEN INSERT (id, {COLUMNS}) VALUES (brought.id, {VALUES})"""
        if server_version(server) < 15:  # which has no MERGE
            brings = f"""
                INSERT INTO patients (id, {COLUMNS}) VALUES (5, {VALUES}), (7, {VALUES})
                ON CONFLICT (id) DO UPDATE SET age = 61"""
        postgresql.execute(brings)
        assert [row[0] for row in queue(postgresql)] == [1, 3, 5, 6, 7]
        assert_queue_is_true(postgresql)
    finally:
        postgresql.execute("DROP SCHEMA IF EXISTS postgres")


ROUNDS = """CREATE FUNCTION rounds() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.glucose := 5 * ceil(NEW.glucose / 5); RETURN NEW; END $$;
    CREATE TRIGGER "{name}" BEFORE INSERT OR UPDATE
        ON patients FOR EACH ROW EXECUTE FUNCTION rounds()"""


def test_what_a_before_trigger_makes_of_a_row_is_what_waits(postgresql: Database) -> None:
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(ROUNDS.format(name="rounds"))
    insert_patients(postgresql, 1, first_id=1, glucose=151)
    before = patient(postgresql, 1)
    postgresql.execute("UPDATE patients SET glucose = 156")
    after = patient(postgresql, 1)
    assert (before.glucose, after.glucose) == (155, 160)
    assert after.version > before.version
    assert_queue_is_true(postgresql)
    postgresql.execute("DELETE FROM scoring_queue")
    postgresql.execute("UPDATE patients SET glucose = 159")  # rounded to what stands there already
    assert patient(postgresql, 1).version == after.version
    assert queue(postgresql) == []


JUDGES = """CREATE FUNCTION judges() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NULL; END $$;
    CREATE TRIGGER judges AFTER INSERT OR UPDATE ON patients FOR EACH ROW
    WHEN (NEW.glucose > 300 AND NEW.outcome IS NULL) EXECUTE FUNCTION judges()"""
LABELS = "UPDATE patients SET outcome = 1 WHERE id = NEW.id"
DOES = {
    "labels it": LABELS,
    "labels it and clears another": (
        f"{LABELS}; UPDATE patients SET outcome = NULL WHERE id = NEW.id - 1"
    ),
    "deletes it": "DELETE FROM patients WHERE id = NEW.id",
}
UPSERT = f"""
    INSERT INTO patients (id, {COLUMNS}) SELECT n, {VALUES.replace("148", "290 + n")}
        FROM generate_series(2, 14, 3) n
    ON CONFLICT (id) DO UPDATE SET glucose = EXCLUDED.glucose"""


@pytest.mark.parametrize("does", DOES)
def test_a_row_that_a_trigger_labels_or_deletes_as_it_is_written_does_not_wait(
    postgresql: Database, does: str
) -> None:
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(JUDGES.format(does=DOES[does]))
    insert_patients(postgresql, 2, first_id=1)
    insert_patients(postgresql, 1, first_id=3, glucose=400)
    assert_queue_is_true(postgresql)
    with writing(postgresql.engine) as connection:
        for statement in (
            (
                f"INSERT INTO patients (id, {COLUMNS}) SELECT n, {VALUES} FROM generate_series(11, "
                "30) n"
            ),
            "UPDATE patients SET glucose = 400 WHERE id IN (1, 11)",
            "UPDATE patients SET glucose = 200 + 10 * id, age = 60 WHERE id >= 5",
            UPSERT,
            "UPDATE patients SET age = 61 WHERE outcome IS NULL",
        ):
            savepoint = connection.begin_nested()
            connection.execute(text(statement))
            savepoint.rollback()
            connection.execute(text(statement))
    assert_queue_is_true(postgresql)
    assert postgresql.value("SELECT count(*) FROM scoring_queue") > 0


@contextmanager
def as_a_replica(database: Database) -> Iterator[Connection]:
    with writing(database.engine) as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


def test_what_a_loader_in_the_role_of_a_replica_writes_is_queued(postgresql: Database) -> None:
    """AWS DMS, and other loaders, write so."""
    insert_patients(postgresql, 4, first_id=1)
    before = {n: patient(postgresql, n).version for n in range(1, 5)}
    with as_a_replica(postgresql) as connection:
        connection.execute(
            text(
                f"INSERT INTO patients (id, {COLUMNS}) SELECT n, {VALUES} FROM "
                "generate_series(11, 13) n"
            )
        )
        connection.execute(text("UPDATE patients SET glucose = 90 WHERE id = 1"))
        connection.execute(text("UPDATE patients SET outcome = 1 WHERE id IN (2, 12)"))
        connection.execute(text("DELETE FROM patients WHERE id IN (3, 13)"))
    assert patient(postgresql, 1).version > before[1]
    assert patient(postgresql, 2).version == before[2]
    assert [entry[0] for entry in queue(postgresql)] == [1, 4, 11]
    assert_queue_is_true(postgresql)
    with as_a_replica(postgresql) as connection:
        connection.execute(text("UPDATE patients SET outcome = NULL WHERE id = 2"))
        connection.execute(text("UPDATE patients SET age = age"))
    assert patient(postgresql, 2).version > before[2]
    assert patient(postgresql, 4).version == before[4]
    assert_queue_is_true(postgresql)
    with as_a_replica(postgresql) as connection:
        connection.execute(text("TRUNCATE patients"))
    assert queue(postgresql) == []


REPLACED = f"""
    WITH gone AS (DELETE FROM patients RETURNING *)
    INSERT INTO patients (id, {COLUMNS}, outcome)
    SELECT id - {{moved}}, {COLUMNS.replace("glucose", "glucose + 1")}, {{outcome}} FROM gone"""


def test_rows_deleted_and_inserted_in_one_statement(postgresql: Database) -> None:
    # With a LIMIT the DELETE is still going when the INSERT is done, and its trigger fires last.
    ways = product([(None, "NULL"), (None, "1"), (0, "NULL")], [0, 1], ["", "LIMIT 3"])
    for (before, outcome), moved, last in ways:
        insert_patients(postgresql, 3, first_id=2, outcome=before)
        newest = postgresql.value("SELECT max(version) FROM patients")
        postgresql.execute(f"{REPLACED.format(moved=moved, outcome=outcome)} {last}")
        assert postgresql.execute("SELECT id FROM patients ORDER BY id") == [
            (n - moved,) for n in (2, 3, 4)
        ]
        assert postgresql.value("SELECT min(version) FROM patients") > newest
        assert len(queue(postgresql)) == (3 if outcome == "NULL" else 0)
        assert_queue_is_true(postgresql)
        postgresql.execute("DELETE FROM patients")


# ---- refused

OTHER = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
REFUSED = {
    "a BEFORE trigger behind ours": (
        ROUNDS.format(name="zzzz_rounds"),
        "zzzz_rounds fires after zzz_patients_inserted",
    ),
    "one by its bytes": (ROUNDS.format(name="é"), "é fires after zzz_patients_inserted"),
    "a BEFORE trigger on another table": (
        (
            f"{OTHER}; CREATE TRIGGER drops BEFORE INSERT ON predictions FOR EACH ROW EXECUTE "
            "FUNCTION other()"
        ),
        "the BEFORE trigger drops on predictions",
    ),
    "a rule": (
        "CREATE RULE nothing AS ON INSERT TO predictions DO INSTEAD NOTHING",
        "predictions has a rule",
    ),
    "row security": ("ALTER TABLE patients ENABLE ROW LEVEL SECURITY", "patients has row security"),
    "a child": (
        "CREATE TABLE children () INHERITS (patients)",
        "patients has child tables or is one",
    ),
    "a parent": (
        "CREATE TABLE everybody (LIKE patients); ALTER TABLE patients INHERIT everybody",
        "patients has child tables or is one",
    ),
    "partitions": (
        """ALTER TABLE predictions RENAME TO one_part;
        CREATE TABLE predictions (LIKE one_part) PARTITION BY RANGE (patient_version);
        ALTER TABLE predictions ATTACH PARTITION one_part DEFAULT""",
        "predictions has child tables or is one",
    ),
    "an unlogged table": ("ALTER TABLE scoring_queue SET UNLOGGED", "scoring_queue is unlogged"),
    "a subscription": (
        """CREATE SUBSCRIPTION pima_test CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false);
        INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
        SELECT oid, 'patients'::regclass, 'r' FROM pg_subscription WHERE subname = 'pima_test'""",
        "a subscription writes to patients",
    ),
    "another body": (
        OTHER.replace("FUNCTION other", "OR REPLACE FUNCTION dequeue_deleted"),
        "the function dequeue_deleted",
    ),
    "no fixed search_path": (
        "ALTER FUNCTION enqueue_updated() RESET search_path",
        "the function enqueue_updated",
    ),
    "the writer's rights": (
        "ALTER FUNCTION enqueue_updated() SECURITY INVOKER",
        "the function enqueue_updated",
    ),
    "another function": (
        f"""{OTHER}; CREATE OR REPLACE TRIGGER patients_deleted AFTER DELETE ON patients
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION other()""",
        "the trigger patients_deleted on patients",
    ),
    "another event": (
        (
            "CREATE OR REPLACE TRIGGER patients_deleted AFTER TRUNCATE ON patients EXECUTE FUNCTION "
            "dequeue_deleted()"
        ),
        "the trigger patients_deleted on patients",
    ),
    "a condition": (
        """CREATE OR REPLACE TRIGGER zzz_patients_updated BEFORE UPDATE ON patients FOR EACH ROW
        WHEN (NEW.age > 30) EXECUTE FUNCTION stamp_update()""",
        "zzz_patients_updated on patients",
    ),
    "a trigger that is off": (
        "ALTER TABLE patients DISABLE TRIGGER patients_inserted",
        "the trigger patients_inserted",
    ),
    "all triggers off": (
        "ALTER TABLE patients DISABLE TRIGGER USER",
        "is missing, or is not ENABLE ALWAYS",
    ),
    # As pg_restore --disable-triggers leaves it.
    "triggers on as others are": (
        "ALTER TABLE patients ENABLE TRIGGER USER",
        "is missing, or is not ENABLE ALWAYS",
    ),
}
MENDED_BY_MIGRATE = list(REFUSED)[10:]


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_undo_the_triggers_work_is_refused_by_name(
    postgresql: Database, what: str
) -> None:
    statement, said = REFUSED[what]
    schema.require_schema(postgresql.engine)
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(SchemaDiffers, match=re.escape(said)):
        schema.require_schema(postgresql.engine)
    if what in MENDED_BY_MIGRATE:
        assert said in (schema.migrate(postgresql.engine, HOLDOUT).made_anew or "")
        assert schema.migrate(postgresql.engine, HOLDOUT).made_anew is None
        schema.require_schema(postgresql.engine)
        insert_patients(postgresql, 2)
        postgresql.execute("UPDATE patients SET glucose = 90")
        assert_queue_is_true(postgresql)
    if what == "a subscription":
        postgresql.execute("ALTER SUBSCRIPTION pima_test SET (slot_name = NONE)")
        with postgresql.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(text("DROP SUBSCRIPTION pima_test"))


def test_any_trigger_of_anybody_else_is_refused_on_sqlite(sqlite: Database) -> None:
    sqlite.execute("CREATE TABLE audit (what TEXT)")
    sqlite.execute("CREATE TRIGGER on_audit AFTER INSERT ON audit BEGIN DELETE FROM audit; END")
    schema.require_schema(sqlite.engine)  # on a table of the clinic's own
    for table in TABLES:
        sqlite.execute(
            f"CREATE TRIGGER audits AFTER INSERT ON {table} BEGIN INSERT INTO audit VALUES "
            "('came'); END"
        )
        with pytest.raises(
            SchemaDiffers, match=f"the trigger audits on {table} is not one of pima's"
        ):
            schema.require_schema(sqlite.engine)
        assert table.name != "runs" or call(sqlite, "score").exit_code == 2
        sqlite.execute("DROP TRIGGER audits")


@pytest.mark.parametrize("statement", ["DROP TRIGGER patients_deleted", None])
def test_a_trigger_that_is_gone_or_does_something_else_is_refused_on_sqlite(
    sqlite: Database, statement: str | None
) -> None:
    sqlite.execute("DROP TRIGGER patients_deleted")
    if statement is None:
        sqlite.execute(
            "CREATE TRIGGER patients_deleted AFTER DELETE ON patients BEGIN DELETE FROM loads; END"
        )
    with pytest.raises(SchemaDiffers, match="the trigger patients_deleted on patients is"):
        schema.require_schema(sqlite.engine)
    assert call(sqlite, "migrate").exit_code == 0
    schema.require_schema(sqlite.engine)
