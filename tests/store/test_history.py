"""The labelled history as the retraining reads it, on both databases."""

import math
import time
from typing import Any

import numpy as np

from pima.core.history import History
from pima.store.engine import reading
from pima.store.patients import labelled_history
from tests.conftest import FEATURE_NAMES, SOUND, Database, insert_patients, without_triggers


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


def test_an_outcome_that_was_cleared_behind_the_triggers_is_no_label_though_its_time_stands(database: Database) -> None:
    insert_patients(database, 3, first_id=1, outcome=1)
    with without_triggers(database):
        database.execute("UPDATE patients SET outcome = NULL WHERE id = 2")
    assert _history(database).patient_ids.tolist() == [1, 3]


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
