"""What someone may do to the schema by hand, and what each run says of it before it touches a row."""

import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pima.errors import SchemaDiffers
from pima.settings.sections import DatabaseSettings
from pima.store import schema
from pima.store.engine import make_engine
from pima.store.tables import TABLES, VIEWS
from tests.conftest import HOLDOUT, Database, call, insert_patients, the_json
from tests.store.rows import COLUMNS, VALUES, assert_queue_is_true

OTHER_FUNCTION = """CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"""
TAMPERED = {
    "switched to replicas": (
        "ALTER TABLE patients ENABLE REPLICA TRIGGER patients_inserted",
        "patients_inserted on patients is not the one that was made: it was set to fire in other sessions",
    ),
    "no longer in all sessions": (
        "ALTER TABLE patients ENABLE TRIGGER zzz_patients_stamped",
        "ALTER TABLE patients ENABLE ALWAYS TRIGGER",
    ),
    "disabled": ("ALTER TABLE patients DISABLE TRIGGER USER", "missing or disabled"),
    "another function": (
        f"""{OTHER_FUNCTION}; CREATE OR REPLACE TRIGGER patients_deleted AFTER DELETE ON patients
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION other()""",
        "patients_deleted on patients is not the one that was made: it calls another function",
    ),
    "another body": (
        OTHER_FUNCTION.replace("CREATE FUNCTION other", "CREATE OR REPLACE FUNCTION dequeue_deleted"),
        "the function dequeue_deleted does something else",
    ),
    "another event": (
        "CREATE OR REPLACE TRIGGER patients_deleted AFTER TRUNCATE ON patients EXECUTE FUNCTION dequeue_deleted()",
        "patients_deleted on patients is not the one that was made: it fires at other events",
    ),
    "a condition": (
        """CREATE OR REPLACE TRIGGER zzz_patients_stamped BEFORE INSERT OR UPDATE ON patients FOR EACH ROW
        WHEN (NEW.age > 30) EXECUTE FUNCTION stamp_patient();
        ALTER TABLE patients ENABLE ALWAYS TRIGGER zzz_patients_stamped""",
        "zzz_patients_stamped on patients is not the one that was made: it is for other rows",
    ),
    "some columns only": (
        """CREATE OR REPLACE TRIGGER zzz_patients_stamped BEFORE INSERT OR UPDATE OF outcome ON patients FOR EACH ROW
        EXECUTE FUNCTION stamp_patient(); ALTER TABLE patients ENABLE ALWAYS TRIGGER zzz_patients_stamped""",
        "zzz_patients_stamped on patients is not the one that was made: it calls another function, or not always",
    ),
    "somebody else's function": (
        "CREATE ROLE pima_other_owner; ALTER FUNCTION enqueue_inserted() OWNER TO pima_other_owner",
        "patients_inserted on patients is not the one that was made: its function belongs to pima_other_owner",
    ),
    "no fixed search_path": (
        "ALTER FUNCTION enqueue_updated() RESET search_path",
        "enqueue_updated has other settings",
    ),
    "the writer's rights": (
        "ALTER FUNCTION enqueue_updated() SECURITY INVOKER",
        "enqueue_updated does something else",
    ),
    "versions drawn ahead": ("ALTER SEQUENCE patient_version CACHE 50", "the sequence patient_version is not BIGINT"),
    "versions that go down": (
        "ALTER SEQUENCE patient_version INCREMENT -1",
        "the sequence patient_version is not BIGINT",
    ),
    "no versions": ("DROP SEQUENCE patient_version", "the sequence patient_version is missing"),
    "versions that come again": ("ALTER SEQUENCE patient_version CYCLE", "the sequence patient_version is not BIGINT"),
    "versions that a crash forgets": (
        "ALTER SEQUENCE patient_version SET UNLOGGED",
        "the sequence patient_version is not BIGINT",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_trigger_that_was_tampered_with_is_told_and_made_anew(postgresql: Database, what: str) -> None:
    statement, said = TAMPERED[what]
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    refused = call(postgresql, "score")
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "python -m jobs.migrate" in refused.stderr
    migrated = call(postgresql, "migrate")
    assert migrated.exit_code == 0
    assert said in migrated.stdout
    assert "python -m jobs.requeue" in migrated.stdout
    assert call(postgresql, "migrate").stdout == f"the schema is at revision {schema.HEAD}, nothing to do\n"
    assert call(postgresql, "score").exit_code == 0
    insert_patients(postgresql, 2)
    postgresql.execute("UPDATE patients SET glucose = 90")
    assert_queue_is_true(postgresql)


def test_a_renamed_table_with_a_copy_in_its_place_is_told(sqlite: Database) -> None:
    insert_patients(sqlite, 2)
    path = make_url(sqlite.url).database
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'patients'").fetchone()
        connection.execute("ALTER TABLE patients RENAME TO patients_old")
        connection.execute(made)
        connection.execute("INSERT INTO patients SELECT * FROM patients_old")
    refused = call(sqlite, "score")
    assert refused.exit_code == 2
    assert "patients is not as it was made: it lacks UNIQUE INDEX ix_patients_source_source_key" in refused.stderr


def test_a_table_renamed_there_and_back_is_the_same(sqlite: Database) -> None:
    views = sqlite.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
    for name, _ in views:
        sqlite.execute(f"DROP VIEW {name}")
    sqlite.execute("ALTER TABLE patients RENAME TO elsewhere")
    sqlite.execute("ALTER TABLE elsewhere RENAME TO patients")
    for _, made in views:
        sqlite.execute(made)
    schema.require_schema(sqlite.engine)


def test_a_trigger_that_does_something_else_is_told_on_sqlite(sqlite: Database) -> None:
    sqlite.execute("DROP TRIGGER patients_deleted")
    sqlite.execute("CREATE TRIGGER patients_deleted AFTER DELETE ON patients BEGIN DELETE FROM loads; END")
    with pytest.raises(SchemaDiffers, match="patients_deleted on patients is not the one that was made"):
        schema.require_schema(sqlite.engine)
    migrated = the_json(call(sqlite, "migrate", "--json"))
    told = "the trigger patients_deleted on patients is not the one that was made: it does something else"
    assert migrated == {"revision_before": schema.HEAD, "revision": schema.HEAD, "triggers_made_anew": told}
    schema.require_schema(sqlite.engine)


def test_after_a_schema_was_renamed_migrate_mends_the_triggers(postgresql: Database) -> None:
    postgresql.execute("ALTER SCHEMA public RENAME TO clinic")
    url = make_url(postgresql.url).update_query_dict({"options": "-csearch_path=clinic"})
    database = Database("postgresql", url.render_as_string(hide_password=False), postgresql.engine)
    refused = call(database, "score")
    assert refused.exit_code == 2
    assert "as after a schema was renamed" in refused.stderr
    assert call(database, "migrate").exit_code == 0
    assert call(database, "score").exit_code == 0
    engine = make_engine(database.url, DatabaseSettings())
    here = Database("postgresql", database.url, engine)
    insert_patients(here, 2)
    here.execute("UPDATE patients SET glucose = 90")
    assert_queue_is_true(here)
    engine.dispose()


@pytest.mark.parametrize(
    "statements",
    [
        ("patients", "CREATE TABLE children () INHERITS (patients)"),
        ("patients", "CREATE TABLE all_patients (LIKE patients)", "ALTER TABLE patients INHERIT all_patients"),
        (
            "predictions",
            "ALTER TABLE predictions RENAME TO one_part",
            "CREATE TABLE predictions (LIKE one_part) PARTITION BY RANGE (patient_version)",
            "ALTER TABLE predictions ATTACH PARTITION one_part DEFAULT",
        ),
    ],
)
def test_child_and_parent_tables_are_told(postgresql: Database, statements: tuple[str, ...]) -> None:
    table, *changes = statements
    for change in changes:
        postgresql.execute(change)
    with pytest.raises(SchemaDiffers, match=f"{table} has child tables or is one"):
        schema.require_schema(postgresql.engine)


def test_a_computed_measurement_is_told(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE patients ADD weight float8, ADD height float8, DROP COLUMN bmi")
    postgresql.execute("ALTER TABLE patients ADD bmi float8 GENERATED ALWAYS AS (weight / (height * height)) STORED")
    with pytest.raises(SchemaDiffers, match=r"patients\.bmi is double precision, computed where double precision was"):
        schema.require_schema(postgresql.engine)


@pytest.mark.parametrize("table", ["scoring_queue", "predictions", "rejections"])
def test_a_trigger_that_may_drop_what_is_written_is_told(database: Database, table: str) -> None:
    if database.kind == "sqlite":
        database.execute(f"CREATE TRIGGER drops AFTER INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END")
    else:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(OTHER_FUNCTION)
            connection.exec_driver_sql(
                f"CREATE TRIGGER drops BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION other()"
            )
    with pytest.raises(SchemaDiffers, match=f"drops on {table} could"):
        schema.require_schema(database.engine)


def test_a_trigger_that_tells_others_of_predictions_is_no_fault(postgresql: Database) -> None:
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(OTHER_FUNCTION)
        connection.exec_driver_sql(
            "CREATE TRIGGER tells AFTER INSERT ON predictions FOR EACH ROW EXECUTE FUNCTION other()"
        )
    schema.require_schema(postgresql.engine)


def test_a_schema_that_comes_first_is_no_fault(postgresql: Database) -> None:
    """As one that is named like the role does."""
    postgresql.execute("CREATE SCHEMA postgres")
    try:
        schema.require_schema(postgresql.engine)
        postgresql.execute("ALTER TABLE public.patients DISABLE TRIGGER USER")
        schema.migrate(postgresql.engine, HOLDOUT)
        schema.require_schema(postgresql.engine)
        insert_patients(postgresql, 1)
        assert_queue_is_true(postgresql)
    finally:
        postgresql.execute("DROP SCHEMA postgres")


def test_roles_may_use_the_schema_of_the_tables_whatever_comes_first(postgresql: Database) -> None:
    postgresql.execute("CREATE SCHEMA postgres")
    postgresql.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    assert postgresql.value("SELECT has_schema_privilege('pima_scorer', 'public', 'USAGE')")


@pytest.mark.parametrize(
    "hidden", ["alembic_version", "patients", "scoring_queue", "predictions", "champion", "unseen_rows"]
)
def test_a_table_of_the_same_name_in_a_schema_that_comes_first_is_told(postgresql: Database, hidden: str) -> None:
    whole = (
        "AS TABLE public.alembic_version" if hidden == "alembic_version" else f"(LIKE public.{hidden} INCLUDING ALL)"
    )
    postgresql.execute("CREATE SCHEMA clinic")
    postgresql.execute(f"CREATE TABLE clinic.{hidden} {whole}")
    url = make_url(postgresql.url).update_query_dict({"options": "-csearch_path=clinic,public"})
    whoever = Database("postgresql", url.render_as_string(hide_password=False), postgresql.engine)
    insert_patients(postgresql, 1)
    names = ("alembic_version is public.alembic_version", "clinic.patients")
    if hidden != "patients":
        names = (f"{hidden} is clinic.{hidden}", "public.patients")
    for job in ("score", "migrate", "health"):
        told = the_json(call(whoever, job, "--json"))
        message = told.get("message") or str(told["unhealthy"])
        assert all(name in message for name in names), told
    assert call(whoever, "score").exit_code == 2
    postgresql.execute("DROP SCHEMA clinic CASCADE")
    assert call(whoever, "migrate").exit_code == 0


def test_a_rule_is_told(postgresql: Database) -> None:
    postgresql.execute("CREATE RULE nothing AS ON INSERT TO predictions DO INSTEAD NOTHING")
    with pytest.raises(SchemaDiffers, match="predictions has a rule"):
        schema.require_schema(postgresql.engine)


@pytest.fixture
def scorer(postgresql: Database) -> Iterator[str]:
    role = f"pima_some_{uuid.uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {role} LOGIN")
    postgresql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    yield role
    postgresql.execute(f"DROP OWNED BY {role}")
    postgresql.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("table", [*(table.name for table in TABLES), "alembic_version"])
def test_row_security_is_told_to_those_whom_it_hides_rows_from(postgresql: Database, scorer: str, table: str) -> None:
    postgresql.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    insert_patients(postgresql, 3)
    url = make_url(postgresql.url).set(username=scorer).render_as_string(hide_password=False)
    refused = call(Database("postgresql", url, postgresql.engine), "score")
    assert refused.exit_code == 2
    assert f"row security hides rows of {table} from this role" in refused.stderr
    schema.require_schema(postgresql.engine)  # the owner sees all of them


@pytest.fixture
def owner(postgresql: Database) -> Iterator[str]:
    """A role without rights beyond what it owns, which is all of ours."""
    role = f"pima_some_{uuid.uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {role}")
    all_of_ours = f"""
        SELECT format('ALTER TABLE %s OWNER TO {role}', oid::regclass) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
        UNION ALL SELECT format('ALTER FUNCTION %s OWNER TO {role}', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace"""
    for (statement,) in postgresql.execute(all_of_ours):
        postgresql.execute(statement)
    yield role
    postgresql.execute(f"DROP OWNED BY {role} CASCADE")
    postgresql.execute(f"DROP ROLE {role}")


@pytest.fixture
def owner_of_patients(postgresql: Database) -> Iterator[str]:
    """A role that a table was given to, and nothing else."""
    role = f"pima_some_{uuid.uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {role}")
    postgresql.execute(f"GRANT ALL ON SCHEMA public TO {role}")
    postgresql.execute(f"ALTER TABLE patients OWNER TO {role}")
    yield role
    postgresql.execute(f"DROP OWNED BY {role} CASCADE")
    postgresql.execute(f"DROP ROLE {role}")


def test_the_functions_follow_the_table_to_another_owner(postgresql: Database, owner_of_patients: str) -> None:
    # What the functions write must be theirs to write.
    told = f"{owner_of_patients}, the owner of patients and of its triggers' functions, may not write row_keys"
    for job in ("score", "migrate"):
        refused = call(postgresql, job)
        assert (refused.exit_code, told in refused.stderr) == (2, True), refused
    for table in ("row_keys", "scoring_queue"):
        postgresql.execute(f"ALTER TABLE {table} OWNER TO {owner_of_patients}")
    postgresql.execute("ALTER FUNCTION enqueue_inserted() OWNER TO CURRENT_USER")
    whose = postgresql.value("SELECT current_user")
    refused = call(postgresql, "score")
    told = f"function belongs to {whose}, and patients to {owner_of_patients}"
    assert (refused.exit_code, told in refused.stderr) == (2, True), refused
    assert call(postgresql, "migrate").exit_code == 0
    insert_patients(postgresql, 2)
    postgresql.execute("UPDATE patients SET glucose = 90")
    assert_queue_is_true(postgresql)
    schema.require_schema(postgresql.engine)


HIDDEN_FROM_THE_OWNER = {
    "patients": "ALTER TABLE patients FORCE ROW LEVEL SECURITY",
    "scoring_queue": "ALTER TABLE scoring_queue OWNER TO CURRENT_USER; GRANT ALL ON scoring_queue TO {owner}",
}


@pytest.mark.parametrize("table", HIDDEN_FROM_THE_OWNER)
def test_row_security_that_hides_rows_from_our_own_functions_is_told_to_everybody(
    postgresql: Database, owner: str, table: str
) -> None:
    postgresql.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    if table == "patients":
        schema.require_schema(postgresql.engine)  # its owner sees all of them
    postgresql.execute(HIDDEN_FROM_THE_OWNER[table].format(owner=owner))
    refused = call(postgresql, "score")  # as a superuser, who sees all of them
    assert refused.exit_code == 2
    assert f"row security hides rows of {table} from the owner of patients" in refused.stderr
    postgresql.execute(f"ALTER ROLE {owner} BYPASSRLS")
    schema.require_schema(postgresql.engine)


LOST = {
    "ALTER TABLE patients DROP CONSTRAINT pk_patients": "patients is not as it was made: it lacks PRIMARY KEY (id)",
    "ALTER TABLE predictions DROP CONSTRAINT pk_predictions": (
        "predictions is not as it was made: it lacks PRIMARY KEY (patient_id, patient_version, model_version)"
    ),
    "ALTER TABLE scoring_queue DROP CONSTRAINT pk_scoring_queue, ADD PRIMARY KEY (patient_id) DEFERRABLE": (
        "scoring_queue is not as it was made: it lacks PRIMARY KEY (patient_id)"
    ),
    "ALTER TABLE runs DROP CONSTRAINT uq_runs_job_scheduled_for_attempt": "UNIQUE (job, scheduled_for, attempt)",
    "ALTER TABLE patients DROP CONSTRAINT ck_patients_outcome": "CHECK ck_patients_outcome",
    "ALTER TABLE patients DROP CONSTRAINT ck_patients_outcome,"
    " ADD CONSTRAINT ck_patients_outcome CHECK (outcome IN (0, 1)) NOT VALID": "CHECK ck_patients_outcome",
    "ALTER TABLE patients ALTER version DROP NOT NULL": "NOT NULL on version",
    "ALTER TABLE patients ALTER id DROP IDENTITY": "IDENTITY on id",
    "DROP INDEX ix_patients_unstamped": "INDEX ix_patients_unstamped",
    "DROP INDEX ix_patients_source_source_key": "UNIQUE INDEX ix_patients_source_source_key",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_patients_source_source_key'::regclass": (
        "UNIQUE INDEX ix_patients_source_source_key"
    ),
    "DROP VIEW unseen_rows": "unseen_rows is not as it was made: it lacks its definition as a view",
    "CREATE OR REPLACE VIEW unseen_rows AS SELECT 'x'::text AS fault, 0::bigint AS found": "rows of patients",
    # Moved away and made anew by what pg_dump said of it, a table is not the one that a view goes on to read.
    "CREATE SCHEMA archive; ALTER TABLE rejections SET SCHEMA archive;"
    " CREATE TABLE rejections (LIKE archive.rejections INCLUDING ALL)": (
        "current_predictions is not as it was made: it lacks rows of rejections"
    ),
}


@pytest.mark.parametrize("statement", LOST)
def test_what_a_table_or_view_has_lost_is_told(postgresql: Database, statement: str) -> None:
    postgresql.execute(statement)
    with pytest.raises(SchemaDiffers, match=re.escape(LOST[statement])):
        schema.require_schema(postgresql.engine)
    ended = call(postgresql, "score")
    assert (ended.exit_code, LOST[statement] in ended.stderr) == (2, True), ended


REBUILT = {
    "patients": ("PRIMARY KEY AUTOINCREMENT", "", "patients is not as it was made: it lacks PRIMARY KEY (id)"),
    "patients ": ("AUTOINCREMENT", "", "IDENTITY on id"),
    "patients  ": ("CONSTRAINT ck_patients_outcome CHECK (outcome IN (0, 1)),", "", "CHECK ck_patients_outcome"),
    "predictions": (", model_version),", "),", "PRIMARY KEY (patient_id, patient_version, model_version)"),
    "scoring_queue": ("patient_version INTEGER NOT NULL", "patient_version INTEGER", "NOT NULL on patient_version"),
    "runs": ("UNIQUE (job, scheduled_for, attempt)", "CHECK (true)", "UNIQUE (job, scheduled_for, attempt)"),
}


@pytest.mark.parametrize("table", REBUILT)
def test_what_a_rebuilt_table_has_lost_is_told(sqlite: Database, table: str) -> None:
    """As a tool makes one that copies columns and rows."""
    without, instead, told = REBUILT[table]
    name = table.strip()
    made = sqlite.value(f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{name}'")
    assert without in made
    _rebuild(sqlite, name, made.replace(without, instead))
    with pytest.raises(SchemaDiffers, match=re.escape(told)):
        schema.require_schema(sqlite.engine)


def test_a_table_that_was_rebuilt_as_it_was_is_no_fault(sqlite: Database) -> None:
    for table in REBUILT:
        name = table.strip()
        _rebuild(sqlite, name, sqlite.value(f"SELECT sql FROM sqlite_master WHERE name = '{name}'"))
    schema.require_schema(sqlite.engine)


def test_a_table_that_a_tool_has_rebuilt_in_its_own_words_is_no_fault(sqlite: Database) -> None:
    made = sqlite.value("SELECT sql FROM sqlite_master WHERE name = 'patients'")
    made = made.replace("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", '"id" INTEGER NOT NULL')
    made = made.replace("CONSTRAINT ck_patients_id", 'PRIMARY KEY ("id" AUTOINCREMENT), CONSTRAINT "ck_patients_id"')
    _rebuild(sqlite, "patients", made)
    schema.require_schema(sqlite.engine)


def _rebuild(sqlite: Database, table: str, made: str) -> None:
    kept = sqlite.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'view' OR sql IS NOT NULL"
        f" AND type IN ('trigger', 'index') AND tbl_name = '{table}' ORDER BY type"
    )
    with sqlite.engine.begin() as connection:
        for view in VIEWS:
            connection.exec_driver_sql(f"DROP VIEW {view}")
        # What names the table goes on naming it.
        connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO before")
        connection.exec_driver_sql(made)
        connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM before")
        connection.exec_driver_sql("DROP TABLE before")
        for _, statement in kept:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")


def test_a_view_that_shows_other_rows_is_told(sqlite: Database) -> None:
    sqlite.execute("DROP VIEW unseen_rows")
    with pytest.raises(SchemaDiffers, match="unseen_rows is not as it was made: it lacks its definition as a view"):
        schema.require_schema(sqlite.engine)
    sqlite.execute("CREATE VIEW unseen_rows AS SELECT 'x' AS fault, 0 AS found")
    with pytest.raises(SchemaDiffers, match="unseen_rows is not as it was made: it lacks rows of patients"):
        schema.require_schema(sqlite.engine)


def test_a_table_that_a_crash_empties_is_told(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE scoring_queue SET UNLOGGED")
    with pytest.raises(SchemaDiffers, match="scoring_queue is unlogged"):
        schema.require_schema(postgresql.engine)


# ---- ids ------------------------------------------------------------------------------------------------------------

LARGEST = 2**62


@pytest.mark.parametrize("too_large", [2**63 - 1, 2**62 + 2**61 + 1])
def test_an_id_that_would_leave_none_to_draw_is_refused(database: Database, too_large: int) -> None:
    with pytest.raises(Exception, match=r"refused a statement"):
        database.execute(f"INSERT INTO patients (id, {COLUMNS}) VALUES ({too_large}, {VALUES})")
    insert_patients(database, 1)


def test_behind_the_largest_id_there_are_ids_left_to_draw(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(f"id,{COLUMNS.replace(' ', '')}\n{LARGEST},{VALUES.replace(' ', '')}\n")
    assert call(database, "load", str(path)).exit_code == 0
    drawn = insert_patients(database, 3)
    assert len(set(drawn)) == 3
    assert LARGEST not in drawn
    path.write_text(f"{VALUES.replace(' ', '')},1\n")
    assert call(database, "load", str(path)).exit_code == 0
    assert database.value("SELECT count(*) FROM patients") == 5


def test_load_draws_ids_behind_those_that_others_have_given(database: Database, tmp_path: Path) -> None:
    insert_patients(database, 3, first_id=1)
    path = tmp_path / "new.csv"
    path.write_text(f"{VALUES.replace(' ', '')},1\n" * 2)
    for _ in range(2):
        assert call(database, "load", "--again", str(path)).exit_code == 0
    assert database.execute("SELECT id FROM patients ORDER BY id") == [(n,) for n in range(1, 8)]


def test_the_first_load_begins_with_one(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text(f"{VALUES.replace(' ', '')},1\n" * 2)
    assert call(database, "load", str(path)).exit_code == 0
    assert database.execute("SELECT id FROM patients ORDER BY id") == [(1,), (2,)]


@pytest.mark.parametrize("begins_with", [1, 2])
@pytest.mark.parametrize("has_drawn", [True, False])
@pytest.mark.parametrize("with_ids", [True, False])
def test_an_id_is_drawn_from_this_nodes_own_share_whatever_others_have_given(
    postgresql: Database, tmp_path: Path, begins_with: int, has_drawn: bool, with_ids: bool
) -> None:
    """Of two nodes that replicate to each other, one draws odd ids and one even ones."""
    postgresql.execute(f"ALTER SEQUENCE patients_id_seq INCREMENT BY 2 RESTART WITH {begins_with}")
    drawn = insert_patients(postgresql, 2) if has_drawn else []
    other = 1 if begins_with == 2 else 2
    for n in range(3):
        insert_patients(postgresql, 1, first_id=other + 2 * n)
    path = tmp_path / "new.csv"
    header, row = (f"id,{COLUMNS}", f"{other + 6},{VALUES}") if with_ids else (COLUMNS, VALUES)
    path.write_text(f"{header}\n{row}\n".replace(" ", ""))
    assert call(postgresql, "load", str(path)).exit_code == 0
    drawn += insert_patients(postgresql, 2)
    assert [patient_id % 2 for patient_id in drawn] == [begins_with % 2] * len(drawn)
    assert min(drawn[-2:]) > other + (6 if with_ids else 4)


def test_values_that_a_trigger_puts_where_names_stand_are_not_told(postgresql: Database, tmp_path: Path) -> None:
    """It leans on a trigger of the clinic's own on `patients`."""
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql("""CREATE FUNCTION clinic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'x' USING ERRCODE = '23514', CONSTRAINT = NEW.diabetes_pedigree::text,
                COLUMN = NEW.bmi::text, TABLE = NEW.glucose::text; END $$""")
        connection.exec_driver_sql(
            "CREATE TRIGGER clinic BEFORE INSERT ON patients FOR EACH ROW EXECUTE FUNCTION clinic()"
        )
    path = tmp_path / "new.csv"
    path.write_text("6,148.25,72,35,0,33.65,0.62718,50,1\n")
    ended = call(postgresql, "load", "--json", str(path))
    assert ended.exit_code == 1
    assert "(SQLSTATE 23514)" in ended.stderr
    for value in ("148.25", "33.65", "0.62718"):
        assert value not in ended.stdout + ended.stderr
