"""Dask's workers as real processes of this machine: of a cluster that is there, whose workers know
the database from their own environment, or of the job's own (`--dask local`)."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.databases import PATIENCE_SECONDS, Database, clean_environ, wait_for
from tests.support.scored_once import insert_mostly_sound
from tests.support.shipped import ROOT
from tests.support.trained import install_models


@dataclass
class Cluster:
    """A scheduler, and workers that were started for it."""

    folder: Path
    scheduler: subprocess.Popen[str]
    nannies: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        found: str = json.loads((self.folder / "scheduler.json").read_text())["address"]
        return found

    def add_workers(self, count: int, *options: str, **environ: str) -> None:
        """With a nanny each, which starts another worker where one dies. Returns once all are
        there."""
        line = [
            "distributed.cli.dask_worker",
            self.address,
            "--no-dashboard",
            "--nthreads",
            "1",
            *options,
        ]
        line += ["--nworkers", str(count), "--local-directory", str(self.folder)]
        self.nannies.append(_start(line, self.folder, environ))
        self.wait_for_workers(count)

    def wait_for_workers(self, count: int) -> None:
        """Until there are so many."""
        wait_for(lambda: len(self.workers()) >= count, self.nannies[-1])

    def workers(self) -> list[psutil.Process]:
        """The processes of its workers that the scheduler may know."""
        return [each for nanny in self.nannies for each in _workers_below(nanny)]


@dataclass
class Dask:
    """Two workers, or where they are the job's own one for each core."""

    cluster: Cluster | None

    @property
    def option(self) -> tuple[str, str]:
        """What the job is told."""
        return "--dask", "local" if self.cluster is None else self.cluster.address

    def workers(self, job: subprocess.Popen[str]) -> list[psutil.Process]:
        """The processes of those that are there; none of a job that is over."""
        if self.cluster is not None:
            return self.cluster.workers()
        return _workers_below(job) if job.poll() is None else []

    def kill_one(self, job: subprocess.Popen[str], number: int) -> None:
        """Of those that have begun to score: none of Dask's takes the place of one that dies while
        it starts."""
        begun: list[psutil.Process] = []
        wait_for(lambda: begun.extend(filter(_has_a_model, self.workers(job))) or begun, job)
        begun[number % len(begun)].kill()


def _has_a_model(worker: psutil.Process) -> bool:
    """Whether what calls models is loaded there."""
    try:
        return any("ai_edge_litert" in each.path for each in worker.memory_maps())
    except psutil.Error:
        return False


def _workers_below(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those of a nanny's children that are connected with a scheduler."""
    return [
        each for each in psutil.Process(parent.pid).children(recursive=True) if _is_connected(each)
    ]


def _is_connected(process: psutil.Process) -> bool:
    try:
        return any(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections())
    except psutil.Error:
        return False


def _start(line: list[str], folder: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    """Elsewhere than in pima's folder, as a cluster's processes are."""
    return subprocess.Popen(
        [sys.executable, "-m", *line],
        cwd=folder,
        env=clean_environ() | {"PYTHONPATH": str(ROOT)} | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


NewCluster = Callable[[], Cluster]


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[NewCluster]:
    """Called, gives a scheduler that has no workers yet."""
    made: list[Cluster] = []

    def start() -> Cluster:
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        file = folder / "scheduler.json"
        line = [
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
        ]
        made.append(Cluster(folder, _start([*line, "--scheduler-file", str(file)], folder, {})))
        until = time.monotonic() + PATIENCE_SECONDS
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < until
            time.sleep(0.05)
        return made[-1]

    yield start
    for cluster in made:
        for process in (*cluster.nannies, cluster.scheduler):
            for each in (
                psutil.Process(process.pid).children(recursive=True)
                if process.poll() is None
                else ()
            ):
                each.kill()
            process.kill()
            process.wait()


@pytest.fixture
def full_queue(postgresql: Database, trained: Path) -> Database:
    """A PostgreSQL database in which rows wait."""
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql)
    return postgresql


@pytest.fixture
def cluster(new_cluster: NewCluster, full_queue: Database) -> Cluster:
    """Two workers, for a database in which rows wait."""
    made = new_cluster()
    made.add_workers(2, DATABASE_URL=full_queue.url)
    return made


@pytest.fixture(params=["cluster", "local"])
def dask(request: pytest.FixtureRequest) -> Dask:
    """That cluster's workers, and once more the job's own."""
    return Dask(request.getfixturevalue("cluster") if request.param == "cluster" else None)
