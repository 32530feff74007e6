"""The values that labelled rows were predicted on, read from what the triggers keep."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pima.core.declared.features import Outcome
from pima.store.database import EARLIEST
from pima.store.engine import clock, reading, writing
from pima.store.rows.histories import predicted_in_time, predicted_on
from pima.store.rows.row_history import let_go
from tests.support.databases import Database, insert_patients
from tests.support.declared import ADDED, redeclared
from tests.support.settled import ago
from tests.support.shipped import FEATURE_NAMES, SHIPPED_DECLARATION

AT_ONCE = SHIPPED_DECLARATION.outcome
WAITS = Outcome("outcome", horizon="30 days", predicted_within="3 days")


def predict(database: Database, at: datetime, *ids: int) -> None:
    """Predict rows as they stand."""
    for patient_id in ids:
        database.execute(
            "INSERT INTO predictions (patient_id, patient_version, model_version, run_id, "
            "probability, predicted_class, threshold, scored_at) "
            "SELECT id, version, 1, 1, 0.25, 0, 0.5, :at FROM patients WHERE id = :id",
            {"id": patient_id, "at": database.stored(at)},
        )


def correct(database: Database, glucose: float, *ids: int) -> None:
    for patient_id in ids:
        values = {"id": patient_id, "glucose": glucose}
        database.execute("UPDATE patients SET glucose = :glucose WHERE id = :id", values)


def label(database: Database, known: datetime, *ids: int) -> None:
    for patient_id in ids:
        values = {"id": patient_id, "known": database.stored(known)}
        database.execute(
            "UPDATE patients SET outcome = id % 2, labelled_at = :known WHERE id = :id", values
        )


def kept(database: Database, outcome: Outcome = AT_ONCE) -> tuple[dict[Any, Any], list[int]]:
    """The glucose of each corrected row whose values are kept; the others."""
    with reading(database.engine) as connection:
        found, not_kept = predicted_on(connection, FEATURE_NAMES, outcome)
    assert (found.dtypes == "float64").all()
    return found["glucose"].to_dict(), not_kept.tolist()


def test_the_last_version_that_was_predicted_on_before_the_outcome_counts(
    database: Database,
) -> None:
    never, same, after, between, twice, waits = insert_patients(database, 6)
    predict(database, ago(9), same, after, between, twice, waits)
    correct(database, 110, twice)
    predict(database, ago(8), twice)
    correct(database, 120, between)
    label(database, ago(5), never, same, after, between, twice)
    correct(database, 90, never, after, twice, waits)
    predict(database, ago(1), after)  # too late to say anything
    assert kept(database) == ({after: 148, between: 148, twice: 110}, [])
    with reading(database.engine) as connection:
        found = predicted_in_time(connection, AT_ONCE, clock(connection)).sort_index()
    assert found.index.tolist() == [same, after, between, twice]
    assert found["probability"].tolist() == [0.25] * 4
    assert (found["predicted"] // 1).tolist() == [9, 9, 9, 8]
    replaced = found.loc[[after, between, twice], "replaced"]
    assert (replaced.abs() < 1).all()


def test_with_a_horizon_it_is_the_last_one_in_time(database: Database) -> None:
    soon, late, unsettled = insert_patients(database, 3, index_at=database.stored(ago(60)))
    predict(database, ago(59), soon, unsettled)
    correct(database, 120, soon)
    predict(database, ago(50), soon, late)
    label(database, ago(40), soon, late)
    label(database, ago(1), unsettled)
    correct(database, 90, soon, late, unsettled)
    assert kept(database, WAITS) == ({soon: 148, unsettled: 148}, [])
    assert kept(database) == ({soon: 120, late: 148, unsettled: 148}, [])


def test_what_is_not_kept_is_told(database: Database) -> None:
    came_again, erased, kept_row = insert_patients(database, 3)
    predict(database, ago(9), came_again, erased, kept_row)
    database.execute(f"DELETE FROM patients WHERE id = {came_again}")
    with writing(database.engine) as connection:
        let_go(connection, EARLIEST)
    insert_patients(database, 1, first_id=came_again)
    label(database, ago(5), came_again, erased, kept_row)
    correct(database, 90, erased, kept_row)
    database.execute(f"DELETE FROM row_history WHERE patient_id = {erased}")
    assert kept(database) == ({kept_row: 148}, [came_again, erased])


def test_a_feature_that_was_not_there_has_today_s_value(
    declared_database: Database, tmp_path: Path
) -> None:
    database = declared_database
    database.execute("INSERT INTO patients (id, temperature) VALUES (1, 37)")
    predict(database, ago(9), 1)
    label(database, ago(5), 1)
    later = redeclared(database, tmp_path, ADDED)
    database.execute("UPDATE patients SET temperature = 41, glucose = 99")
    with reading(database.engine) as connection:
        found, _ = predicted_on(connection, later.columns, later.outcome)
    expected = pd.DataFrame({"temperature": [37.0], "glucose": [99.0]}, index=[1])
    assert found[["temperature", "glucose"]].equals(expected)
