"""The scheduler: its expressions, and a real process that starts real jobs and is asked to stop."""

import json
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from pima.errors import WrongConfiguration
from pima.scheduling import latest_tick, next_ticks, trigger
from pima.settings import ScheduleSettings
from tests.conftest import SHIPPED, Database, insert_patients

EVERY_SECOND = "* * * * * *"
NEVER = "0 0 29 2 mon"
RETRAIN_ENDED = "SELECT count(*) >= 1 FROM runs WHERE job = 'retrain' AND finished_at IS NOT NULL"


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("0 3 * * 0", "UTC"),
        ("0 3 * * 1-5", "UTC"),
        ("0 3 * *", "UTC"),
        ("61 3 * * *", "UTC"),
        ("0 3 * * someday", "UTC"),
        ("", "UTC"),
        ("0 3 * * *", "Mars/Olympus"),
    ],
)
def test_a_schedule_that_can_not_be_meant_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(WrongConfiguration, match="weekdays by name"):
        trigger(expression, zone)


def test_a_wrong_schedule_ends_the_scheduler_with_exit_code_2(database: Database) -> None:
    ended = database.run("scheduler", PIMA_SCHEDULE__SCORE="0 3 * * 0")
    assert ended.exit_code == 2
    assert "Traceback" not in ended.stderr


def test_next_and_latest_ticks() -> None:
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert next_ticks(ScheduleSettings(), saturday) == {
        "score": datetime(2026, 11, 29, 2, 15, tzinfo=UTC),
        "retrain": datetime(2026, 11, 29, 3, tzinfo=UTC),
    }
    due = trigger("15 2 * * *", "UTC")
    at = datetime(2026, 11, 29, 2, 15, tzinfo=UTC)
    assert latest_tick(due, at) == at
    assert latest_tick(due, at + timedelta(minutes=5)) == at
    assert latest_tick(due, at - timedelta(seconds=1)) is None


def _wait_for(database: Database, statement: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not database.value(statement):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


def test_it_runs_the_jobs_at_their_ticks_and_stops_when_asked(scored_database: Database) -> None:
    insert_patients(scored_database, 3)
    schedule = {"PIMA_SCHEDULE__SCORE": EVERY_SECOND, "PIMA_SCHEDULE__RETRAIN": EVERY_SECOND}
    process = scored_database.start("scheduler", **schedule)
    _wait_for(scored_database, "SELECT count(*) = 3 FROM predictions", process)
    _wait_for(
        scored_database, "SELECT count(*) >= 1 FROM runs WHERE job = 'retrain' AND finished_at IS NOT NULL", process
    )
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout == ""
    runs = scored_database.execute("SELECT job, trigger, status, scheduled_for FROM runs")
    assert {run[1] for run in runs} == {"schedule"}
    assert all(run[3] is not None for run in runs)
    # There is no history to train on here: refused, and the scheduler goes on.
    assert {run[2] for run in runs if run[0] == "retrain"} <= {"refused", "interrupted"}
    assert {run[2] for run in runs if run[0] == "score"} <= {"succeeded", "interrupted"}


def test_a_stop_reaches_the_job_that_is_running(database: Database) -> None:
    assert database.run("load", str(SHIPPED)).exit_code == 0
    schedule = {
        "PIMA_SCHEDULE__SCORE": NEVER,
        "PIMA_SCHEDULE__RETRAIN": EVERY_SECOND,
        "PIMA_RETRAIN__NETWORK": "article",
    }
    process = database.start("scheduler", **schedule)
    _wait_for(database, "SELECT count(*) >= 1 FROM runs WHERE status = 'running'", process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert database.value("SELECT count(*) FROM runs WHERE status = 'running'") == 0
    assert database.value("SELECT status FROM runs ORDER BY id LIMIT 1") in ("interrupted", "succeeded")


def test_one_tick_has_one_run_whoever_starts_it(scored_database: Database) -> None:
    insert_patients(scored_database, 1)
    tick = "2026-11-25T02:15:00+00:00"
    processes = [scored_database.start("score", "--json", "--scheduled-for", tick) for _ in range(4)]
    ended = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, ended
    skipped = [json.loads(stdout).get("error") == "tick_already_run" for stdout, _ in ended]
    assert sorted(skipped) == [False, True, True, True]
    assert scored_database.value("SELECT count(*) FROM runs") == 1
