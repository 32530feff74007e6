"""What someone may do to the schema by hand, and what each run says of it before it touches a row."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pima.errors import SchemaDiffers
from pima.settings.sections import DatabaseSettings
from pima.store import schema
from pima.store.engine import make_engine
from pima.store.tables import VIEWS
from tests.conftest import Database, call, insert_patients, the_json
from tests.store.rows import COLUMNS, VALUES, assert_queue_is_true


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


def test_after_a_schema_was_renamed_migrate_mends_the_triggers(postgresql: Database) -> None:
    postgresql.execute("ALTER SCHEMA public RENAME TO clinic")
    url = make_url(postgresql.url).update_query_dict({"options": "-csearch_path=clinic"})
    database = Database("postgresql", url.render_as_string(hide_password=False), postgresql.engine)
    refused = call(database, "score")
    assert refused.exit_code == 2
    assert "the function stamp_insert" in refused.stderr
    assert call(database, "migrate").exit_code == 0
    assert call(database, "score").exit_code == 0
    engine = make_engine(database.url, DatabaseSettings())
    here = Database("postgresql", database.url, engine)
    insert_patients(here, 2)
    here.execute("UPDATE patients SET glucose = 90")
    assert_queue_is_true(here)
    engine.dispose()


def test_a_computed_measurement_is_told(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE patients ADD weight float8, ADD height float8, DROP COLUMN bmi")
    postgresql.execute("ALTER TABLE patients ADD bmi float8 GENERATED ALWAYS AS (weight / (height * height)) STORED")
    with pytest.raises(SchemaDiffers, match=r"patients\.bmi is double precision, computed where double precision was"):
        schema.require_schema(postgresql.engine)


def test_roles_may_use_the_schema_of_the_tables_whatever_comes_first(postgresql: Database) -> None:
    postgresql.execute("CREATE SCHEMA postgres")
    postgresql.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    assert postgresql.value("SELECT has_schema_privilege('pima_scorer', 'public', 'USAGE')")


@pytest.mark.parametrize(
    "hidden", ["alembic_version", "patients", "scoring_queue", "predictions", "champion", "patient_versions"]
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
    "DROP INDEX ix_patients_labelled_at": "INDEX ix_patients_labelled_at",
    "DROP INDEX ix_patients_source_source_key": "UNIQUE INDEX ix_patients_source_source_key",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_patients_source_source_key'::regclass": (
        "UNIQUE INDEX ix_patients_source_source_key"
    ),
    "DROP VIEW patient_versions": "patient_versions is not as it was made: it lacks its definition as a view",
    "CREATE OR REPLACE VIEW patient_versions AS SELECT 1::bigint AS patient_id, 1::bigint AS patient_version,"
    " true AS is_labelled": "rows of patients",
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
    sqlite.execute("DROP VIEW patient_versions")
    with pytest.raises(
        SchemaDiffers, match="patient_versions is not as it was made: it lacks its definition as a view"
    ):
        schema.require_schema(sqlite.engine)
    sqlite.execute("CREATE VIEW patient_versions AS SELECT 1 AS patient_id, 1 AS patient_version, 1 AS is_labelled")
    with pytest.raises(SchemaDiffers, match="patient_versions is not as it was made: it lacks rows of patients"):
        schema.require_schema(sqlite.engine)


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
