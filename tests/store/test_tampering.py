"""What someone may do to the schema by hand, and what each run says of it before it touches a row."""

import re
from pathlib import Path

import pytest

from pima.errors import SchemaDiffers
from pima.store import schema
from pima.store.tables import VIEWS
from tests.support.databases import Database, call, insert_patients
from tests.support.rows import COLUMNS, VALUES


def test_an_index_that_is_gone_is_told(sqlite: Database) -> None:
    sqlite.execute("DROP INDEX ix_patients_source_source_key")
    with pytest.raises(SchemaDiffers, match="it lacks UNIQUE INDEX ix_patients_source_source_key"):
        schema.require_schema(sqlite.engine)


def test_a_computed_measurement_is_told(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE patients ADD weight float8, ADD height float8, DROP COLUMN bmi")
    postgresql.execute("ALTER TABLE patients ADD bmi float8 GENERATED ALWAYS AS (weight / (height * height)) STORED")
    with pytest.raises(SchemaDiffers, match=r"patients\.bmi is double precision, computed where double precision was"):
        schema.require_schema(postgresql.engine)


LOST = {
    "ALTER TABLE patients DROP CONSTRAINT pk_patients": "patients is not as it was made: it lacks PRIMARY KEY (id)",
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
    "DROP VIEW patient_versions": "patient_versions is not as it was made: it lacks its definition as a view",
    "CREATE OR REPLACE VIEW patient_versions AS SELECT 1::bigint AS patient_id, 1::bigint AS patient_version,"
    " true AS is_labelled": "rows of patients",
}


@pytest.mark.parametrize("statement", LOST)
def test_what_a_table_or_view_has_lost_is_told(postgresql: Database, statement: str) -> None:
    postgresql.execute(statement)
    with pytest.raises(SchemaDiffers, match=re.escape(LOST[statement])):
        schema.require_schema(postgresql.engine)


REBUILT = [
    ("patients", "PRIMARY KEY AUTOINCREMENT", "", "patients is not as it was made: it lacks PRIMARY KEY (id)"),
    ("patients", "AUTOINCREMENT", "", "IDENTITY on id"),
    ("patients", "CONSTRAINT ck_patients_outcome CHECK (outcome IN (0, 1)),", "", "CHECK ck_patients_outcome"),
    ("patients", "STRICT", "", "the table patients is no longer STRICT"),
    ("predictions", ", model_version),", "),", "PRIMARY KEY (patient_id, patient_version, model_version)"),
    ("scoring_queue", "patient_version INTEGER NOT NULL", "patient_version INTEGER", "NOT NULL on patient_version"),
    ("runs", "UNIQUE (job, scheduled_for, attempt)", "CHECK (true)", "UNIQUE (job, scheduled_for, attempt)"),
]


@pytest.mark.parametrize(("table", "without", "instead", "told"), REBUILT)
def test_what_a_rebuilt_table_has_lost_is_told(
    sqlite: Database, table: str, without: str, instead: str, told: str
) -> None:
    """As a tool makes one that copies columns and rows."""
    made = sqlite.value(f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'")
    assert without in made
    _rebuild(sqlite, table, made.replace(without, instead))
    with pytest.raises(SchemaDiffers, match=re.escape(told)):
        schema.require_schema(sqlite.engine)


def test_a_table_that_was_rebuilt_as_it_was_is_no_fault(sqlite: Database) -> None:
    for table in ("patients", "predictions", "scoring_queue", "runs"):
        _rebuild(sqlite, table, sqlite.value(f"SELECT sql FROM sqlite_master WHERE name = '{table}'"))
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


def test_an_id_that_would_leave_none_to_draw_is_refused(database: Database) -> None:
    for too_large in (2**63 - 1, 2**62 + 2**61 + 1):
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


@pytest.mark.parametrize("given", [0, 3])
def test_load_draws_ids_from_one_on_behind_those_that_others_have_given(
    database: Database, tmp_path: Path, given: int
) -> None:
    insert_patients(database, given, first_id=1)
    path = tmp_path / "new.csv"
    path.write_text(f"{VALUES.replace(' ', '')},1\n" * 2)
    for _ in range(2):
        assert call(database, "load", "--again", str(path)).exit_code == 0
    assert database.execute("SELECT id FROM patients ORDER BY id") == [(n,) for n in range(1, given + 5)]


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
