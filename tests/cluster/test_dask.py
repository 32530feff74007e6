"""`score --dask`: a night on the workers of a cluster, killed, stopped, and refused where it could not go well."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, SchedulerPlugin

from tests.cluster.conftest import Cluster, NewCluster
from tests.conftest import PATIENCE_SECONDS, ROOT, Database, call, free_port, held_in_the_middle, the_json
from tests.jobs.scored_once import QUEUED, assert_each_once, insert_mostly_sound


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
    cluster: Cluster, full_queue: Database, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with Client(cluster.address, set_as_default=False) as client:
        client.register_plugin(_Listener(str(told)))
    counts = the_json(call(full_queue, "score", "--json", "--dask", cluster.address))
    assert (counts["claimed"], counts["rejected"], counts["model_version"]) == (QUEUED, QUEUED // 1000, 1)
    assert_each_once(full_queue)
    ((status, recorded),) = full_queue.execute("SELECT status, counts FROM runs")
    assert (status, recorded["claimed"]) == ("succeeded", QUEUED)
    content = told.read_bytes()
    sha256 = full_queue.value("SELECT compiled_sha256 FROM model_versions WHERE number = 1")
    assert sha256.encode() in content
    for secret in (full_queue.url, full_queue.engine.url.database or "", "DATABASE_URL", "glucose"):
        assert secret.encode() not in content


@pytest.mark.campaign
def test_workers_that_are_killed_lose_nothing_and_double_nothing(
    cluster: Cluster, full_queue: Database, at_length: bool
) -> None:
    kills, rows = (50, 10 * QUEUED) if at_length else (3, QUEUED)
    if at_length:
        insert_mostly_sound(full_queue, rows - QUEUED)
    process = full_queue.start("score", "--json", "--dask", cluster.address)
    predicted = 0
    for kill in range(kills):
        predicted = _more_than(full_queue, predicted, process)
        workers = cluster.workers()
        workers[kill % len(workers)].kill()
        cluster.wait_for_workers(2)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    waiting = full_queue.value("SELECT count(*) FROM scoring_queue")
    assert json.loads(stdout)["claimed"] == rows - waiting
    assert_each_once(full_queue, rows, waiting)


def _more_than(database: Database, rows: int, process: subprocess.Popen[str]) -> int:
    """Predictions, once there are more, or all have been made."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := database.value("SELECT count(*) FROM predictions")) <= rows and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    return int(found)


@pytest.mark.campaign
@pytest.mark.parametrize("attempt", [0, *(pytest.param(n, marks=pytest.mark.at_length) for n in range(1, 10))])
def test_a_scheduler_that_is_killed_ends_the_run_and_its_workers_with_it(
    cluster: Cluster, full_queue: Database, attempt: int
) -> None:
    process = full_queue.start("score", "--json", "--dask", cluster.address)
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


def test_asked_to_stop_the_workers_commit_the_batches_that_they_are_at(cluster: Cluster, full_queue: Database) -> None:
    process = full_queue.start("score", "--json", "--dask", cluster.address)
    with held_in_the_middle(full_queue, process, range(100, QUEUED // 2)):
        before = full_queue.value("SELECT count(*) FROM predictions")
        process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143, stderr
    assert full_queue.value(_OTHERS_AT_WORK) == 0  # all had ended before the job did
    counts = json.loads(stdout)
    assert before < counts["predicted"]
    assert counts["claimed"] < QUEUED
    assert_each_once(full_queue, waiting=QUEUED - counts["claimed"])


def _refused(database: Database, address: str, exit_code: int) -> str:
    ended = call(database, "score", "--json", "--dask", address)
    assert ended.exit_code == exit_code, ended.stderr
    assert_each_once(database, waiting=QUEUED)
    return f"{the_json(ended)['error']}: {the_json(ended)['message']}"


def test_a_cluster_that_is_not_there_or_has_no_workers_is_for_later(
    new_cluster: NewCluster, full_queue: Database
) -> None:
    assert "scheduler does not answer" in _refused(full_queue, f"tcp://127.0.0.1:{free_port()}", 75)
    assert "it has no workers" in _refused(full_queue, new_cluster().address, 75)
    assert "takes the address of a scheduler" in _refused(full_queue, "nonsense://a", 2)


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
            {"DATABASE_URL": full_queue.url.replace(str(full_queue.engine.url.database), "postgres")},
            "schema_missing",
        ),
        ((), {"DATABASE_URL": "nonsense"}, "wrong_configuration"),
    ):
        cluster = new_cluster()
        cluster.add_workers(1, *options, **environ)
        message = _refused(full_queue, cluster.address, 2)
        assert message.startswith("cluster_unfit: ")
        assert why in message


def test_one_that_can_not_share_its_queue_asks_no_cluster(sqlite: Database) -> None:
    ended = call(sqlite, "score", "--json", PIMA_SCORE__DASK="tcp://127.0.0.1:1")
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
