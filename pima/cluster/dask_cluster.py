"""A night on the workers of a Dask cluster. Dask starts loops and carries no rows: what goes through its scheduler is a
run's number, a version and a hash, and back come codes."""

import time
from contextlib import ExitStack
from functools import partial
from typing import Any

from sqlalchemy import Engine

from pima.cluster.dask_client import SECONDS_A_LOOK, connected, fit_workers, let_end, require_running
from pima.cluster.on_worker import look_around, score_share
from pima.cluster.processes import Progress
from pima.cluster.shared_run import NightShare, shared, so_far
from pima.cluster.team import Deaths
from pima.core.unpredicted import Rule
from pima.errors import DONE, TRY_AGAIN_LATER, Interrupted, WorkersFailed, WorkersHeldUp
from pima.logs import get_logger
from pima.process.recorded_run import OpenRun
from pima.process.stopping import StopRequest


def score_on_dask(
    engine: Engine,
    run: OpenRun,
    rule: Rule,
    address: str,
    most_workers: int,
    grace_seconds: float,
    stop: StopRequest,
) -> None:
    """Drain the queue by the workers that there are, `most_workers` of them at once.

    Raises what `shared` raises, ClusterAway, ClusterUnfit, WorkersFailed, WorkersHeldUp, and Interrupted once the
    workers have committed their batches, or the grace time is over. Whatever ends it, workers that still go on roll
    their next batch back: the run is closed then.
    """
    with shared(engine, run, rule) as share, ExitStack() as opened:
        if share is None:
            return
        client = opened.enter_context(connected(address))
        workers = fit_workers(client, look_around, share.run_id)[:most_workers]
        loops = _Loops(client, share, Deaths(partial(so_far, engine, share, "batches")), grace_seconds)
        loops.work(workers, stop, Progress(engine, share))


class _Loops:
    """A loop on each worker, as long as any is needed."""

    def __init__(self, client: Any, share: NightShare, deaths: Deaths, grace_seconds: float) -> None:
        self._client, self._share, self._deaths = client, share, deaths
        self._grace_seconds = grace_seconds
        self._running: list[Any] = []

    def work(self, workers: list[str], stop: StopRequest, progress: Progress) -> None:
        self._running = [self._start(worker) for worker in workers]
        try:
            while self._running:
                time.sleep(SECONDS_A_LOOK)
                stop.check()
                progress()
                self._running = [other for loop in self._running if (other := self._still(loop)) is not None]
        except Interrupted:
            let_end(self._client, self._running, self._grace_seconds)
            raise

    def _start(self, worker: str | None) -> Any:
        """On this worker; where it is lost meanwhile, on another one, which Dask sees to."""
        at = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        return self._client.submit(score_share, str(self._share), self._client.id, pure=False, **at)

    def _still(self, loop: Any) -> Any | None:
        """A loop that runs, or one in the place of one that was lost; None where it has come to its end."""
        require_running(self._client)
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
