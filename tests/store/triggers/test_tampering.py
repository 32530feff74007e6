"""What someone may do to the schema by hand, and what each run says of it before it touches a
row."""

from pathlib import Path

import pytest

from pima.errors import SchemaDiffers
from pima.store import schema
from tests.support.databases import Database, call, insert_patients
from tests.support.rows import COLUMNS, VALUES


def test_a_computed_measurement_is_told(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE patients ADD weight float8, ADD height float8, DROP COLUMN bmi")
    postgresql.execute(
        "ALTER TABLE patients ADD bmi float8 GENERATED ALWAYS AS (weight / (height * height)) "
        "STORED"
    )
    with pytest.raises(
        SchemaDiffers,
        match=r"patients\.bmi is double precision, computed where double precision was",
    ):
        schema.require_schema(postgresql.engine)


def test_a_table_that_was_rebuilt_without_strict_is_told(sqlite: Database) -> None:
    made = sqlite.value("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'loads'")
    sqlite.execute("DROP TABLE loads")
    sqlite.execute(made.replace("STRICT", ""))
    with pytest.raises(SchemaDiffers, match="the table loads is no longer STRICT"):
        schema.require_schema(sqlite.engine)


# ---- ids

LARGEST = 2**62


def test_an_id_that_would_leave_none_to_draw_is_refused(database: Database) -> None:
    for too_large in (2**63 - 1, 2**62 + 2**61 + 1):
        with pytest.raises(Exception, match=r"refused a statement"):
            database.execute(f"INSERT INTO patients (id, {COLUMNS}) VALUES ({too_large}, {VALUES})")
    insert_patients(database, 1)


def test_behind_the_largest_id_there_are_ids_left_to_draw(
    database: Database, tmp_path: Path
) -> None:
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
    assert database.execute("SELECT id FROM patients ORDER BY id") == [
        (n,) for n in range(1, given + 5)
    ]


def test_values_that_a_trigger_puts_where_names_stand_are_not_told(
    postgresql: Database, tmp_path: Path
) -> None:
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
