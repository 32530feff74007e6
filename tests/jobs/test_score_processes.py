"""`score --processes`: one night by several processes, killed, stopped and held up."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import (
    PATIENCE_SECONDS,
    Database,
    call,
    held_in_the_middle,
    install_models,
    the_json,
    under_role,
    wait_for,
)
from tests.jobs.scored_once import QUEUED, assert_each_once, insert_mostly_sound


@pytest.fixture
def full_queue(postgresql: Database, trained: Path) -> Database:
    """A PostgreSQL database in which rows wait."""
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql)
    return postgresql


def _children(parent: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(parent).children() if each.status() != psutil.STATUS_ZOMBIE]


def test_three_processes_score_every_row_once_and_one_run_sums_them(full_queue: Database) -> None:
    call(full_queue, "migrate", "--roles")
    counts = the_json(
        call(under_role(full_queue, "pima_scorer"), "score", "--json", "--processes", "3", "--batch-size", "400")
    )
    assert (counts["claimed"], counts["rejected"], counts["model_version"]) == (QUEUED, QUEUED // 1000, 1)
    assert counts["rejected_by_reason"] == {"out_of_range": QUEUED // 1000}
    assert_each_once(full_queue)
    ((status, version, recorded),) = full_queue.execute("SELECT status, model_version, counts FROM runs")
    assert (status, version) == ("succeeded", 1)
    assert recorded == {name: counts[name] for name in recorded}
    assert counts["batches"] == full_queue.value("SELECT count(DISTINCT xmin::text) FROM predictions")
    assert full_queue.value("SELECT sum((tally ->> 'rows')::bigint) FROM tallies") == QUEUED
    positive = full_queue.value("SELECT avg(predicted_class) FROM predictions")
    figures = "SELECT value, rows FROM monitoring WHERE figure = 'predicted_positive'"
    assert full_queue.execute(figures) == [(pytest.approx(float(positive)), QUEUED - QUEUED // 1000)]
    empty = the_json(call(full_queue, "score", "--json", "--processes", "3"))
    assert (empty["claimed"], empty["model_version"]) == (0, None)


@pytest.mark.judge
@pytest.mark.campaign
def test_children_that_are_killed_lose_nothing_and_double_nothing(
    postgresql: Database, trained: Path, at_length: bool
) -> None:
    """It leans on the team of processes that `--processes` starts, of which it kills the children."""
    install_models(postgresql, trained)
    kills, rows = (50, 10 * QUEUED) if at_length else (3, QUEUED)
    insert_mostly_sound(postgresql, rows)
    process = postgresql.start("score", "--json", "--processes", "2", "--batch-size", "20")
    predicted = 0
    for kill in range(kills):
        # What was done since the last death is what lets the run go on.
        _wait_for(postgresql, predicted + 100, process)
        while not (children := _children(process.pid)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        children[kill % len(children)].kill()
        predicted = postgresql.value("SELECT count(*) FROM predictions")
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert stderr.count("another takes its place") == kills
    waiting = postgresql.value("SELECT count(*) FROM scoring_queue")
    assert json.loads(stdout)["claimed"] == rows - waiting
    assert_each_once(postgresql, rows, waiting)
    assert call(postgresql, "score").exit_code == 0
    assert_each_once(postgresql, rows)


def _wait_for(database: Database, predictions: int, process: subprocess.Popen[str]) -> None:
    """Until there are so many, as long as the process lives."""
    wait_for(lambda: database.value("SELECT count(*) FROM predictions") >= predictions, process)


def test_asked_to_stop_all_end_at_a_batch_boundary(full_queue: Database) -> None:
    process = full_queue.start("score", "--json", "--processes", "2", "--batch-size", "10")
    with held_in_the_middle(full_queue, process, range(200, QUEUED // 2)):
        children = _children(process.pid)
        process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143, stderr
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    counts = json.loads(stdout)
    assert 0 < counts["claimed"] < QUEUED
    assert_each_once(full_queue, waiting=QUEUED - counts["claimed"])
    ((status, recorded),) = full_queue.execute("SELECT status, counts FROM runs")
    assert (status, recorded["claimed"]) == ("interrupted", counts["claimed"])


def test_a_worker_of_a_run_that_was_closed_rolls_its_batch_back(full_queue: Database) -> None:
    sha256 = full_queue.value("SELECT compiled_sha256 FROM model_versions WHERE number = 1")
    columns = "job, trigger, attempt, status, counts, host"
    (run,) = full_queue.execute(
        f"INSERT INTO runs ({columns}) VALUES ('score', 'manual', 1, 'crashed', '{{}}', 'a') RETURNING id"
    )[0]
    closed = the_json(call(full_queue, "score", "--json", "--share", f"{run}:1:{sha256}:0:0"))
    assert closed["error"] == "run_over"
    full_queue.execute("UPDATE runs SET status = 'running'")
    other = call(full_queue, "score", "--json", "--share", f"{run}:1:{'0' * 64}:0:0")
    assert (other.exit_code, the_json(other)["error"]) == (1, "artifact_damaged")
    for nonsense in ("1", f"{run}:1:{sha256}", f"run:1:{sha256}:0:0", f"{run}:0:{sha256}:0:0"):
        assert the_json(call(full_queue, "score", "--json", "--share", nonsense))["error"] == "wrong_usage"
    assert_each_once(full_queue, waiting=QUEUED)
    assert call(full_queue, "score", "--share", f"{run}:1:{sha256}:0:0").exit_code == 0
    assert_each_once(full_queue)
    assert full_queue.value("SELECT status FROM runs") == "running"  # its parent closes it


def test_an_error_of_one_process_ends_the_run_and_keeps_what_was_committed(full_queue: Database) -> None:
    full_queue.execute("ALTER TABLE predictions ADD CONSTRAINT someone_elses CHECK (patient_id <> 5050)")
    ended = call(full_queue, "score", "--json", "--processes", "2", "--batch-size", "100")
    counts = the_json(ended)
    assert (ended.exit_code, counts["error"]) == (1, "workers_failed")
    assert_each_once(full_queue, waiting=QUEUED - counts["claimed"])
    assert full_queue.value("SELECT status || ' ' || error_code FROM runs") == "failed workers_failed"


@pytest.mark.parametrize("more", [("--limit", "5"), ("--dry-run",), ("--processes", "17")])
def test_what_several_processes_can_not_do_is_wrong_usage(full_queue: Database, more: tuple[str, ...]) -> None:
    ended = call(full_queue, "score", "--json", "--processes", "2", *more)
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
    assert_each_once(full_queue, waiting=QUEUED)


def test_a_database_with_one_writer_says_so(sqlite: Database) -> None:
    for given, environ in ((("--processes", "2"), {}), ((), {"PIMA_SCORE__PROCESSES": "2"})):
        ended = call(sqlite, "score", "--json", *given, **environ)
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
        assert "move to PostgreSQL" in ended.stderr
