"""Values that an update replaces: that they are kept, whoever else is at work, and how long."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from psycopg.errors import SerializationFailure
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from pima.erasing.retaining import WINDOW_ROWS
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.store.database import database_of
from pima.store.engine import writing
from pima.store.predictions import Predictions
from pima.store.rows.erasing import OldRows, what_is_old
from pima.store.rows.replaced import examine
from pima.store.service.runs import start_run
from pima.store.tables import predictions
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    until_someone_waits_for_a_lock,
)
from tests.support.rows import COLUMNS, VALUES, patient, predict
from tests.support.settled import NOW
from tests.support.shipped import FEATURE_NAMES, SOUND

LONG_AGO = NOW - timedelta(days=300)
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
CORRECT = "UPDATE patients SET glucose = glucose + 1"


def kept(database: Database) -> list[tuple[int, int, float | None]]:
    """Each version with the value that is corrected here; None of a mark."""
    return database.execute(
        "SELECT patient_id, patient_version, glucose FROM replaced_rows ORDER BY 1, 2"
    )


def looked_at(database: Database) -> list[int]:
    found = "SELECT patient_version FROM replaced_rows WHERE predicted_at IS NOT NULL ORDER BY 1"
    return [row[0] for row in database.execute(found)]


def version(database: Database, patient_id: int) -> int:
    return int(patient(database, patient_id).version)


def a_day_later(database: Database) -> None:
    """The clock is not waited for: what was replaced becomes older."""
    database.execute(
        "UPDATE replaced_rows SET replaced_at = :then WHERE replaced_at IS NOT NULL",
        {"then": database.stored(NOW - timedelta(days=1, minutes=1))},
    )


def score(database: Database, dry_run: bool = False) -> None:
    with writing(database.engine) as connection:
        run = OpenRun(start_run(connection, "score", "manual", None, "here") or 0)
    score_queue(database.engine, run, ScoreOptions(2, dry_run=dry_run), StopRequest())


# ---- what is kept


@pytest.mark.judge
def test_each_replaced_version_keeps_all_of_its_values(database: Database) -> None:
    first, second = insert_patients(database, 2, insulin=None, outcome=1)
    (third,) = insert_patients(database, 1, insulin=None)
    ids = (first, second, third)
    versions = [version(database, each) for each in ids]
    database.execute(f"UPDATE patients SET age = 99, insulin = 5 WHERE id <> {second}")
    database.execute(f"UPDATE patients SET outcome = NULL WHERE id = {second}")
    database.execute("UPDATE patients SET outcome = 0, person_key = 'p'")
    columns = f"patient_id, patient_version, {COLUMNS}"
    found = database.execute(f"SELECT {columns} FROM replaced_rows ORDER BY 1")
    values = [(SOUND | {"insulin": None})[name] for name in FEATURE_NAMES]
    assert found == [(*each, *values) for each in zip(ids, versions, strict=True)]
    again = version(database, first)
    database.execute("UPDATE patients SET glucose = glucose + id, bmi = bmi + 1")
    assert len(kept(database)) == 6
    assert (first, again, SOUND["glucose"]) in kept(database)


@pytest.mark.judge
def test_of_a_deleted_row_nothing_is_kept(database: Database) -> None:
    gone, other = insert_patients(database, 2)
    for statement in (
        CORRECT,
        f"DELETE FROM patients WHERE id = {gone}",
        f"INSERT INTO patients (id, {COLUMNS}) VALUES ({gone}, {VALUES})",
        CORRECT,
    ):
        database.execute(statement)
    assert [row[0] for row in kept(database)] == [gone, other, other]
    for statement in ("DELETE FROM patients", "TRUNCATE patients"):
        if database.kind == "postgresql" or statement.startswith("DELETE"):
            insert_patients(database, 2)
            database.execute(CORRECT)
            database.execute(statement)
            assert kept(database) == []


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS)
def test_rows_that_come_again_in_the_same_transaction_keep_theirs(
    postgresql: Database, level: str
) -> None:
    """As where all rows are refreshed by DELETE and INSERT; TRUNCATE lets nobody see them."""
    again, _ = insert_patients(postgresql, 2)
    postgresql.execute(CORRECT)
    before = [row for row in kept(postgresql) if row[0] == again]
    last = version(postgresql, again)
    insert = f"INSERT INTO patients (id, {COLUMNS}) VALUES ({again}, {VALUES})"
    with at_level(postgresql, level) as connection:
        for statement in ("DELETE FROM patients", insert):
            connection.execute(text(statement))
    assert kept(postgresql) == [*before, (again, last, SOUND["glucose"] + 1)]
    with at_level(postgresql, level) as connection:
        for statement in ("DELETE FROM patients", insert, "TRUNCATE patients", insert):
            connection.execute(text(statement))
    assert kept(postgresql) == []


AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE"


@pytest.mark.parametrize(
    "places", [(0,), (1,), (2,), (0, 1), (1, 1), (1, 2)], ids=lambda places: f"before {places}"
)
@pytest.mark.parametrize("level", LEVELS)
def test_a_clinic_that_sets_constraints_immediate_loses_and_leaves_nothing(
    postgresql: Database, places: tuple[int, ...], level: str
) -> None:
    """Before the DELETE, before the INSERT, or at the end."""
    again, _gone = insert_patients(postgresql, 2)
    postgresql.execute(CORRECT)
    before = [row for row in kept(postgresql) if row[0] == again]
    last = version(postgresql, again)
    insert = f"INSERT INTO patients (id, {COLUMNS}) VALUES ({again}, {VALUES})"
    with at_level(postgresql, level) as connection:
        for place, statement in enumerate(("DELETE FROM patients", insert, CORRECT)):
            for _ in range(places.count(place)):
                connection.execute(text(AT_ONCE))
            connection.execute(text(statement))
    assert kept(postgresql)[:-1] == [*before, (again, last, SOUND["glucose"] + 1)]
    assert version(postgresql, again) > kept(postgresql)[-1][1] > last


@pytest.mark.parametrize("end", ["COMMIT", "END", "/* by a pool */ commit"])
def test_of_a_deleted_row_nothing_is_kept_however_the_transaction_ends(
    postgresql: Database, end: str
) -> None:
    again, _ = insert_patients(postgresql, 2)
    postgresql.execute(CORRECT)
    insert = f"INSERT INTO patients (id, {COLUMNS}) VALUES ({again}, {VALUES})"
    with postgresql.engine.connect() as connection:
        for statement in ("DELETE FROM patients", insert, end):
            connection.exec_driver_sql(statement)
    assert [row[0] for row in kept(postgresql)] == [again, again]


@contextmanager
def at_level(database: Database, level: str) -> Iterator[Connection]:
    """A clinic's own transaction, committed at the end of the block."""
    with database.engine.connect().execution_options(isolation_level=level) as connection:
        yield connection
        connection.commit()


# ---- whether they were predicted on


@pytest.mark.judge
def test_scoring_looks_once_and_a_day_later(scored_database: Database) -> None:
    database = scored_database
    first, second = insert_patients(database, 2)
    predicted = version(database, first)
    database.execute(f"{CORRECT} WHERE id = {second}")  # before anybody has scored it
    score(database)
    database.execute(CORRECT)
    score(database)
    before = kept(database)
    assert (len(before), looked_at(database)) == (3, [])
    a_day_later(database)
    score(database, dry_run=True)
    assert looked_at(database) == []
    score(database)
    assert kept(database) == [before[0], before[2]]
    assert looked_at(database) == [predicted, before[2][1]]
    as_scored = """SELECT count(*) FROM replaced_rows
        JOIN predictions USING (patient_id, patient_version) WHERE predicted_at = scored_at"""
    assert database.value(as_scored) == 2


def test_of_two_who_look_nobody_waits(postgresql: Database) -> None:
    ids = insert_patients(postgresql, 8)
    for each in ids[:4]:
        predict(postgresql, each)
    postgresql.execute(CORRECT)
    a_day_later(postgresql)
    with writing(postgresql.engine) as first, writing(postgresql.engine) as second:
        assert examine(first, 2) > 0
        assert examine(second, 8) > 0
    with writing(postgresql.engine) as last:
        examine(last, 8)
    assert [row[0] for row in kept(postgresql)] == ids[:4]


# ---- beside a scorer and `retain`


def claim_and_predict(connection: Connection) -> None:
    scoring = database_of(connection).scoring
    batch = scoring.claim(connection, FEATURE_NAMES, 0, 10)
    probabilities = batch.measurements.values[:, 0] * 0 + 0.5
    made = Predictions(batch.patient_ids, batch.patient_versions, probabilities)
    assert scoring.write_predictions(connection, made, 1, 1, 0.5) == len(batch)


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("change", ["glucose = 99", "glucose = 99, outcome = 1"])
def test_values_that_are_replaced_beside_a_scorer_that_has_not_committed_stay(
    postgresql: Database, level: str, change: str
) -> None:
    (patient_id,) = insert_patients(postgresql, 1)
    predicted = version(postgresql, patient_id)
    with ThreadPoolExecutor(1) as threads, writing(postgresql.engine) as scorer:
        claim_and_predict(scorer)
        writing_meanwhile = threads.submit(
            _until_it_succeeds, postgresql, level, f"UPDATE patients SET {change}"
        )
        until_someone_waits_for_a_lock(postgresql)
        scorer.commit()
        writing_meanwhile.result(timeout=PATIENCE_SECONDS)
    assert kept(postgresql) == [(patient_id, predicted, SOUND["glucose"])]
    a_day_later(postgresql)
    with writing(postgresql.engine) as connection:
        examine(connection, 10)
    assert looked_at(postgresql) == [predicted]


def _until_it_succeeds(database: Database, level: str, statement: str) -> None:
    """As whoever writes at a level above READ COMMITTED has to."""
    for _ in range(2):
        try:
            with at_level(database, level) as connection:
                connection.execute(text("SELECT count(*) FROM patients"))  # the snapshot
                connection.execute(text(statement))
        except OperationalError as error:
            if not isinstance(error.orig, SerializationFailure):
                raise
        else:
            return
    raise AssertionError("it failed twice")


def _a_labelled_row_predicted_long_ago(database: Database) -> tuple[int, int]:
    (patient_id,) = insert_patients(database, 1)
    predict(database, patient_id)
    database.execute("DELETE FROM scoring_queue")
    database.execute(
        "UPDATE predictions SET scored_at = :then", {"then": database.stored(LONG_AGO)}
    )
    database.execute("UPDATE patients SET outcome = 1")
    return patient_id, version(database, patient_id)


def _retain(connection: Connection) -> int:
    old = what_is_old(connection, NOW - timedelta(days=200))[0]
    assert old.table is predictions
    return OldRows(old, 0, WINDOW_ROWS).delete(connection)


def _assert_known_as_predicted(database: Database, row: tuple[int, int, Any]) -> None:
    """Whatever became of the prediction."""
    a_day_later(database)
    with writing(database.engine) as connection:
        examine(connection, 10)
    assert (kept(database), looked_at(database)) == ([row], [row[1]])


@pytest.mark.judge
def test_what_was_predicted_on_is_known_after_its_prediction_is_gone(database: Database) -> None:
    patient_id, predicted = _a_labelled_row_predicted_long_ago(database)
    with writing(database.engine) as connection:
        assert _retain(connection) == 1
    assert kept(database) == [(patient_id, predicted, None)]
    database.execute(CORRECT)
    _assert_known_as_predicted(database, (patient_id, predicted, SOUND["glucose"]))


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS)
def test_a_correction_while_retain_is_at_it_waits_and_loses_nothing(
    postgresql: Database, level: str
) -> None:
    patient_id, predicted = _a_labelled_row_predicted_long_ago(postgresql)
    with ThreadPoolExecutor(1) as threads, writing(postgresql.engine) as retaining:
        assert _retain(retaining) == 1
        correcting = threads.submit(_until_it_succeeds, postgresql, level, CORRECT)
        until_someone_waits_for_a_lock(postgresql)
        retaining.commit()
        correcting.result(timeout=PATIENCE_SECONDS)
    _assert_known_as_predicted(postgresql, (patient_id, predicted, SOUND["glucose"]))


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS)
def test_retain_waits_for_no_correction_and_leaves_that_prediction(
    postgresql: Database, level: str
) -> None:
    patient_id, predicted = _a_labelled_row_predicted_long_ago(postgresql)
    with at_level(postgresql, level) as correcting:
        correcting.execute(text(CORRECT))
        with writing(postgresql.engine) as retaining:
            assert _retain(retaining) == 0
    with writing(postgresql.engine) as retaining:
        assert _retain(retaining) == 0  # nobody has looked yet
    _assert_known_as_predicted(postgresql, (patient_id, predicted, SOUND["glucose"]))
    with writing(postgresql.engine) as retaining:
        assert _retain(retaining) == 1


# ---- which of a labelled row's stay


def test_values_of_a_labelled_row_shrink_to_the_version_that_counts(
    scored_database: Database,
) -> None:
    database = scored_database
    labelled, waiting = insert_patients(database, 2)
    for _ in range(3):
        score(database)
        database.execute(CORRECT)
    a_day_later(database)
    score(database)  # and looks
    database.execute(
        "UPDATE predictions SET scored_at = :then", {"then": database.stored(LONG_AGO)}
    )
    database.execute(
        "UPDATE replaced_rows SET predicted_at = :then", {"then": database.stored(LONG_AGO)}
    )
    counted = version(database, labelled)
    database.execute(f"UPDATE patients SET outcome = 1 WHERE id = {labelled}")
    database.execute(f"{CORRECT} WHERE id = {labelled}")
    a_day_later(database)
    score(database)
    database.execute(
        "UPDATE replaced_rows SET predicted_at = :then", {"then": database.stored(LONG_AGO)}
    )
    of_the_other = [row for row in kept(database) if row[0] == waiting]
    assert (len(kept(database)), len(of_the_other)) == (7, 3)
    assert call(database, "retain", "--older-than", "200").exit_code == 0
    assert kept(database) == [(labelled, counted, SOUND["glucose"] + 3), *of_the_other]
    told = call(database, "retain", "--older-than", "200", "--values").stdout
    assert "4 replaced rows" in told
    assert "can't be computed again" in told
    assert kept(database) == []
