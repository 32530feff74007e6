"""Values that corrections and deletions replace: that they are kept, whoever else is at work, and
how long."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.errors import SerializationFailure
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from pima.erasing.retaining import WINDOW_ROWS
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.store.database import EARLIEST, database_of
from pima.store.engine import reading, writing
from pima.store.predictions import Predictions
from pima.store.rows.erasing import OldRows, what_is_old
from pima.store.rows.histories import predicted_on
from pima.store.rows.queue import requeue_lost
from pima.store.rows.row_history import let_go
from pima.store.service.runs import start_run
from pima.store.tables import predictions, row_history
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    let_the_clock_move,
    until_someone_waits_for_a_lock,
)
from tests.support.rows import COLUMNS, SET_BACK, VALUES, become_older, patient, predict
from tests.support.settled import NOW
from tests.support.shipped import FEATURE_NAMES, SHIPPED_DECLARATION, SOUND

LONG_AGO = NOW - timedelta(days=300)
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
CORRECT = "UPDATE patients SET glucose = glucose + 1"


def kept(database: Database) -> list[tuple[int, int, float | None]]:
    """Each version with the value that is corrected here."""
    return database.execute(
        "SELECT patient_id, patient_version, glucose FROM row_history ORDER BY 1, 2"
    )


def version(database: Database, patient_id: int) -> int:
    return int(patient(database, patient_id).version)


def a_day_later(database: Database) -> None:
    become_older(database, "row_history", "replaced_at")


def a_night_passes(database: Database) -> None:
    with writing(database.engine) as connection:
        let_go(connection, EARLIEST)


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
    found = database.execute(f"SELECT {columns} FROM row_history ORDER BY 1")
    values = [(SOUND | {"insulin": None})[name] for name in FEATURE_NAMES]
    assert found == [(*each, *values) for each in zip(ids, versions, strict=True)]
    again = version(database, first)
    database.execute("UPDATE patients SET glucose = glucose + id, bmi = bmi + 1")
    assert len(kept(database)) == 6
    assert (first, again, SOUND["glucose"]) in kept(database)


@pytest.mark.judge
def test_of_a_deleted_row_nothing_is_kept(database: Database) -> None:
    gone, other = insert_patients(database, 2)
    for statement in (CORRECT, f"DELETE FROM patients WHERE id = {gone}"):
        database.execute(statement)
    a_night_passes(database)
    for statement in (
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
            a_night_passes(database)
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
    a_night_passes(postgresql)
    assert kept(postgresql) == [*before, (again, last, SOUND["glucose"] + 1)]
    with at_level(postgresql, level) as connection:
        for statement in ("DELETE FROM patients", insert, "TRUNCATE patients", insert):
            connection.execute(text(statement))
    assert kept(postgresql) == []


@pytest.mark.judge
def test_so_do_those_on_sqlite(sqlite: Database) -> None:
    (again,) = insert_patients(sqlite, 1)
    versions = [version(sqlite, again)]
    sqlite.execute(CORRECT)
    versions.append(version(sqlite, again))
    with writing(sqlite.engine) as connection:
        for statement in (
            "DELETE FROM patients",
            f"INSERT INTO patients (id, {COLUMNS}) VALUES ({again}, {VALUES})",
        ):
            connection.execute(text(statement))
    a_night_passes(sqlite)
    glucose = (SOUND["glucose"], SOUND["glucose"] + 1)
    assert kept(sqlite) == [(again, *each) for each in zip(versions, glucose, strict=True)]


@pytest.mark.judge
def test_no_writer_is_refused_a_version_that_comes_twice(database: Database) -> None:
    """Since somebody has set the counter back after the row had gone."""
    insert_patients(database, 1, first_id=1)
    database.execute(CORRECT)
    for _ in range(2):
        database.execute("DELETE FROM patients")
        database.execute(SET_BACK[database.kind])
        insert_patients(database, 1, first_id=1)
        database.execute(CORRECT)
    assert len(kept(database)) == 5


@contextmanager
def at_level(database: Database, level: str) -> Iterator[Connection]:
    """A clinic's own transaction, committed at the end of the block."""
    with database.engine.connect().execution_options(isolation_level=level) as connection:
        yield connection
        connection.commit()


# ---- what a night lets go


@pytest.mark.judge
def test_scoring_lets_go_what_nothing_was_predicted_on_and_a_day_later(
    scored_database: Database,
) -> None:
    database = scored_database
    first, second = insert_patients(database, 2)
    predicted = version(database, first)
    database.execute(f"{CORRECT} WHERE id = {second}")  # before anybody has scored it
    score(database)
    database.execute(CORRECT)
    score(database)
    before = kept(database)
    assert len(before) == 3
    a_day_later(database)
    score(database, dry_run=True)
    assert kept(database) == before
    score(database)
    assert kept(database) == [before[0], before[2]]
    assert before[0][1] == predicted


@pytest.mark.judge
def test_each_night_looks_at_what_was_replaced_since_the_last_one(
    scored_database: Database,
) -> None:
    """The night's time does not grow with the history."""
    database = scored_database
    old, new = insert_patients(database, 2)
    assert call(database, "score").exit_code == 0
    database.execute("DELETE FROM predictions")
    for patient_id, hours in ((old, 49), (new, 47)):
        database.execute(f"{CORRECT} WHERE id = {patient_id}")
        database.execute(
            "UPDATE row_history SET replaced_at = :then WHERE patient_id = :id",
            {"then": database.stored(NOW - timedelta(hours=hours)), "id": patient_id},
        )
    assert call(database, "score").exit_code == 0
    assert [row[0] for row in kept(database)] == [old]
    # As if none had ended well yet.
    database.execute("UPDATE runs SET status = 'failed'")
    assert call(database, "score").exit_code == 0
    assert kept(database) == []


@pytest.mark.judge
def test_so_many_go_at_once_and_all_that_must(database: Database) -> None:
    stays, *ids = insert_patients(database, 8)
    predict(database, stays)
    for _ in range(3):
        let_the_clock_move()
        database.execute(CORRECT)
    # Before the others, and after them.
    become_older(database, "row_history", "replaced_at", 1)
    database.execute(f"DELETE FROM patients WHERE id IN ({ids[0]}, {ids[-1]})")
    a_day_later(database)
    since: datetime | None = EARLIEST
    statements = 0
    while since is not None:
        with writing(database.engine) as connection:
            since = let_go(connection, since, 3)
        statements += 1
    assert [row[0] for row in kept(database)] == [stays]
    # Of 8 rows, three versions each, and of two a fourth.
    assert statements > (8 * 3 + 2 - 1) // 3


@pytest.mark.judge
def test_of_two_who_let_go_nobody_waits(postgresql: Database) -> None:
    ids = insert_patients(postgresql, 8)
    for each in ids[:4]:
        predict(postgresql, each)
    postgresql.execute(CORRECT)
    a_day_later(postgresql)
    with writing(postgresql.engine) as first, writing(postgresql.engine) as second:
        assert let_go(first, EARLIEST, 2) is not None
        assert let_go(second, EARLIEST) is not None
    assert [row[0] for row in kept(postgresql)] == ids[:4]


@pytest.mark.judge
@pytest.mark.parametrize("who", ["a night", "retain"])
def test_a_clinic_that_truncates_meanwhile_waits_at_most_and_never_fails(
    postgresql: Database, who: str
) -> None:
    insert_patients(postgresql, 50)
    postgresql.execute(CORRECT)
    a_day_later(postgresql)
    with ThreadPoolExecutor(1) as threads, writing(postgresql.engine) as letting_go:
        if who == "retain":
            old = what_is_old(letting_go, NOW)[3]
            assert (old.table, OldRows(old, 0, 25).delete(letting_go)) == (row_history, 25)
        else:
            assert let_go(letting_go, EARLIEST, 25) is not None
        truncating = threads.submit(postgresql.execute, "TRUNCATE patients")
        until_someone_waits_for_a_lock(postgresql)
        letting_go.commit()
        truncating.result(timeout=PATIENCE_SECONDS)
    assert kept(postgresql) == []


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
    a_night_passes(postgresql)
    assert kept(postgresql) == [(patient_id, predicted, SOUND["glucose"])]


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS[1:])
def test_so_do_those_whose_prediction_is_written_after_the_correction_is_committed(
    postgresql: Database, level: str
) -> None:
    """Whoever does not see the queue entry waits for nobody."""
    (patient_id,) = insert_patients(postgresql, 1)
    predicted = version(postgresql, patient_id)
    postgresql.execute("DELETE FROM scoring_queue")
    with at_level(postgresql, level) as clinic:
        clinic.execute(text("SELECT count(*) FROM patients"))  # the snapshot
        with writing(postgresql.engine) as connection:
            assert requeue_lost(connection).requeued == 1
        with writing(postgresql.engine) as scorer:
            claim_and_predict(scorer)
            clinic.execute(text("UPDATE patients SET glucose = 99, outcome = 1"))
            clinic.commit()
            a_night_passes(postgresql)
            scorer.commit()
    a_day_later(postgresql)
    a_night_passes(postgresql)
    assert kept(postgresql) == [(patient_id, predicted, SOUND["glucose"])]


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


def _assert_learned_from(database: Database, row: tuple[int, int, Any]) -> None:
    """Also a day later."""
    a_day_later(database)
    a_night_passes(database)
    assert kept(database) == [row]
    with reading(database.engine) as connection:
        then, not_kept = predicted_on(connection, FEATURE_NAMES, SHIPPED_DECLARATION.outcome)
    assert (then["glucose"].to_dict(), len(not_kept)) == ({row[0]: row[2]}, 0)


@pytest.mark.judge
def test_retain_leaves_the_prediction_that_counts(database: Database) -> None:
    patient_id, predicted = _a_labelled_row_predicted_long_ago(database)
    with writing(database.engine) as connection:
        assert _retain(connection) == 0
    database.execute(CORRECT)
    _assert_learned_from(database, (patient_id, predicted, SOUND["glucose"]))


@pytest.mark.judge
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("first", ["retain", "the correction"])
def test_a_correction_and_retain_wait_for_nobody_and_lose_nothing(
    postgresql: Database, level: str, first: str
) -> None:
    patient_id, predicted = _a_labelled_row_predicted_long_ago(postgresql)
    with at_level(postgresql, level) as correcting, writing(postgresql.engine) as retaining:
        if first == "retain":
            assert _retain(retaining) == 0
        correcting.execute(text(CORRECT))
        if first != "retain":
            assert _retain(retaining) == 0
    _assert_learned_from(postgresql, (patient_id, predicted, SOUND["glucose"]))


# ---- which of a labelled row's stay


def test_values_of_a_labelled_row_shrink_to_the_version_that_counts(
    scored_database: Database,
) -> None:
    database = scored_database
    labelled, waiting = insert_patients(database, 2)
    for _ in range(3):
        score(database)
        database.execute(CORRECT)
    score(database)
    database.execute(
        "UPDATE predictions SET scored_at = :then", {"then": database.stored(LONG_AGO)}
    )
    counted = version(database, labelled)
    database.execute(f"UPDATE patients SET outcome = 1 WHERE id = {labelled}")
    database.execute(f"{CORRECT} WHERE id = {labelled}")
    a_day_later(database)
    score(database)
    of_the_other = [row for row in kept(database) if row[0] == waiting]
    assert (len(kept(database)), len(of_the_other)) == (7, 3)
    assert call(database, "retain", "--older-than", "200").exit_code == 0
    assert kept(database) == [(labelled, counted, SOUND["glucose"] + 3), *of_the_other]
    told = call(database, "retain", "--older-than", "200", "--values").stdout
    assert "4 predictions" in told
    assert "4 replaced rows" in told
    assert "can't be computed again" in told
    assert kept(database) == []
