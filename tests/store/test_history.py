"""The labelled history as the retraining reads it, on both databases."""

import math
import time
from typing import Any

import numpy as np
import pytest

from pima.core.history import History, split
from pima.core.holdout import RowKeys
from pima.store import histories
from pima.store.engine import reading
from pima.store.histories import keys_of, labelled_history
from pima.store.schema import migrate
from tests.conftest import FEATURE_NAMES, FEATURES, HOLDOUT, SALT, SOUND, Database, insert_patients


def _history(database: Database) -> History:
    with reading(database.engine) as connection:
        return labelled_history(connection, FEATURE_NAMES)


def test_no_labels_give_empty_arrays(database: Database) -> None:
    insert_patients(database, 3)
    history = _history(database)
    assert history.patient_ids.shape == history.outcomes.shape == (0,)
    assert history.measurements.values.shape == history.measurements.is_null.shape == (0, 8)
    assert history.labelled_at_ms.shape == (0,)


def test_labelled_rows_come_by_id_with_null_kept_apart_from_nan(database: Database) -> None:
    largest = 2**62
    insert_patients(database, 1, first_id=largest, outcome=1)
    insert_patients(database, 1, first_id=7, outcome=0, glucose=None, insulin=None)
    insert_patients(database, 1, first_id=5)
    # SQLite turns a NaN into NULL on its way in; PostgreSQL keeps it.
    insert_patients(database, 1, first_id=6, outcome=1, bmi=math.nan if database.kind == "postgresql" else 1e300)
    history = _history(database)
    assert history.patient_ids.tolist() == [6, 7, largest]
    assert history.outcomes.tolist() == [1, 0, 1]
    sound = [float(SOUND[name]) for name in FEATURE_NAMES]
    assert history.measurements.values[2].tolist() == sound
    assert _nulls(history)[7] == {"glucose", "insulin"}
    assert _nulls(history)[6] == _nulls(history)[largest] == set()
    strange = history.measurements.values[0, FEATURE_NAMES.index("bmi")]
    assert math.isnan(strange) if database.kind == "postgresql" else strange == 1e300
    now_ms = time.time() * 1000
    assert (abs(history.labelled_at_ms - now_ms) < 120_000).all()


def _nulls(history: History) -> dict[int, set[str]]:
    flags: Any = zip(history.patient_ids.tolist(), history.measurements.is_null, strict=True)
    return {patient_id: {FEATURE_NAMES[n] for n in np.flatnonzero(row)} for patient_id, row in flags}


def test_a_history_of_several_blocks_is_whole_and_in_order(database: Database) -> None:
    count = 45_000
    names = ", ".join(FEATURE_NAMES)
    database.execute(f"""
        INSERT INTO patients ({names}, outcome)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
        SELECT 1, n, 70, 20, NULL, 30, 0.5, 40, n % 2 FROM numbers ORDER BY n""")
    history = _history(database)
    assert (np.diff(history.patient_ids) > 0).all()
    glucose = history.measurements.values[:, FEATURE_NAMES.index("glucose")]
    assert glucose.tolist() == list(range(1, count + 1))
    assert (history.outcomes == glucose % 2).all()
    assert history.measurements.is_null.sum(axis=0).tolist() == [0, 0, 0, 0, count, 0, 0, 0]


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_without_keys_none_are_read(database: Database) -> None:
    insert_patients(database, 2, outcome=1)
    assert _history(database).keys is None


def test_the_first_keys_that_come_while_the_history_is_read_are_read(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = histories._plain_rows

    def behind_a_load(connection: Any, statement: str) -> Any:
        monkeypatch.setattr(histories, "_plain_rows", read)
        insert_patients(postgresql, 1, first_id=5, outcome=1, person_key="p")
        return read(connection, statement)

    monkeypatch.setattr(histories, "_plain_rows", behind_a_load)
    history = _history(postgresql)
    assert history.patient_ids.tolist() == [5]
    assert history.keys is not None
    assert history.keys.persons == ["p"]


def test_each_labelled_row_comes_with_what_it_was_called_first_and_its_person_by_now(database: Database) -> None:
    insert_patients(database, 1, first_id=5, outcome=0)
    insert_patients(database, 1, first_id=6, outcome=1, source="clinic", source_key="v6")
    insert_patients(database, 1, first_id=7, outcome=1, person_key="one")
    insert_patients(database, 1, first_id=8, outcome=0, person_key="of its own, then a person's")
    insert_patients(database, 1, first_id=9, source="clinic", source_key="v9")  # without an outcome
    database.execute("UPDATE patients SET person_key = 'two' WHERE id IN (6, 7)")
    database.execute("UPDATE patients SET person_key = NULL WHERE id = 8")
    history = _history(database)
    assert history.patient_ids.tolist() == [5, 6, 7, 8]
    assert history.keys is not None
    assert history.keys.first == ["5", "source clinic v6", "person one", "person of its own, then a person's"]
    assert history.keys.persons == [None, "two", "two", None]


def _written_anew(database: Database, patient_id: int) -> None:
    """As by a tool that knows of no persons."""
    columns = ", ".join(("id", *FEATURE_NAMES, "outcome"))
    row = database.execute(f"SELECT {columns} FROM patients WHERE id = {patient_id}")[0]
    values = ", ".join("NULL" if value is None else str(value) for value in row)
    if database.kind == "postgresql":
        database.execute(f"DELETE FROM patients WHERE id = {patient_id}")
    words = "INSERT" if database.kind == "postgresql" else "INSERT OR REPLACE"
    database.execute(f"{words} INTO patients ({columns}) VALUES ({values})")


def test_a_row_that_is_written_anew_without_its_person_is_that_person_s_still(database: Database) -> None:
    for patient_id in range(1, 41):
        insert_patients(database, 1, first_id=patient_id, outcome=patient_id % 2, age=20 + patient_id)
        insert_patients(
            database, 1, first_id=100 + patient_id, outcome=1, person_key=f"p{patient_id}", bmi=20 + patient_id
        )
    database.execute("UPDATE patients SET person_key = 'p' || id WHERE id <= 40")
    before = split(_history(database), FEATURES, SALT, 0.30)
    assert before.left_out["side_undecided"] > 10
    for patient_id in range(1, 41):
        _written_anew(database, patient_id)
        _written_anew(database, 100 + patient_id)
    assert database.value("SELECT count(person_key) FROM patients") == 0
    after = split(_history(database), FEATURES, SALT, 0.30)
    assert after.left_out == before.left_out
    for side in ("training", "holdout"):
        assert getattr(after, side).patient_ids.tolist() == getattr(before, side).patient_ids.tolist()


def test_what_was_first_called_otherwise_than_by_its_person_is_read_whatever_became_of_it(database: Database) -> None:
    insert_patients(database, 3, first_id=1, outcome=1)
    insert_patients(database, 2, first_id=4, outcome=1, person_key="always")
    insert_patients(database, 1, first_id=6, outcome=1, source="clinic", source_key="v6", person_key="once")
    insert_patients(database, 1, first_id=7, outcome=0, source="clinic", source_key="v7")
    database.execute("UPDATE patients SET person_key = 'late' WHERE id IN (1, 2, 6)")
    database.execute("UPDATE patients SET outcome = NULL WHERE id = 1")
    database.execute("DELETE FROM patients WHERE id IN (2, 4)")
    history = _history(database)
    assert history.patient_ids.tolist() == [3, 5, 6, 7]
    assert history.keys is not None
    assert sorted(history.keys.renamed) == [("1", "late"), ("2", "late"), ("person once", "late")]


def test_a_database_built_anew_from_the_same_keys_has_the_same_sides(database: Database) -> None:
    """Whatever ids its rows draw, and in whatever order they come."""
    sides = []
    for order in (range(200), range(199, -1, -1)):
        for n in order:
            insert_patients(database, 1, outcome=n % 2, age=20 + n % 60, bmi=20 + n / 10, **_keys_of(n))
        found = split(_history(database), FEATURES, SALT, 0.30)
        names = {row[0]: row[1:] for row in database.execute("SELECT id, source_key, person_key FROM patients")}
        ids = (side.patient_ids.tolist() for side in (found.training, found.holdout))
        sides.append([sorted(str(names[each]) for each in side) for side in ids])
        database.remove_schema()
        migrate(database.engine, HOLDOUT)
        insert_patients(database, 3)  # so that ids are others
    assert sides[0] == sides[1]
    assert min(map(len, sides[0])) > 30


def _keys_of(n: int) -> dict[str, str]:
    keys = {"source": "clinic", "source_key": f"v{n}"}
    return keys if n % 3 else keys | {"person_key": f"p{n % 40}"}


def test_what_rows_were_called_and_whose_they_were_is_found_by_their_ids_though_they_are_gone(
    database: Database,
) -> None:
    insert_patients(database, 3, first_id=1)
    with reading(database.engine) as connection:
        assert keys_of(connection, np.array([1, 2])) is None
    insert_patients(database, 1, first_id=4, person_key="four")
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v5")
    database.execute("UPDATE patients SET person_key = 'two' WHERE id = 2")
    database.execute("DELETE FROM patients")
    with reading(database.engine) as connection:
        keys = keys_of(connection, np.array([1, 2, 5, 9]))
    assert keys == RowKeys(["1", "2", "source clinic v5", "9"], [None, "two", None, None])
