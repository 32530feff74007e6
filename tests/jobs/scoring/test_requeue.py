"""Putting rows on the queue again beside a clinic that changes them and whoever is forgotten, under
the roles."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text

from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import writing
from pima.store.rows import queue
from pima.store.rows.queue import Requeued
from pima.store.urls import make_engine
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    the_json,
    under_role,
    until_someone_waits_for_a_lock,
)
from tests.support.rows import predict
from tests.support.shipped import FEATURE_NAMES, SOUND

WAITS = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%{}%'"""
REJECTED = """INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    SELECT id, version, 1, 'out_of_range', 'age' FROM patients"""


@pytest.fixture
def guarded(postgresql: Database) -> Database:
    """Six rows that are not on the queue, and the roles."""
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    insert_patients(postgresql, 6, first_id=1)
    postgresql.execute("DELETE FROM scoring_queue")
    return postgresql


def _queued(database: Database) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = database.execute(
        "SELECT patient_id, glucose FROM scoring_queue ORDER BY 1"
    )
    return found


@pytest.mark.parametrize("option", [(), ("--stale",), ("--rejected",)])
def test_rows_that_a_clinic_is_changing_are_left_to_it_and_told(
    guarded: Database, option: tuple[str, ...]
) -> None:
    if option == ("--rejected",):
        guarded.execute(REJECTED)
    operator = under_role(guarded, "pima_operator")
    with guarded.engine.connect() as clinic, guarded.engine.connect() as undecided:
        clinic.execute(text("UPDATE patients SET outcome = 1 WHERE id = 1"))
        clinic.execute(text("DELETE FROM patients WHERE id = 2"))
        clinic.execute(text("UPDATE patients SET glucose = 90 WHERE id = 3"))
        undecided.execute(text("UPDATE patients SET outcome = 1 WHERE id = 4"))
        told = call(operator, "requeue", *option, "--json")
        assert (told.exit_code, the_json(told)) == (0, {"requeued": 2, "skipped": 4}), told.stderr
        # It goes on to a row that was queued meanwhile.
        clinic.execute(text("UPDATE patients SET outcome = 1 WHERE id = 5"))
        shown = call(operator, "requeue", *option)
        assert (
            shown.exit_code,
            "4 left out" in shown.stdout,
            "run this again" in shown.stdout,
        ) == (0, True, True)
        clinic.commit()
        undecided.rollback()
    assert _queued(guarded) == [(3, 90), (6, SOUND["glucose"])]
    assert the_json(call(operator, "requeue", *option, "--json")) == {"requeued": 1, "skipped": 0}
    assert [patient_id for patient_id, _ in _queued(guarded)] == [3, 4, 6]


@contextmanager
def _stopped_at_the_first(database: Database, ends_with: dict[str, int]) -> Iterator[None]:
    """A requeue that has found its rows and has locked the first of them, until the block ends."""
    with database.engine.connect() as someone:
        someone.execute(
            text("INSERT INTO scoring_queue (patient_id, patient_version) VALUES (1, 0)")
        )
        process = under_role(database, "pima_operator").start("requeue", "--json")
        until_someone_waits_for_a_lock(database)
        yield
        someone.rollback()
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(stdout)) == (0, ends_with), stderr


@pytest.mark.judge
def test_what_changes_between_being_found_and_being_locked_is_left_to_its_triggers(
    guarded: Database,
) -> None:
    with _stopped_at_the_first(guarded, {"requeued": 3, "skipped": 0}):
        guarded.execute("UPDATE patients SET outcome = 1 WHERE id = 2")
        guarded.execute("DELETE FROM patients WHERE id = 3")
        guarded.execute("UPDATE patients SET glucose = 90 WHERE id = 4")
        # A night comes in between.
        predict(guarded, 4)
        guarded.execute("DELETE FROM scoring_queue WHERE patient_id = 4")
    assert [patient_id for patient_id, _ in _queued(guarded)] == [1, 5, 6]


def test_a_clinic_that_goes_through_the_rows_in_another_order_is_not_ended(
    guarded: Database,
) -> None:
    with ThreadPoolExecutor(1) as threads, guarded.engine.connect() as clinic:
        with _stopped_at_the_first(guarded, {"requeued": 5, "skipped": 1}):
            clinic.execute(text("UPDATE patients SET glucose = 90 WHERE id = 3"))
            labelling = "UPDATE patients SET outcome = 1 WHERE id = 1"
            going_on = threads.submit(clinic.execute, text(labelling))
            while not (guarded.value(WAITS.format(labelling)) or going_on.done()):
                time.sleep(0.005)
        going_on.result(PATIENCE_SECONDS)
        clinic.commit()
    # What was labelled behind the requeue is off the queue again.
    assert [patient_id for patient_id, _ in _queued(guarded)] == [2, 3, 4, 5, 6]


BESIDE = ("DELETE FROM patients", "UPDATE patients SET outcome = 1")


@pytest.mark.judge
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("requeue", [queue.requeue_lost, queue.requeue_stale])
def test_what_a_clinic_takes_away_in_an_older_snapshot_is_not_claimed(
    guarded: Database, level: str, requeue: Callable[[Connection], Requeued]
) -> None:
    with guarded.engine.connect().execution_options(isolation_level=level) as clinic:
        clinic.execute(text("SELECT count(*) FROM patients"))  # the snapshot
        with writing(guarded.engine) as connection:
            assert requeue(connection) == Requeued(6, 0)
        for statement, ids in zip(BESIDE, ("1, 2, 4", "3"), strict=True):
            clinic.execute(text(f"{statement} WHERE id IN ({ids})"))
        clinic.commit()
    insert_patients(guarded, 1, first_id=2)
    assert _claimed_by_the_scorer(guarded, rows=2) == [[2, 5], [6]]
    assert _queued(guarded) == []


def _claimed_by_the_scorer(database: Database, rows: int) -> list[list[int]]:
    """The ids of each batch."""
    engine = make_engine(under_role(database, "pima_scorer").url, DatabaseSettings())
    batches: list[list[int]] = [[0]]
    with writing(engine) as connection:
        while len(batches[-1]) == rows or batches == [[0]]:
            scoring = database_of(connection).scoring
            batch = scoring.claim(connection, FEATURE_NAMES, batches[-1][-1], rows)
            batches.append(batch.patient_ids.tolist())
    engine.dispose()
    return batches[1:]


def _forgetting(database: Database) -> subprocess.Popen[str]:
    return under_role(database, "pima_eraser").start("forget", "1", "--reason", "a test")


@pytest.mark.judge
def test_who_is_forgotten_while_a_requeue_has_the_row_is_off_the_queue(guarded: Database) -> None:
    engine = make_engine(under_role(guarded, "pima_operator").url, DatabaseSettings())
    with writing(engine) as connection:
        assert queue.requeue_lost(connection) == Requeued(6, 0)
        process = _forgetting(guarded)
        while process.poll() is None and not guarded.value(WAITS.format("DELETE FROM patients")):
            time.sleep(0.005)
    engine.dispose()
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "row: 1" in stdout) == (0, True), stderr
    assert [patient_id for patient_id, _ in _queued(guarded)] == [2, 3, 4, 5, 6]


@pytest.mark.judge
def test_a_requeue_leaves_out_who_is_being_forgotten(guarded: Database) -> None:
    with guarded.engine.connect() as someone:
        someone.execute(text("LOCK TABLE row_keys IN SHARE MODE"))
        process = _forgetting(guarded)
        until_someone_waits_for_a_lock(guarded)
        told = call(under_role(guarded, "pima_operator"), "requeue", "--json")
        assert the_json(told) == {"requeued": 5, "skipped": 1}
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "row: 1" in stdout) == (0, True), stderr
    assert [patient_id for patient_id, _ in _queued(guarded)] == [2, 3, 4, 5, 6]
