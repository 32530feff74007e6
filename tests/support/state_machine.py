"""What the jobs do to a database in any order, and what must hold after each step: every unlabelled
version ends once.

Batches are killed in the middle for real: a child process claims, writes, and is ended by SIGKILL
before its commit.
"""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from pima.errors import NothingToRollBackTo
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import writing
from pima.store.rows import queue
from pima.store.service.runs import start_run
from pima.store.urls import make_engine
from pima.train.ledger import Decider, promote, roll_back, suspend
from tests.support.databases import PATIENCE_SECONDS, Database


class Jobs(RuleBasedStateMachine):
    """One database, emptied before each example; whoever derives from it says how rows come in."""

    database: Database
    features: tuple[str, ...]
    """Of the declaration."""
    emptied: ClassVar[tuple[str, ...]] = (
        "patients",
        "scoring_queue",
        "row_history",
        "predictions",
        "rejections",
        "runs",
    )

    def __init__(self) -> None:
        super().__init__()
        for table in self.emptied:
            self.database.execute(f"DELETE FROM {table}")
        self.ended: set[tuple[int, int]] = set()
        """Versions that were predicted or rejected: they must stay so."""

    # ---- the jobs ----

    @rule(batch_rows=st.integers(1, 3))
    def score(self, batch_rows: int) -> None:
        before = self.database.value("SELECT count(*) FROM scoring_queue")
        self._score(ScoreOptions(batch_rows))
        waiting = before if self._is_suspended() else 0
        assert self.database.value("SELECT count(*) FROM scoring_queue") == waiting

    @rule(limit=st.integers(1, 3))
    def score_with_limit(self, limit: int) -> None:
        before = self.database.value("SELECT count(*) FROM scoring_queue")
        self._score(ScoreOptions(2, limit))
        waiting = before if self._is_suspended() else max(0, before - limit)
        assert self.database.value("SELECT count(*) FROM scoring_queue") == waiting

    @rule()
    def score_dry(self) -> None:
        before = self._all_rows()
        self._score(ScoreOptions(2, dry_run=True))
        assert self._all_rows() == before

    @precondition(lambda self: self.database.value("SELECT count(*) FROM scoring_queue") > 0)
    @rule(rows=st.integers(1, 4))
    def kill_in_the_middle_of_a_batch(self, rows: int) -> None:
        before = self._all_rows()
        status = in_a_child(lambda: _claim_write_and_die(self.database.url, self.features, rows))
        assert os.WTERMSIG(status) == signal.SIGKILL
        wait_until_the_server_knows(self.database)
        assert self._all_rows() == before

    @rule(number=st.integers(1, 3))
    def retrain(self, number: int) -> None:
        """One of the versions that were really trained wins."""
        if self.database.value("SELECT model_version FROM champion") != number:
            promote(self.database.engine, number, Decider("test", "as if it had won"))

    @rule()
    def suspend_or_end_it(self) -> None:
        if self._is_suspended():
            number = self.database.value("SELECT model_version FROM champion")
            promote(self.database.engine, number, Decider("test", "it was sound"))
        else:
            suspend(self.database.engine, Decider("test", "a doubt"))

    @rule()
    def roll_back(self) -> None:
        pointer = "SELECT model_version, sequence FROM champion"
        [(version, sequence)] = self.database.execute(pointer)
        try:
            roll_back(self.database.engine, Decider("test", "a change of mind"))
        except NothingToRollBackTo:
            assert self.database.execute(pointer) == [(version, sequence)]
        else:
            [(now, sequence_now)] = self.database.execute(pointer)
            assert (now != version, sequence_now) == (True, sequence + 1)

    @rule(which=st.sampled_from([queue.requeue_lost, queue.requeue_rejected]))
    def requeue(self, which: Any) -> None:
        with writing(self.database.engine) as connection:
            queued = which(connection).requeued
        if which is queue.requeue_lost:
            assert queued == 0, "a version had fallen out of the queue"
        else:
            self.ended = set(self._ended())

    @rule()
    def a_day_passes(self) -> None:
        """Since values were replaced: the next run of scoring looks whether to keep them."""
        then = self.database.stored(datetime.now(UTC) - timedelta(days=1, minutes=1))
        self.database.execute("UPDATE row_history SET replaced_at = :then", {"then": then})

    # ---- what must hold ----

    @invariant()
    def every_version_is_in_one_place(self) -> None:
        ended = self._ended()
        waiting = self.database.execute("SELECT patient_id, patient_version FROM scoring_queue")
        assert len(set(ended)) == len(ended), (
            "a version was predicted by two models, or predicted and rejected"
        )
        assert not set(ended) & set(waiting), "a version that has ended waits"
        current = self.database.execute("SELECT id, version FROM patients WHERE outcome IS NULL")
        assert set(current) <= set(ended) | set(waiting), "a version is lost"
        assert set(waiting) <= set(current), "a version waits that is no longer current"
        assert self.ended <= set(ended), "something that had ended is gone"
        self.ended = set(ended)

    @invariant()
    def every_prediction_has_the_values_that_it_was_made_from(self) -> None:
        """Unless the row was deleted since, and has come again."""
        lost = """
            SELECT d.patient_id, d.patient_version FROM predictions d
            JOIN patients p ON p.id = d.patient_id AND p.version <> d.patient_version
            WHERE d.scored_at > p.recorded_at AND NOT EXISTS (
                SELECT 1 FROM row_history r
                WHERE r.patient_id = d.patient_id AND r.patient_version = d.patient_version)"""
        assert self.database.execute(lost) == []

    def teardown(self) -> None:
        if self._is_suspended():
            self.suspend_or_end_it()
        self._score(ScoreOptions(10))
        self.every_version_is_in_one_place()
        assert self.database.value("SELECT count(*) FROM scoring_queue") == 0

    def _score(self, options: ScoreOptions) -> None:
        with writing(self.database.engine) as connection:
            run = OpenRun(start_run(connection, "score", "manual", None, "test"))
        champion = self.database.value("SELECT model_version FROM champion")
        before = set(self.database.execute("SELECT * FROM predictions"))
        score_queue(self.database.engine, run, options, StopRequest())
        # The table's key would hide it: who scores a version again writes no second row.
        assert run.counts["already_scored"] == 0, "a version was scored twice by one model"
        new = set(self.database.execute("SELECT * FROM predictions")) - before
        assert {row[2] for row in new} <= {champion}, (
            "a run is scored by the champion that it began with"
        )
        assert not (new and self._is_suspended()), "a row was scored during a stop"

    def _is_suspended(self) -> bool:
        return self.database.value("SELECT suspended_at FROM champion") is not None

    def _ended(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self.database.execute(
            "SELECT patient_id, patient_version FROM predictions"
            " UNION ALL SELECT patient_id, patient_version FROM rejections"
        )
        return found

    def _all_rows(self) -> list[list[tuple[Any, ...]]]:
        tables = ("patients", "scoring_queue", "predictions", "rejections")
        return [
            sorted(self.database.execute(f"SELECT * FROM {table}"), key=repr) for table in tables
        ]


def wait_until_the_server_knows(database: Database) -> None:
    """PostgreSQL gives a dead client's locks back when it reads the closed socket, a moment
    later."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    until = time.monotonic() + PATIENCE_SECONDS
    in_transaction = f"SELECT count(*) {others} AND xact_start IS NOT NULL"
    while database.kind == "postgresql" and database.value(in_transaction):
        assert time.monotonic() < until
        time.sleep(0.002)


def in_a_child(work: Callable[[], object]) -> int:
    """Do it in a forked process; how that ended, as os.waitpid says it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(70)  # whatever was raised, pytest must not go on in here
    return os.waitpid(child, 0)[1]


def die() -> NoReturn:
    """At once, so that nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody comes here")


def _claim_write_and_die(url: str, names: tuple[str, ...], rows: int) -> NoReturn:
    """In a child process: do a batch's statements on a connection of its own, and be killed before
    the commit."""
    engine = make_engine(url, DatabaseSettings())
    columns = "patient_id, patient_version, run_id, reason, field"
    with engine.connect().execution_options(pima_writes=True) as connection:
        batch = database_of(connection).scoring.claim(connection, names, 0, rows)
        assert len(batch) > 0
        connection.execute(
            text(f"INSERT INTO rejections ({columns}) VALUES (:i, :v, 0, '', '')"),
            {"i": int(batch.patient_ids[0]), "v": int(batch.patient_versions[0])},
        )
        die()


def run_machine(machine: type[Jobs], examples: int, steps: int) -> None:
    """Let Hypothesis draw that many sequences of so many steps, the same ones each time."""
    drawn = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=drawn)
