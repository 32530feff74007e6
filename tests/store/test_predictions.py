"""The view that people read, what writing counts, and how often predictions came true."""

from typing import Any

import numpy as np
import pytest

from pima.errors import DatabaseFailed
from pima.store.database import database_of
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.predictions import Predictions, Rejections
from pima.store.rows.settled import settled_outcomes
from tests.support.databases import Database, insert_patients, let_the_clock_move, without_triggers
from tests.support.versions import add_version

LONG_AGO = "2001-01-01T00:00:00.000Z"
FAR_AHEAD = "2999-01-01T00:00:00.000Z"


def day(n: int) -> str:
    return f"2020-01-{n:02}T12:00:00.000Z"


def predict(
    database: Database,
    patient_id: int,
    version: int,
    model: int,
    at: str = LONG_AGO,
    probability: float = 0.25,
    run: int = 1,
) -> None:
    """A prediction made at a moment, and in a run, of the test's choice."""
    database.execute(
        """INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability,
                                    predicted_class, threshold, scored_at)
        VALUES (:id, :version, :model, :run, :probability, :predicted, 0.5, :at)""",
        {
            "id": patient_id,
            "version": version,
            "model": model,
            "run": run,
            "probability": probability,
            "predicted": int(probability >= 0.5),
            "at": at,
        },
    )


def reject(database: Database, patient_id: int, version: int) -> None:
    database.execute(
        """INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
        VALUES (:id, :version, 1, 'missing', 'age')""",
        {"id": patient_id, "version": version},
    )


def shown(database: Database) -> list[tuple[Any, ...]]:
    """Patient, version, model and whether it is superseded."""
    rows = database.execute("""
        SELECT patient_id, patient_version, model_version, superseded FROM current_predictions
            ORDER BY patient_id""")
    return [(*row[:3], bool(row[3])) for row in rows]


# ---- the view


def test_one_row_a_patient_the_newest_version_then_the_last_run(database: Database) -> None:
    cases = [
        # (version, model, run) of each prediction, and (version, model) of the one that is shown
        ([(4, 1, 1)], (4, 1)),
        ([(4, 1, 1), (9, 1, 2)], (9, 1)),
        ([(9, 1, 1), (4, 2, 2)], (9, 1)),  # an older version that a newer model has scored later
        ([(4, 1, 1), (4, 2, 2)], (4, 2)),
        ([(4, 2, 1), (4, 1, 2)], (4, 1)),  # scored last by an earlier model, after a rollback
        ([(4, 1, 1), (4, 2, 1), (4, 3, 1)], (4, 3)),  # in the same run: one row all the same
        ([(4, 1, 1), (4, 2, 2), (9, 2, 3), (9, 1, 4)], (9, 1)),
    ]
    for patient_id, (made, _) in enumerate(cases):
        for version, model, run in made:
            # The clock was set back between the runs: it decides nothing.
            predict(database, patient_id, version, model, at=day(20 - run), run=run)
    assert shown(database) == [
        (patient_id, *expected, False) for patient_id, (_, expected) in enumerate(cases)
    ]


def set_champion(database: Database, model: int) -> None:
    with writing(database.engine) as connection:
        registry.set_champion(connection, model, pinned=False)


def test_of_one_version_the_champions_prediction_is_shown_whoever_scored_last(
    database: Database,
) -> None:
    for _ in range(3):
        add_version(database)
    by_both, by_the_first, by_the_second, corrected = range(1, 5)
    predict(database, by_both, 4, model=1, run=1)
    predict(database, by_both, 4, model=2, run=2)
    predict(database, by_the_first, 5, model=1, run=1)
    predict(database, by_the_second, 6, model=2, run=2)
    predict(database, corrected, 7, model=1, run=1)
    predict(database, corrected, 8, model=2, run=2)
    only_one_each = [
        (by_the_first, 5, 1, False),
        (by_the_second, 6, 2, False),
        (corrected, 8, 2, False),
    ]
    for champion, model in ((1, 1), (2, 2), (3, 2), (1, 1)):  # the third has not scored yet
        set_champion(database, champion)
        assert shown(database) == [(by_both, 4, model, False), *only_one_each]


def test_the_view_shows_a_row_as_it_was_written(database: Database) -> None:
    predict(database, 7, 4, 2, probability=0.625)
    columns = (
        "patient_id, patient_version, model_version, run_id, probability, predicted_class, "
        "threshold"
    )
    assert database.execute(f"SELECT {columns} FROM current_predictions") == [
        (7, 4, 2, 1, 0.625, 1, 0.5)
    ]


def scored_patient(database: Database) -> tuple[int, int]:
    """A patient whose version was taken off the queue and predicted."""
    (patient_id,) = insert_patients(database, 1)
    version = database.value("SELECT patient_version FROM scoring_queue")
    database.execute("DELETE FROM scoring_queue")
    predict(database, patient_id, version, model=1)
    return patient_id, version


def correct(database: Database) -> int:
    database.execute("UPDATE patients SET glucose = glucose + 1")
    version: int = database.value("SELECT version FROM patients")
    return version


def test_a_prediction_is_superseded_while_a_newer_version_waits_or_was_rejected(
    database: Database,
) -> None:
    patient_id, version = scored_patient(database)
    assert shown(database) == [(patient_id, version, 1, False)]
    newer = correct(database)
    assert shown(database) == [(patient_id, version, 1, True)]
    database.execute("DELETE FROM scoring_queue")
    reject(database, patient_id, newer)
    assert shown(database) == [(patient_id, version, 1, True)]
    newest = correct(database)
    database.execute("DELETE FROM scoring_queue")
    predict(database, patient_id, newest, model=1)
    assert shown(database) == [(patient_id, newest, 1, False)]


def test_a_prediction_is_superseded_by_a_newer_version_whatever_became_of_it(
    database: Database,
) -> None:
    patient_id, version = scored_patient(database)
    database.execute("UPDATE patients SET outcome = 1")
    assert shown(database) == [(patient_id, version, 1, False)]
    correct(database)  # once its outcome is known, a row is not scored any more
    assert shown(database) == [(patient_id, version, 1, True)]
    database.execute("DELETE FROM patients")
    assert shown(database) == [(patient_id, version, 1, False)]
    insert_patients(database, 1, first_id=patient_id, outcome=0)
    assert shown(database) == [(patient_id, version, 1, True)]


def test_a_prediction_of_another_version_than_the_rows_is_superseded_though_its_number_is_higher(
    database: Database,
) -> None:
    """The row was stamped anew, by the triggers that logical replication met or by a counter that
    was set back."""
    patient_id, version = scored_patient(database)
    predict(database, patient_id, version + 1_000, model=1)
    assert shown(database) == [(patient_id, version + 1_000, 1, True)]


def test_what_waits_or_was_rejected_elsewhere_or_earlier_supersedes_nothing(
    database: Database,
) -> None:
    patient_id, version = scored_patient(database)
    reject(database, patient_id, version - 1)
    reject(database, patient_id + 1, version + 1)
    (other,) = insert_patients(database, 1)
    # The same version waits once more, for today's champion.
    database.execute(
        "INSERT INTO scoring_queue (patient_id, patient_version) VALUES (:id, :version)",
        {"id": patient_id, "version": version},
    )
    assert other != patient_id
    assert shown(database) == [(patient_id, version, 1, False)]


# ---- writing


def batch(entries: list[tuple[int, int]], probabilities: list[float]) -> Predictions:
    ids, versions = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    return Predictions(ids, versions, np.array(probabilities, dtype=np.float64))


def write_predictions(
    database: Database, made: Predictions, model: int = 1, run: int = 1, threshold: float = 0.5
) -> int:
    with writing(database.engine) as connection:
        return database_of(connection).scoring.write_predictions(
            connection, made, model, run, threshold
        )


def test_only_new_predictions_count_and_the_earlier_ones_stay(database: Database) -> None:
    first = [(n, n + 100) for n in range(1, 401)]
    assert write_predictions(database, batch(first, [0.25] * 400), run=1) == 400
    again = [(n, n + 100) for n in range(1, 1001)]
    assert write_predictions(database, batch(again, [0.75] * 1000), run=2) == 600
    assert write_predictions(database, batch(again, [0.75] * 1000), run=3) == 0
    counted = (
        "SELECT run_id, probability, count(*) FROM predictions GROUP BY run_id, probability ORDER "
        "BY run_id"
    )
    assert database.execute(counted) == [(1, 0.25, 400), (2, 0.75, 600)]


@pytest.mark.parametrize("is_earlier_there", [False, True])
def test_each_prediction_is_written_with_its_model_run_class_and_threshold(
    database: Database, is_earlier_there: bool
) -> None:
    """Beside an earlier one such a batch is written by another statement on PostgreSQL, which draws
    the class anew."""
    earlier = (2, 5, 3, 7, 0.25, 0, 0.375) if is_earlier_there else (2, 5, 3, 8, 0.875, 1, 0.375)
    if is_earlier_there:
        write_predictions(database, batch([(2, 5)], [0.25]), model=3, run=7, threshold=0.375)
    made = batch([(1, 4), (2, 5), (3, 6)], [0.125, 0.875, 0.375])
    assert (
        write_predictions(database, made, model=3, run=8, threshold=0.375) == 3 - is_earlier_there
    )
    columns = (
        "patient_id, patient_version, model_version, run_id, probability, predicted_class, "
        "threshold"
    )
    for table in ("predictions", "current_predictions"):
        assert database.execute(f"SELECT {columns} FROM {table} ORDER BY patient_id") == [
            (1, 4, 3, 8, 0.125, 0, 0.375),
            earlier,
            (3, 6, 3, 8, 0.375, 1, 0.375),  # at the threshold it is positive
        ]
    assert "2001" < str(database.value("SELECT min(scored_at) FROM predictions")) < "2900"


def test_nothing_to_write_is_written(database: Database) -> None:
    assert write_predictions(database, batch([], [])) == 0
    nothing = np.array([], dtype=np.int64)
    with writing(database.engine) as connection:
        database_of(connection).scoring.write_rejections(
            connection, Rejections(nothing, nothing, (), ()), 1
        )
    assert database.value("SELECT count(*) FROM predictions") == 0


def test_what_is_no_probability_is_refused_with_all_of_its_batch(database: Database) -> None:
    for probability in (float("nan"), -0.125, 1.125, float("inf")):
        with pytest.raises(DatabaseFailed):
            write_predictions(database, batch([(1, 1), (2, 2)], [0.5, probability]))
    assert database.value("SELECT count(*) FROM predictions") == 0


def write_rejections(database: Database, run: int, *rows: tuple[int, int, str, str]) -> None:
    ids, versions, reasons, fields = zip(*rows, strict=True)
    made = Rejections(
        np.array(ids, dtype=np.int64), np.array(versions, dtype=np.int64), reasons, fields
    )
    with writing(database.engine) as connection:
        database_of(connection).scoring.write_rejections(connection, made, run)


def test_of_two_rejections_of_one_version_the_newer_stands(database: Database) -> None:
    write_rejections(database, 1, (1, 4, "missing", "age"), (2, 5, "not_finite", "bmi"))
    database.execute("UPDATE rejections SET rejected_at = :at", {"at": LONG_AGO})
    write_rejections(database, 2, (1, 4, "out_of_range", "glucose"), (1, 6, "missing", "age"))
    columns = "patient_id, patient_version, run_id, reason, field"
    assert database.execute(
        f"SELECT {columns} FROM rejections ORDER BY patient_id, patient_version"
    ) == [
        (1, 4, 2, "out_of_range", "glucose"),
        (1, 6, 2, "missing", "age"),
        (2, 5, 1, "not_finite", "bmi"),
    ]
    # Its time is the newer judgement's too.
    dated = database.execute(
        "SELECT patient_id, rejected_at FROM rejections ORDER BY patient_id, patient_version"
    )
    assert [str(at).startswith("2001") for _, at in dated] == [False, False, True]


# ---- how often it came true


def realised(database: Database, newest: int = 100) -> tuple[int, int]:
    """How many outcomes have a prediction, and how many of those came true."""
    with reading(database.engine) as connection:
        found = settled_outcomes(connection, newest).in_time
    return len(found), sum(each.predicted_class == each.outcome for each in found)


def label(database: Database, patient_id: int, outcome: int) -> None:
    database.execute(
        "UPDATE patients SET outcome = :outcome WHERE id = :id",
        {"outcome": outcome, "id": patient_id},
    )
    let_the_clock_move()


def test_predictions_are_compared_with_the_outcomes_that_came_after_them(
    database: Database,
) -> None:
    right_negative, right_positive, wrong, unlabelled = insert_patients(database, 4)
    for patient_id, probability in (
        (right_negative, 0.25),
        (right_positive, 0.75),
        (wrong, 0.75),
        (unlabelled, 0.75),
    ):
        predict(database, patient_id, 1, 1, probability=probability)
    for patient_id, outcome in ((right_negative, 0), (right_positive, 1), (wrong, 0)):
        label(database, patient_id, outcome)
    assert realised(database) == (3, 2)


def test_of_outcomes_that_came_at_one_moment_those_of_the_highest_ids_are_the_newest(
    database: Database,
) -> None:
    for patient_id in (4, 2, 1, 3):
        insert_patients(database, 1, first_id=patient_id)
        predict(database, patient_id, 1, 1, probability=0.5 + patient_id / 10)
    with without_triggers(database):
        statement = (
            "UPDATE patients SET outcome = CASE WHEN id > 2 THEN 1 ELSE 0 END, labelled_at = :at"
        )
        database.execute(statement, {"at": day(1)})
    assert realised(database, newest=2) == (2, 2)
    with reading(database.engine) as connection:
        found = settled_outcomes(connection, newest=3).in_time
    assert [round(each.probability, 1) for each in found] == [0.9, 0.8, 0.7]


def test_a_prediction_made_after_the_outcome_does_not_count(database: Database) -> None:
    only_after, before_and_after, never = insert_patients(database, 3)
    predict(database, only_after, 1, 1, at=FAR_AHEAD, probability=0.75)
    predict(database, before_and_after, 1, 1, at=LONG_AGO, probability=0.25)
    predict(database, before_and_after, 2, 2, at=FAR_AHEAD, probability=0.75)
    for patient_id in (only_after, before_and_after, never):
        label(database, patient_id, 1)
    assert realised(database) == (1, 0)


def test_of_several_predictions_the_last_of_the_newest_version_counts(database: Database) -> None:
    cases = [
        # (version, model, run, probability) of each prediction, and whether that one is right
        ([(1, 1, 1, 0.25), (2, 1, 2, 0.75)], 1),
        (
            [(1, 2, 2, 0.25), (2, 1, 1, 0.75)],
            1,
        ),  # the newest version, though an older one was scored later
        (
            [(1, 1, 1, 0.25), (1, 2, 2, 0.75)],
            1,
        ),  # of one version the last run's, whatever the clock said
        ([(1, 2, 1, 0.75), (1, 1, 2, 0.25)], 0),
    ]
    for patient_id, (made, correct) in zip(
        insert_patients(database, len(cases)), cases, strict=True
    ):
        for version, model, run, probability in made:
            predict(
                database,
                patient_id,
                version,
                model,
                at=day(20 - run),
                run=run,
                probability=probability,
            )
        label(database, patient_id, 1)
        assert realised(database, newest=1) == (1, correct)


def test_only_the_newest_outcomes_count(database: Database) -> None:
    patients = insert_patients(database, 5)
    for patient_id in patients:
        predict(database, patient_id, 1, 1, probability=0.75)
    # In another order than their ids'; the two newest are right.
    for position, outcome in ((4, 0), (0, 0), (3, 0), (1, 1), (2, 1)):
        label(database, patients[position], outcome)
    assert realised(database, newest=2) == (2, 2)
    assert realised(database, newest=3) == (3, 2)
    label(database, patients[4], 1)  # corrected: now the newest
    label(database, patients[4], 0)
    assert realised(database, newest=2) == (2, 1)
