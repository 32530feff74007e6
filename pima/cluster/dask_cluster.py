"""A night on the workers of a Dask cluster. Dask starts loops and carries no rows: what goes through its scheduler is a
run's number, a version and a hash, and back come codes."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Engine

from pima.cluster.on_worker import RUNTIME, WorkerState, look_around, score_share
from pima.cluster.processes import Progress
from pima.cluster.release import release
from pima.cluster.shared_run import NightShare, shared, so_far
from pima.cluster.team import Deaths
from pima.errors import DONE, TRY_AGAIN_LATER, ClusterAway, ClusterUnfit, WorkersFailed, WorkersHeldUp, WrongUsage
from pima.logs import get_logger
from pima.process.recorded_run import OpenRun
from pima.process.stopping import StopRequest

_SECONDS_TO_CONNECT = 10
_SECONDS_A_LOOK = 0.1


def score_on_dask(engine: Engine, run: OpenRun, address: str, most_workers: int, stop: StopRequest) -> None:
    """Drain the queue by the workers that there are, `most_workers` of them at once.

    Raises what `shared` raises, ClusterAway, ClusterUnfit, WorkersFailed, WorkersHeldUp, Interrupted. Whatever ends it,
    workers that still go on stop at their next batch: the run is closed then.
    """
    with shared(engine, run) as share:
        if share is not None:
            _work(engine, share, address, most_workers, stop)


def _work(engine: Engine, share: NightShare, address: str, most_workers: int, stop: StopRequest) -> None:
    with _connected(address) as client:
        workers = _fit_workers(client, share.run_id)[:most_workers]
        get_logger().info("workers found", workers=len(workers))
        _Loops(client, share, Deaths(partial(so_far, engine, share, "batches"))).work(
            workers, stop, Progress(engine, share)
        )


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise WrongUsage(what="--dask needs Dask, which is not installed here: pip install 'pima[dask]'") from None
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError):
        raise ClusterAway(what="its scheduler does not answer") from None
    except ValueError:
        raise WrongUsage(what="--dask takes the address of a scheduler, such as tcp://host:8786") from None


def _fit_workers(client: Any, run_id: int) -> list[str]:
    """Their addresses. Raises ClusterAway where there are none, ClusterUnfit where any can't do it."""
    found: Mapping[str, WorkerState | BaseException] = client.run(look_around, run_id, on_error="return")
    if not found:
        raise ClusterAway(what="it has no workers")
    states = [_unfit(state) for state in found.values()]
    if unfit := [what for what in states if what]:
        what = f"{len(unfit)} of {len(found)} workers: {unfit[0]}"
        raise ClusterUnfit(what=what)
    return sorted(found)


def _unfit(state: WorkerState | BaseException) -> str | None:
    """What keeps a worker from scoring, in words."""
    if isinstance(state, BaseException):
        return f"pima of this release can't be imported there ({type(state).__name__})"
    if state.release != release():
        return "another release of pima is installed there"
    if not state.has_runtime:
        return f"{RUNTIME}, which models are called by, is not installed there"
    if state.error_code:
        return f"the database can't be used there ({state.error_code})"
    return None if state.sees_run else "DATABASE_URL names another database there"


class _Loops:
    """A loop on each worker, as long as any is needed."""

    def __init__(self, client: Any, share: NightShare, deaths: Deaths) -> None:
        self._client, self._share, self._deaths = client, share, deaths

    def work(self, workers: list[str], stop: StopRequest, progress: Progress) -> None:
        running = [self._start(worker) for worker in workers]
        while running:
            time.sleep(_SECONDS_A_LOOK)
            stop.check()
            progress()
            running = [other for loop in running if (other := self._still(loop)) is not None]

    def _start(self, worker: str | None) -> Any:
        """On this worker; where it is lost meanwhile, on another one, which Dask sees to."""
        share = self._share
        given = (share.run_id, share.model_version, share.compiled_sha256)
        at = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        return self._client.submit(score_share, *given, pure=False, **at)

    def _still(self, loop: Any) -> Any | None:
        """A loop that runs, or one in the place of one that was lost; None where it has come to its end."""
        if self._client.status != "running":
            raise ClusterAway(what="its scheduler is gone")
        if not loop.done():
            return loop
        if loop.status == "finished":
            _require_done(*loop.result())
            return None
        if not self._deaths.one_more():
            raise WorkersFailed(how="was lost again and again", line=loop.status)
        get_logger().warning("worker lost, another takes its place")
        return self._start(None)


def _require_done(exit_code: int, error_code: str) -> None:
    if exit_code == TRY_AGAIN_LATER:
        raise WorkersHeldUp(line=error_code)
    if exit_code != DONE:
        raise WorkersFailed(how=f"ended with exit code {exit_code}", line=error_code)
