"""The scheduler as a real process, which starts real jobs, passes signals on and leaves whole
batches; its threads."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pima.runs.scheduler import Scheduler
from pima.settings.sections import DatabaseSettings, ScheduleSettings
from pima.store.urls import make_engine
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    held_in_the_middle,
    insert_many,
    insert_patients,
    the_json,
    wait_for,
)
from tests.support.ledger import insert_run
from tests.support.schedulers import EVERY_SECOND, python, stop, wait_for_children
from tests.support.shipped import ROOT

NEVER = "0 0 29 2 mon"
# What a scheduler asks of a database, test_scheduler_clock.py shows on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@on_sqlite
def test_it_runs_both_jobs_at_their_ticks_and_stops_when_asked(scored_database: Database) -> None:
    database = scored_database
    insert_patients(database, 3)
    process = database.start(
        "scheduler", PIMA_SCHEDULE__SCORE=EVERY_SECOND, PIMA_SCHEDULE__RETRAIN=NEVER
    )
    wait_for(lambda: database.value("SELECT count(*) = 3 FROM predictions"), process)
    # A machine that is busy with other things skips and misses ticks of a schedule like this one.
    ended = "SELECT count(*) FROM runs WHERE job = 'score' AND exit_code IS NOT NULL"
    wait_for(lambda: database.value(ended) >= 2, process)
    stop(process)
    runs = database.execute(
        "SELECT job, trigger, status, scheduled_for, exit_code, error_line FROM runs"
    )
    assert {run[1] for run in runs} == {"first_run", "schedule"}
    assert all(run[3] is not None for run in runs)
    # There is no history to train on here: refused, and the scheduler goes on.
    assert [run[2] for run in runs if run[0] == "retrain"] == ["refused"]
    assert {run[2] for run in runs if run[0] == "score"} <= {
        "succeeded",
        "interrupted",
        "skipped",
        "missed",
    }
    refused = next(run for run in runs if run[2] == "refused")
    assert refused[4] == 3
    assert "Too little labelled history" in refused[5]


@on_sqlite
def test_a_ping_that_hangs_delays_no_run(scored_database: Database) -> None:
    database, over = scored_database, threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        environ = {
            "PIMA_SCHEDULE__SCORE": EVERY_SECOND,
            "PIMA_SCHEDULE__RETRAIN": NEVER,
            "PIMA_PING__SCORE_URL": url,
        }
        process = database.start("scheduler", **environ, PIMA_SCHEDULE__CATCH_UP="none")
        with server.accept()[0] as first_ping:
            answering = threading.Thread(target=_answer_without_end, args=(first_ping, over))
            answering.start()
            ended = "SELECT count(*) FROM runs WHERE job = 'score' AND status = 'succeeded'"
            wait_for(lambda: database.value(ended) >= 3, process)
            over.set()
            answering.join()
            first_ping.setblocking(False)
            with pytest.raises(BlockingIOError):  # it waits still
                first_ping.recv(1)
        stop(process)


def _answer_without_end(ping: socket.socket, over: threading.Event) -> None:
    """A letter at a time, so that no time limit between two of them is met."""
    ping.recv(65_536)
    while not over.wait(0.5):
        ping.sendall(b"H")


def test_a_child_that_could_never_work_ends_the_scheduler(sqlite: Database) -> None:
    nowhere = {
        "PIMA_SCORE__DATABASE_URL": sqlite.url,
        "PIMA_SCORE__DATABASE_URL_FILE": "/no/such/file",
    }
    ended = call(sqlite, "scheduler", **nowhere)
    assert (ended.exit_code, "both PIMA_SCORE__DATABASE_URL" in ended.stderr) == (2, True)


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
@pytest.mark.skipif(
    os.geteuid() != 0, reason="unshare --pid needs root where user namespaces are off"
)
def test_as_process_1_it_passes_the_signal_on_and_leaves_whole_batches(
    scored_database: Database,
) -> None:
    database, rows, batch = scored_database, 20_000, 20
    insert_many(database, rows)
    environ = clean_environ() | {"DATABASE_URL": database.url, "PIMA_SCORE__BATCH_ROWS": str(batch)}
    insert_run(database, "retrain", "succeeded")
    # Scoring never ran, so it is run once.
    environ |= {"PIMA_SCHEDULE__RETRAIN": NEVER, "PIMA_SCHEDULE__SCORE": NEVER}
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "--pid", "--fork", "--mount-proc", sys.executable, "-m", "jobs.scheduler"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    with held_in_the_middle(database, process, range(1, rows // 5)):
        (inside,) = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
        ).stdout.split()
        os.kill(int(inside), signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    predicted = database.value("SELECT count(*) FROM predictions")
    assert 0 < predicted < rows
    assert predicted % batch == 0
    assert predicted + database.value("SELECT count(*) FROM scoring_queue") == rows
    ends = database.execute(
        "SELECT status, error_code, exit_code, signal FROM runs WHERE job = 'score'"
    )
    assert ends == [("interrupted", "interrupted", 143, None)]
    assert predicted == database.value("SELECT count(DISTINCT patient_id) FROM predictions")


@on_sqlite
def test_a_job_takes_over_only_a_run_that_a_scheduler_has_opened_for_it(
    scored_database: Database,
) -> None:
    database = scored_database
    insert_run(
        database, "retrain", "running", trigger="schedule", scheduled_for="2026-01-01T00:00:00.000Z"
    )
    for run_id in ("1", "7"):
        ended = call(database, "score", "--json", "--run-id", run_id)
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "run_not_open")
    assert database.value("SELECT count(*) FROM runs") == 1


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = ScheduleSettings(
    score="15 2 * * *", retrain="0 0 29 2 mon", grace_seconds=2, retry_seconds=60
)


def _wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_owed_scoring_does_not_slip_in_before_a_retraining_is_tried_again(sqlite: Database) -> None:
    """The retraining's end is in `runs`, and its waiter is held before it has worked out when the
    next try is."""
    stepping, go_on = threading.current_thread(), threading.Event()

    def clock() -> datetime:
        if threading.current_thread() is not stepping:
            assert go_on.wait(PATIENCE_SECONDS)
        return NOW

    try_later = python("import sys; sys.exit(75)")
    scheduler = Scheduler(sqlite.engine, SETTINGS, lambda _job, _run: try_later, os.environ, clock)
    scheduler.begin()
    scheduler.step()
    _wait_until(
        lambda: sqlite.execute("SELECT job, status FROM runs") == [("retrain", "try_again_later")]
    )
    scheduler.step()
    go_on.set()
    wait_for_children()
    scheduler.step()
    assert sqlite.execute("SELECT job FROM runs") == [("retrain",)]


def test_a_stop_ends_the_children_while_a_step_hangs_on_a_silent_database(
    postgresql: Database, tmp_path: Path
) -> None:
    listens = tmp_path / "listens"
    until_asked = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
pathlib.Path({str(listens)!r}).touch()
time.sleep(120)
"""
    engine = make_engine(postgresql.url, DatabaseSettings())
    scheduler = Scheduler(
        engine, SETTINGS, lambda _job, _run: python(until_asked), os.environ, lambda: NOW
    )
    scheduler.begin()
    scheduler.step()
    _wait_until(listens.exists)
    others = (
        "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client "
        "backend'"
    )
    silent = [
        row[0] for row in postgresql.execute(f"SELECT pid FROM pg_stat_activity WHERE {others}")
    ]
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
    wait_for_children()
    engine.dispose()
    retrained = "SELECT status, exit_code FROM runs WHERE job = 'retrain'"
    assert postgresql.execute(retrained) == [("interrupted", 143)]
