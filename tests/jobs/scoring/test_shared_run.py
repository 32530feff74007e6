"""A run holds its lease as long as the work goes on; of one that several share, what they counted
is the run's."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pima.core.nights.unpredicted import Marks
from pima.errors import ArtifactDamaged
from pima.runs.lease import only_one
from pima.runs.recorded_run import recorded_run
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, Start, drain, score_queue
from pima.store.engine import writing
from pima.store.service.runs import start_run
from tests.support.databases import PATIENCE_SECONDS, Database, call, the_json
from tests.support.scored_once import QUEUED, assert_each_once, insert_mostly_sound
from tests.support.trained import install_models

OPTIONS = ScoreOptions(100)
START = Start(version=1, sequence=1, before=Marks())


@pytest.fixture
def full_queue(postgresql: Database, trained: Path) -> Database:
    """A PostgreSQL database in which rows wait."""
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql)
    return postgresql


def test_what_each_of_them_counted_is_in_one_run_and_its_figures(full_queue: Database) -> None:
    def hand_out(start: Start) -> None:
        with ThreadPoolExecutor(3) as threads:
            given = (full_queue.engine, run.id, start, OPTIONS, StopRequest())
            for one in [threads.submit(drain, *given) for _ in range(3)]:
                one.result()

    with recorded_run(full_queue.engine, "score", None, dry_run=False) as run:
        score_queue(full_queue.engine, run, OPTIONS, StopRequest(), hand_out)
    assert_each_once(full_queue)
    ((status, version, recorded),) = full_queue.execute(
        "SELECT status, model_version, counts FROM runs"
    )
    assert (status, version, recorded["model_version"]) == ("succeeded", 1, 1)
    assert (recorded["claimed"], recorded["rejected_by_reason"]) == (
        QUEUED,
        {"out_of_range": QUEUED // 1000},
    )
    assert recorded == run.counts
    night = recorded["unpredicted"]
    assert (night["predicted"], [each["rows"] for each in night["causes"]]) == (
        QUEUED - QUEUED // 1000,
        [QUEUED // 1000],
    )
    assert full_queue.value("SELECT sum((tally ->> 'rows')::bigint) FROM tallies") == QUEUED
    figures = "SELECT rows FROM monitoring WHERE figure = 'predicted_positive'"
    assert full_queue.execute(figures) == [(QUEUED - QUEUED // 1000,)]


def test_a_worker_of_a_run_that_was_closed_rolls_its_batch_back(full_queue: Database) -> None:
    columns = "job, trigger, attempt, status, counts, host"
    (run,) = full_queue.execute(
        f"INSERT INTO runs ({columns}) VALUES ('score', 'manual', 1, 'crashed', '{{}}', 'a') "
        "RETURNING id"
    )[0]
    drain(full_queue.engine, run, START, OPTIONS, StopRequest())
    assert_each_once(full_queue, waiting=QUEUED)
    full_queue.execute("UPDATE runs SET status = 'running'")
    drain(full_queue.engine, run, START, OPTIONS, StopRequest())
    assert_each_once(full_queue)
    assert full_queue.value("SELECT status FROM runs") == "running"  # who opened it closes it
    full_queue.execute("UPDATE model_versions SET compiled_artifact = 'x' WHERE number = 1")
    with pytest.raises(ArtifactDamaged):
        drain(full_queue.engine, run, START, OPTIONS, StopRequest())


@pytest.mark.parametrize("more", [("--limit", "5"), ("--dry-run",)])
def test_what_several_can_not_do_is_wrong_usage(
    full_queue: Database, more: tuple[str, ...]
) -> None:
    ended = call(full_queue, "score", "--json", "--dask", "local", *more)
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
    assert_each_once(full_queue, waiting=QUEUED)
    # One call without the workers that the settings name.
    alone = the_json(
        call(full_queue, "score", "--json", "--dask", "", "--limit", "5", PIMA_SCORE__DASK="local")
    )
    assert alone["claimed"] == 5


def test_a_database_with_one_writer_says_so(sqlite: Database) -> None:
    for given, environ in (
        (("--dask", "local"), {}),
        ((), {"PIMA_SCORE__DASK": "tcp://127.0.0.1:1"}),
    ):
        ended = call(sqlite, "score", "--json", *given, **environ)
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
        assert "move to PostgreSQL" in ended.stderr


def test_work_renews_its_lease_however_long_it_is_and_says_that_it_lives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pima.runs.lease.SECONDS_BETWEEN_BEATS", 0.5)
    with writing(database.engine) as connection:
        run_id = start_run(connection, "retrain", "manual", None, "here")
    assert run_id is not None

    def seen() -> tuple[object, object]:
        beat = database.value(f"SELECT heartbeat_at FROM runs WHERE id = {run_id}")
        return database.value("SELECT expires_at FROM leases WHERE name = 'retrain'"), beat

    with only_one(database.engine, "retrain", run_id, seconds=86_400):
        expires, beat = seen()
        until = time.monotonic() + PATIENCE_SECONDS
        while expires in seen() or beat in seen():
            assert time.monotonic() < until
            time.sleep(0.05)
