"""Every way in which a clinic's software can change its table leaves the touched keys in source_changes."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Database, call
from tests.jobs.clinic import Clinic
from tests.store.noted import KEYS as K
from tests.store.noted import attach, noted, rows_by_key, with_four_visits


@pytest.fixture
def visits(database: Database, own_clinic: Clinic) -> Clinic:
    return with_four_visits(database, own_clinic)


FIRST = f"SELECT visit_id FROM visits WHERE visit_id <= '{K[1]}'"
WRITES: dict[str, tuple[str, set[int]]] = {
    "insert": (f"INSERT INTO visits (visit_id, age) VALUES ('{K[5]}', 1), ('{K[6]}', 2)", {5, 6}),
    "insert of a selection": (
        f"INSERT INTO visits (visit_id, age) SELECT '{K[7]}', age FROM visits WHERE age = 50 LIMIT 1",
        {7},
    ),
    "update": (f"UPDATE visits SET age = 60 WHERE visit_id IN ('{K[0]}', '{K[2]}')", {0, 2}),
    "update of nothing": ("UPDATE visits SET age = 60 WHERE age = 0", set()),
    "key changed": (f"UPDATE visits SET visit_id = '{K[8]}' WHERE visit_id = '{K[1]}'", {1, 8}),
    "delete": (f"DELETE FROM visits WHERE visit_id = '{K[3]}'", {3}),
    "delete of all": ("DELETE FROM visits", {0, 1, 2, 3}),
    "delete of a selection": (f"DELETE FROM visits WHERE visit_id IN ({FIRST})", {0, 1}),
    "upsert": (
        f"""INSERT INTO visits (visit_id, age) VALUES ('{K[0]}', 7), ('{K[9]}', 8)
        ON CONFLICT (visit_id) DO UPDATE SET age = EXCLUDED.age""",
        {0, 9},
    ),
    "upsert that changes the key": (
        f"""INSERT INTO visits (visit_id, age) VALUES ('{K[0]}', 7)
        ON CONFLICT (visit_id) DO UPDATE SET visit_id = '{K[5]}'""",
        {0, 5},
    ),
    "upsert of nothing": (
        f"INSERT INTO visits (visit_id, age) VALUES ('{K[0]}', 7), ('{K[9]}', 8) ON CONFLICT DO NOTHING",
        {9},
    ),
    "update by another table": (
        f"UPDATE visits SET age = 9 FROM (SELECT '{K[2]}' AS k) o WHERE CAST(visits.visit_id AS TEXT) = o.k",
        {2},
    ),
    "update with RETURNING": (f"UPDATE visits SET age = 61 WHERE visit_id = '{K[3]}' RETURNING age", {3}),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_a_write_touches_is_noted(database: Database, visits: Clinic, what: str) -> None:
    statement, expected = WRITES[what]
    visits.execute(statement)
    assert noted(database) == {K[n] for n in expected}


def test_what_is_taken_back_is_not_noted(database: Database, visits: Clinic) -> None:
    begin = text("BEGIN" if database.kind == "sqlite" else "SELECT 1")
    with visits.engine.connect() as connection:
        connection.execute(begin)
        connection.execute(text("UPDATE visits SET age = 1"))
        connection.rollback()
    with visits.engine.begin() as connection:
        connection.execute(begin)
        connection.execute(text(f"UPDATE visits SET age = 2 WHERE visit_id = '{K[0]}'"))
        connection.execute(text("SAVEPOINT here"))
        connection.execute(text(f"UPDATE visits SET age = 2 WHERE visit_id = '{K[1]}'"))
        connection.execute(text("ROLLBACK TO here"))
        connection.execute(text(f"UPDATE visits SET age = 2 WHERE visit_id = '{K[2]}'"))
    assert noted(database) == {K[0], K[2]}


def test_a_statement_that_fails_in_its_middle_notes_nothing(database: Database, visits: Clinic) -> None:
    with pytest.raises(IntegrityError):
        visits.execute(f"INSERT INTO visits (visit_id, age) VALUES ('{K[7]}', 1), ('{K[0]}', 2)")
    assert noted(database) == set()
    assert len(rows_by_key(visits)) == 4


def test_a_key_of_several_columns_is_noted_as_an_array(database: Database, own_clinic: Clinic) -> None:
    own_clinic.settings |= {"key": ["patient_no", "visit_id"], "key_type": ["integer", "uuid"]}
    own_clinic.insert(1, visit_id=K[0], patient_no=7)
    attach(database, own_clinic)
    own_clinic.execute("UPDATE visits SET patient_no = 8")
    spaceless = {str(key).replace(" ", "") for key in noted(database)}
    assert spaceless == {f'["7","{K[0]}"]', f'["8","{K[0]}"]'}
    own_clinic.execute("UPDATE visits SET patient_no = NULL")
    assert None in noted(database)


def test_what_is_not_a_key_stands_for_all_keys(database: Database, own_clinic: Clinic) -> None:
    own_clinic.settings |= {"key": "patient_no", "key_type": "integer"}
    attach(database, own_clinic)
    own_clinic.insert(1, patient_no=12)
    assert noted(database) == {"12"}
    own_clinic.insert(1, seed=2, patient_no=None)
    assert noted(database) == {None}
    if database.kind == "sqlite":  # where a cell may be of any type
        own_clinic.insert(1, seed=3, patient_no=7.5)
        assert noted(database) == {None}


def test_names_may_be_anything(database: Database, own_clinic: Clinic) -> None:
    table, column = "a \"b\" 'c' %s :d $pima$ é", "key \"b\" 'c' %s :d $pima$ é"
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"'.replace(":d", r"\:d") for name in (table, column)]
    own_clinic.execute(f"ALTER TABLE visits RENAME TO {quoted[0]}")
    own_clinic.execute(f"ALTER TABLE {quoted[0]} RENAME COLUMN visit_id TO {quoted[1]}")
    own_clinic.settings |= {"table": table, "key": column}
    if database.kind == "postgresql":
        own_clinic.settings["schema"] = "public"
    attach(database, own_clinic)
    own_clinic.execute(f"INSERT INTO {quoted[0]} ({quoted[1]}) VALUES ('{K[0]}')")
    assert noted(database) == {K[0]}
    assert own_clinic.attach(database, "clinic", "--detach").exit_code == 0
    own_clinic.execute(f"DELETE FROM {quoted[0]}")
    assert noted(database) == set()


def test_two_sources_of_one_table_are_noted_each(database: Database, own_clinic: Clinic) -> None:
    attach(database, own_clinic)
    own_clinic.settings |= {"name": "other", "key": "patient_no", "key_type": "integer"}
    other = {"PIMA_SOURCE__OTHER__URL": own_clinic.url}
    assert call(database, "attach", "--config", own_clinic.config, "other", **other).exit_code == 0
    own_clinic.insert(1, visit_id=K[0], patient_no=12)
    found = database.execute("SELECT source, source_key FROM source_changes ORDER BY source")
    assert found == [("clinic", K[0]), ("other", "12")]
    # Of a source that the settings have no more.
    assert call(database, "attach", "--config", own_clinic.config, "clinic", "--detach").exit_code == 0
    own_clinic.execute("DELETE FROM visits")
    assert database.execute("SELECT source FROM source_changes") == [("other",), ("other",)]
