"""`score --dask`: a night by workers, killed, stopped, and refused where it could not go well."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, SchedulerPlugin

from pima.dask import workers
from pima.dask.workers import reached
from pima.errors import ClusterAway, WorkersFailed
from pima.runs.stop_request import StopRequest
from pima.settings.sections import Settings
from tests.cluster.conftest import Cluster, Dask, NewCluster
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    free_port,
    held_in_the_middle,
    the_json,
    under_role,
    wait_for,
)
from tests.support.scored_once import QUEUED, assert_each_once, insert_mostly_sound
from tests.support.shipped import ROOT

BATCHES = ("--batch-size", "20")


class _Listener(SchedulerPlugin):
    """Writes down all that the scheduler is told of tasks."""

    def __init__(self, path: str) -> None:
        self.path = path

    def update_graph(self, scheduler: Any, **_told: Any) -> None:
        import cloudpickle

        specifications = [task.run_spec for task in scheduler.tasks.values()]
        with Path(self.path).open("ab") as file:
            file.write(cloudpickle.dumps(specifications) + repr(specifications).encode())


def test_the_workers_score_every_row_once_and_one_run_sums_them(
    full_queue: Database, dask: Dask
) -> None:
    call(full_queue, "migrate", "--roles")
    ended = under_role(full_queue, "pima_scorer").run("score", "--json", *dask.option, *BATCHES)
    assert ended.exit_code == 0, ended.stderr
    counts = the_json(ended)
    assert (counts["claimed"], counts["rejected"], counts["model_version"]) == (
        QUEUED,
        QUEUED // 1000,
        1,
    )
    assert counts["rejected_by_reason"] == {"out_of_range": QUEUED // 1000}
    assert_each_once(full_queue)
    ((status, version, recorded),) = full_queue.execute(
        "SELECT status, model_version, counts FROM runs"
    )
    assert (status, version) == ("succeeded", 1)
    assert recorded == {name: counts[name] for name in recorded}
    # As many as the job was told to make of them.
    assert (
        counts["batches"]
        == full_queue.value("SELECT count(DISTINCT xmin::text) FROM predictions")
        >= QUEUED // 20
    )
    assert full_queue.value("SELECT sum((tally ->> 'rows')::bigint) FROM tallies") == QUEUED
    positive = full_queue.value("SELECT avg(predicted_class) FROM predictions")
    figures = "SELECT value, rows FROM monitoring WHERE figure = 'predicted_positive'"
    assert full_queue.execute(figures) == [
        (pytest.approx(float(positive)), QUEUED - QUEUED // 1000)
    ]
    # For an empty queue nothing is started.
    empty = the_json(call(full_queue, "score", "--json", *dask.option))
    assert (empty["claimed"], empty["model_version"]) == (0, None)


def test_no_row_no_secret_and_no_tensorflow(
    cluster: Cluster, full_queue: Database, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with Client(cluster.address, set_as_default=False) as client:
        client.register_plugin(_Listener(str(told)))
        assert call(full_queue, "score", "--dask", cluster.address).exit_code == 0
        names = ("tensorflow", "keras", "ai_edge_litert")
        found = client.run(lambda: [name for name in names if name in sys.modules])
    assert set(map(tuple, found.values())) == {("ai_edge_litert",)}
    content = told.read_bytes()
    assert b"Night" in content
    for secret in (full_queue.url, full_queue.engine.url.database or "", "DATABASE_URL", "glucose"):
        assert secret.encode() not in content


@pytest.mark.campaign
def test_workers_that_are_killed_lose_nothing_and_double_nothing(
    full_queue: Database, dask: Dask, at_length: bool
) -> None:
    kills, rows = (50, 10 * QUEUED) if at_length else (6, 2 * QUEUED)
    insert_mostly_sound(full_queue, rows - QUEUED)
    process = full_queue.start("score", "--json", *dask.option, *BATCHES)
    predicted = 0
    for kill in range(kills):
        predicted = _more_than(full_queue, predicted, process)
        dask.kill_one(process, kill)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    waiting = full_queue.value("SELECT count(*) FROM scoring_queue")
    assert json.loads(stdout)["claimed"] == rows - waiting
    assert_each_once(full_queue, rows, waiting)


def _more_than(database: Database, rows: int, process: subprocess.Popen[str]) -> int:
    """Predictions, once there are more."""
    wait_for(lambda: database.value("SELECT count(*) FROM predictions") > rows, process)
    return int(database.value("SELECT count(*) FROM predictions"))


def dies(_told: object, _stop: StopRequest) -> None:
    psutil.Process().kill()


def test_work_that_kills_each_worker_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MOST_GIVEN_UP", 0)
    asked = ("local", Settings(), clean_environ(), StopRequest())
    with (
        reached(*asked) as found,
        pytest.raises(WorkersFailed, match="died again and again during the work"),
    ):
        list(found.results(dies, ["anything"]))


def waits(_told: object, _stop: StopRequest) -> None:
    time.sleep(600)


def test_a_cluster_that_has_lost_all_workers_is_for_later(
    new_cluster: NewCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_SECONDS_WITHOUT_WORKERS", 0.5)
    cluster = new_cluster()
    cluster.add_workers(1)
    with reached(cluster.address, Settings(), {}, StopRequest()) as found:
        results = found.results(waits, ["anything"])
        for each in (*cluster.workers(), psutil.Process(cluster.nannies[0].pid)):
            each.kill()
        with pytest.raises(ClusterAway, match="no longer has any workers"):
            next(results)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "attempt", [0, *(pytest.param(n, marks=pytest.mark.at_length) for n in range(1, 10))]
)
def test_a_scheduler_that_is_killed_ends_the_run_and_its_workers_with_it(
    cluster: Cluster, full_queue: Database, attempt: int
) -> None:
    process = full_queue.start("score", "--json", "--dask", cluster.address, *BATCHES)
    with held_in_the_middle(full_queue, process, range(20 * (attempt + 1), QUEUED // 2)):
        cluster.scheduler.kill()
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(stdout)["error"]) == (75, "cluster_away"), stderr
    # What a worker had not counted when the run was closed was rolled back, however long it lived.
    _until_nobody_scores(full_queue)
    waiting = full_queue.value("SELECT count(*) FROM scoring_queue")
    assert json.loads(stdout)["claimed"] == QUEUED - waiting
    assert_each_once(full_queue, waiting=waiting)


_OTHERS_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
        AND backend_type = 'client backend'"""


def _until_nobody_scores(database: Database) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while database.value(_OTHERS_AT_WORK):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_job_that_is_killed_leaves_none_of_its_own_workers(full_queue: Database) -> None:
    process = full_queue.start("score", "--dask", "local", *BATCHES)
    with held_in_the_middle(full_queue, process, range(20, QUEUED // 2)):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    gone, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert (len(gone) >= 2, alive) == (True, [])
    _until_nobody_scores(full_queue)
    assert_each_once(full_queue, waiting=full_queue.value("SELECT count(*) FROM scoring_queue"))


def test_asked_to_stop_the_workers_commit_the_batches_that_they_are_at(
    full_queue: Database, dask: Dask
) -> None:
    process = full_queue.start("score", "--json", *dask.option, *BATCHES)
    with held_in_the_middle(full_queue, process, range(100, QUEUED // 2)):
        before = full_queue.value("SELECT count(*) FROM predictions")
        # By one connection each; one more holds them.
        assert 1 <= full_queue.value(_OTHERS_AT_WORK) - 1 <= len(dask.workers(process))
        process.send_signal(signal.SIGTERM)
        _until_they_know(process)
    counts = _stopped(full_queue, process, 143)
    assert before < counts["predicted"]


def test_a_stop_ends_all_workers_before_their_next_batch_though_another_is_promoted_at_once(
    full_queue: Database, dask: Dask
) -> None:
    process = full_queue.start("score", "--json", *dask.option, *BATCHES)
    with held_in_the_middle(full_queue, process, range(100, QUEUED // 2)):
        for command in (("suspend",), ("promote", "2")):
            assert call(full_queue, "models", *command, "--reason", "a test").exit_code == 0
        before = full_queue.value("SELECT count(*) FROM predictions")
        at_hand = 20 * len(dask.workers(process))
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    counts = json.loads(stdout)
    waiting = QUEUED - counts["claimed"]
    assert before < counts["predicted"] <= before + at_hand
    assert counts["suspended"] == {"since": None, "waiting": waiting}
    assert_each_once(full_queue, waiting=waiting)
    assert call(full_queue, "score").exit_code == 0
    assert_each_once(full_queue)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str
)
def test_a_signal_to_the_job_and_its_own_workers_stops_all(
    full_queue: Database, number: signal.Signals, exit_code: int
) -> None:
    """As a Ctrl-C on the terminal does, and systemd."""
    process = full_queue.start("score", "--json", "--dask", "local", *BATCHES)
    with held_in_the_middle(full_queue, process, range(20, QUEUED // 2)):
        children = psutil.Process(process.pid).children(recursive=True)
        for each in (psutil.Process(process.pid), *children):
            each.send_signal(number)
        _until_they_know(process)
    _stopped(full_queue, process, exit_code)
    assert psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1] == []


def _until_they_know(job: subprocess.Popen[str]) -> None:
    assert job.stderr is not None
    assert any("workers asked to stop" in line for line in job.stderr)


def _stopped(database: Database, process: subprocess.Popen[str], exit_code: int) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == exit_code, stderr
    assert database.value(_OTHERS_AT_WORK) == 0  # all had ended before the job did
    counts: dict[str, Any] = json.loads(stdout)
    assert counts["claimed"] < QUEUED
    assert_each_once(database, waiting=QUEUED - counts["claimed"])
    ((status, recorded),) = database.execute("SELECT status, counts FROM runs")
    assert (status, recorded["claimed"]) == ("interrupted", counts["claimed"])
    return counts


def test_an_error_of_one_worker_ends_the_run_and_keeps_what_was_committed(
    full_queue: Database, dask: Dask
) -> None:
    full_queue.execute(
        "ALTER TABLE predictions ADD CONSTRAINT someone_elses CHECK (patient_id <> 5050)"
    )
    ended = full_queue.run("score", "--json", *dask.option, "--batch-size", "100")
    counts = the_json(ended)
    assert (ended.exit_code, counts["error"]) == (1, "database_failed")
    assert "someone_elses" in str(counts["message"])
    assert_each_once(full_queue, waiting=QUEUED - counts["claimed"])
    assert (
        full_queue.value("SELECT status || ' ' || error_code FROM runs") == "failed database_failed"
    )


def _refused(database: Database, address: str, exit_code: int) -> str:
    ended = call(database, "score", "--json", "--dask", address)
    assert ended.exit_code == exit_code, ended.stderr
    assert_each_once(database, waiting=QUEUED)
    return f"{the_json(ended)['error']}: {the_json(ended)['message']}"


def test_a_cluster_that_is_not_there_or_has_no_workers_is_for_later(
    new_cluster: NewCluster, full_queue: Database
) -> None:
    assert "does not answer" in _refused(full_queue, f"tcp://127.0.0.1:{free_port()}", 75)
    assert "it has no workers" in _refused(full_queue, new_cluster().address, 75)
    assert "the address of a scheduler" in _refused(full_queue, "nonsense://a", 2)


def test_workers_that_can_not_do_it_are_told_before_any_row_is_touched(
    new_cluster: NewCluster, full_queue: Database, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(ROOT / "pima", other / "pima")
    with (other / "pima" / "scoring.py").open("a") as file:
        file.write("# other code\n")
    without = tmp_path / "without.py"
    without.write_text("import sys\nsys.modules['ai_edge_litert'] = None\n")
    for options, environ, why in (
        ((), {"DATABASE_URL": full_queue.url, "PYTHONPATH": str(other)}, "another release of pima"),
        (("--preload", str(without)), {"DATABASE_URL": full_queue.url}, "ai_edge_litert"),
        (
            (),
            {
                "DATABASE_URL": full_queue.url.replace(
                    str(full_queue.engine.url.database), "postgres"
                )
            },
            "schema_missing",
        ),
        ((), {"DATABASE_URL": "nonsense"}, "wrong_configuration"),
    ):
        cluster = new_cluster()
        cluster.add_workers(1, *options, **environ)
        message = _refused(full_queue, cluster.address, 2)
        assert message.startswith("cluster_unfit: ")
        assert why in message


def test_at_most_so_many_workers_take_part(cluster: Cluster, full_queue: Database) -> None:
    process = full_queue.start(
        "score", "--json", "--dask", cluster.address, *BATCHES, PIMA_SCORE__MOST_WORKERS="1"
    )
    with held_in_the_middle(full_queue, process, range(20, QUEUED // 2)):
        assert full_queue.value(_OTHERS_AT_WORK) - 1 == 1  # one more holds it
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert_each_once(full_queue)
