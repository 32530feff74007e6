"""The scheduler's threads: one steps, others wait for children, and the main thread stops them."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pima.schedule.scheduler import Scheduler
from pima.settings.sections import DatabaseSettings, ScheduleSettings
from pima.store.engine import make_engine
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.set_clock import python

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = ScheduleSettings(score="15 2 * * *", retrain="0 0 29 2 mon", grace_seconds=2, retry_seconds=60)


def _wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_owed_scoring_does_not_slip_in_before_a_retraining_is_tried_again(database: Database) -> None:
    """The retraining's end is in `runs`, and its waiter is held before it has worked out when the next try is."""
    stepping, go_on = threading.current_thread(), threading.Event()

    def clock() -> datetime:
        if threading.current_thread() is not stepping:
            assert go_on.wait(PATIENCE_SECONDS)
        return NOW

    try_later = python("import sys; sys.exit(75)")
    scheduler = Scheduler(database.engine, SETTINGS, lambda _job, _run: try_later, os.environ, clock)
    scheduler.begin()
    scheduler.step()
    _wait_until(lambda: database.execute("SELECT job, status FROM runs") == [("retrain", "try_again_later")])
    scheduler.step()
    go_on.set()
    scheduler.wait_for_children()
    scheduler.step()
    assert database.execute("SELECT job FROM runs") == [("retrain",)]


def test_a_stop_ends_the_children_while_a_step_hangs_on_a_silent_database(postgresql: Database, tmp_path: Path) -> None:
    listens = tmp_path / "listens"
    until_asked = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
pathlib.Path({str(listens)!r}).touch()
time.sleep(120)
"""
    engine = make_engine(postgresql.url, DatabaseSettings())
    scheduler = Scheduler(engine, SETTINGS, lambda _job, _run: python(until_asked), os.environ, lambda: NOW)
    scheduler.begin()
    scheduler.step()
    _wait_until(listens.exists)
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    silent = [row[0] for row in postgresql.execute(f"SELECT pid FROM pg_stat_activity WHERE {others}")]
    hanging = threading.Thread(target=scheduler.step, daemon=True)
    try:
        for backend in silent:
            os.kill(backend, signal.SIGSTOP)
        hanging.start()
        scheduler.end()
        assert hanging.is_alive(), "the step does not hang, so this shows nothing"
    finally:
        for backend in silent:
            os.kill(backend, signal.SIGCONT)
    hanging.join()
    scheduler.wait_for_children()
    engine.dispose()
    retrained = "SELECT status, exit_code FROM runs WHERE job = 'retrain'"
    assert postgresql.execute(retrained) == [("interrupted", 143)]
