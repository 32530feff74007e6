"""The scheduler as a real process: it starts real jobs, passes signals on, and leaves whole batches."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    insert_many,
    insert_patients,
    the_json,
)
from tests.support.ledger import insert_run
from tests.support.real_scheduler import EVERY_SECOND, stop
from tests.support.shipped import ROOT
from tests.support.waiting import held_in_the_middle, wait_for

NEVER = "0 0 29 2 mon"


def test_a_time_that_a_clock_change_touches_is_warned_of(database: Database) -> None:
    process = database.start("scheduler", PIMA_SCHEDULE__TIME_ZONE="Europe/Berlin", PIMA_SCHEDULE__CATCH_UP="none")
    wait_for(lambda: database.value("SELECT count(*) FROM schedules") == 2, process)
    stderr = stop(process)
    assert "does not exist in Europe/Berlin" in stderr
    assert "comes twice in Europe/Berlin" in stderr


def test_it_runs_both_jobs_at_their_ticks_and_stops_when_asked(scored_database: Database) -> None:
    database = scored_database
    insert_patients(database, 3)
    process = database.start("scheduler", PIMA_SCHEDULE__SCORE=EVERY_SECOND, PIMA_SCHEDULE__RETRAIN=EVERY_SECOND)
    wait_for(lambda: database.value("SELECT count(*) = 3 FROM predictions"), process)
    # A machine that is busy with other things skips and misses ticks of a schedule like this one.
    ended = "SELECT count(*) FROM runs WHERE job = '{}' AND exit_code IS NOT NULL"
    for job in ("retrain", "score"):
        wait_for(lambda job=job: database.value(ended.format(job)) >= 2, process)
    stop(process)
    runs = database.execute("SELECT job, trigger, status, scheduled_for, exit_code, error_line FROM runs")
    assert {run[1] for run in runs} == {"first_run", "schedule"}
    assert all(run[3] is not None for run in runs)
    # There is no history to train on here: refused, and the scheduler goes on.
    assert {run[2] for run in runs if run[0] == "retrain"} <= {"refused", "interrupted", "skipped", "missed"}
    assert {run[2] for run in runs if run[0] == "score"} <= {"succeeded", "interrupted", "skipped", "missed"}
    refused = next(run for run in runs if run[2] == "refused")
    assert refused[4] == 3
    assert "Too little labelled history" in refused[5]


def test_a_ping_that_hangs_delays_no_run(scored_database: Database) -> None:
    database, over = scored_database, threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        environ = {"PIMA_SCHEDULE__SCORE": EVERY_SECOND, "PIMA_SCHEDULE__RETRAIN": NEVER, "PIMA_PING__SCORE_URL": url}
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


def test_a_child_that_could_never_work_ends_the_scheduler(database: Database) -> None:
    nowhere = {"PIMA_SCORE__DATABASE_URL": database.url, "PIMA_SCORE__DATABASE_URL_FILE": "/no/such/file"}
    ended = database.run("scheduler", **nowhere)
    assert (ended.exit_code, "both PIMA_SCORE__DATABASE_URL" in ended.stderr) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="unshare --pid needs root where user namespaces are off")
def test_as_process_1_it_passes_the_signal_on_and_leaves_whole_batches(scored_database: Database) -> None:
    database, rows, batch = scored_database, 20_000, 20
    insert_many(database, rows)
    environ = clean_environ() | {"DATABASE_URL": database.url, "PIMA_SCORE__BATCH_ROWS": str(batch)}
    # Both never ran, so each is run once: retraining, which has nothing to train on, and then scoring.
    environ |= {"PIMA_SCHEDULE__RETRAIN": NEVER, "PIMA_SCHEDULE__SCORE": NEVER}
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "--pid", "--fork", "--mount-proc", sys.executable, "-m", "jobs.scheduler"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    with held_in_the_middle(database, process, range(1, rows // 5)):
        (inside,) = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(inside), signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    predicted = database.value("SELECT count(*) FROM predictions")
    assert 0 < predicted < rows
    assert predicted % batch == 0
    assert predicted + database.value("SELECT count(*) FROM scoring_queue") == rows
    ends = database.execute("SELECT status, error_code, exit_code, signal FROM runs WHERE job = 'score'")
    assert ends == [("interrupted", "interrupted", 143, None)]
    assert predicted == database.value("SELECT count(DISTINCT patient_id) FROM predictions")


def test_a_job_takes_over_only_a_run_that_a_scheduler_has_opened_for_it(scored_database: Database) -> None:
    database = scored_database
    insert_run(database, "retrain", "running", trigger="schedule", scheduled_for="2026-01-01T00:00:00.000Z")
    for run_id in ("1", "7"):
        ended = call(database, "score", "--json", "--run-id", run_id)
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "run_not_open")
    assert database.value("SELECT count(*) FROM runs") == 1


def test_the_scheduler_imports_no_tensorflow() -> None:
    program = "import jobs.scheduler, sys; assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
