"""A dataset scored by the workers of a Dask cluster, a part at a time; no row goes through its scheduler or the job."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pima.cluster.dask_client import SECONDS_A_LOOK, connected, fit_workers, let_end, require_running
from pima.cluster.team import Deaths
from pima.errors import Interrupted, WorkersFailed
from pima.files.on_worker import PartDone, PartTold, look_around, score_part
from pima.files.outputs import MARK
from pima.files.parts import Facts, Part
from pima.files.places import whole
from pima.files.scoring_files import Dataset, FilesScored, begin, finish, tell_of
from pima.logs import get_logger
from pima.process.stopping import StopRequest
from pima.whole_file import name_aside


@dataclass(frozen=True, slots=True)
class Asked:
    """What the job was asked for, as workers are told it."""

    dataset: str
    into: str
    keys: tuple[str, ...]
    content: bytes
    """Of the model file."""


def score_files_on_dask(
    found: Dataset, asked: Asked, address: str, grace_seconds: float, stop: StopRequest
) -> FilesScored:
    """As `score_files`. Raises ClusterAway, ClusterUnfit, WorkersFailed, Interrupted besides."""
    missing = [part for part in found.parts if part.name not in found.finished]
    if not missing:
        begin(found)
        return finish(found)
    with connected(address) as client:
        with _mark(found) as mark:
            fit_workers(client, look_around, asked.dataset, missing[0].input.path, asked.into, mark)
        begin(found)
        _Parts(client, found, asked, grace_seconds).work(missing, stop)
    return finish(found)


@contextmanager
def _mark(found: Dataset) -> Iterator[str]:
    """Something in the folder by which others know that theirs is the same; its name."""
    name = name_aside(MARK)
    with whole(found.target, f"{found.folder}/{name}") as file:
        file.write(b"pima\n")
    try:
        yield name
    finally:
        found.target.remove(f"{found.folder}/{name}")


class _Parts:
    """A task for each part, of which Dask gives each to a worker that is free."""

    def __init__(self, client: Any, found: Dataset, asked: Asked, grace_seconds: float) -> None:
        self._client, self._found, self._asked, self._grace_seconds = client, found, asked, grace_seconds
        self._written = 0
        self._deaths = Deaths(lambda: self._written)

    def work(self, parts: Sequence[Part], stop: StopRequest) -> None:
        """Until all are written."""
        waiting = {self._start(part): part for part in parts}
        try:
            while waiting:
                time.sleep(SECONDS_A_LOOK)
                stop.check()
                require_running(self._client)
                for task in [task for task in waiting if task.done()]:
                    part = waiting.pop(task)
                    if not self._is_written(task, part):
                        waiting[self._start(part)] = part
        except (Interrupted, WorkersFailed):
            let_end(self._client, waiting, self._grace_seconds)
            raise

    def _start(self, part: Part) -> Any:
        file, asked = part.input, self._asked
        by = self._found.model.sha256
        told = PartTold(asked.dataset, asked.into, part.name, file.name, file.path, file.footer_sha256, asked.keys, by)
        return self._client.submit(score_part, told, asked.content, self._client.id, pure=False)

    def _is_written(self, task: Any, part: Part) -> bool:
        """False where it was lost with its worker, and may be tried again."""
        if task.status == "finished":
            tell_of(part, _require_done(task.result()))
            self._written += 1
            return True
        if not self._deaths.one_more():
            raise WorkersFailed(how="was lost again and again", line=task.status)
        get_logger().warning("worker lost, another takes its place")
        return False


def _require_done(done: PartDone) -> Facts:
    if done.facts is None:
        raise WorkersFailed(how=f"ended with exit code {done.exit_code}", line=done.line)
    return done.facts
