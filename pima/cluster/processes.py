"""A night by several processes of this machine: the parent fixes the champion, waits, and has the last word."""

import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import Engine

from pima.cluster.shared_run import NightShare, shared, so_far
from pima.cluster.team import Team
from pima.core.unpredicted import Rule
from pima.errors import WrongUsage
from pima.logs import get_logger
from pima.process.recorded_run import OpenRun
from pima.process.stopping import StopRequest
from pima.schedule.children import Child
from pima.scoring import ScoreOptions
from pima.store.database import database_of

_SECONDS_BETWEEN_LINES = 5


def require_many(engine: Engine, options: ScoreOptions, workers: int, most: int) -> None:
    """Raises WrongUsage where a queue can't be shared so."""
    if database_of(engine).has_one_writer:
        what = "several workers need a database in which several can write at once; this one would have them wait"
        raise WrongUsage(what=f"{what} for each other. Leave them out, or move to PostgreSQL")
    if options.limit is not None or options.dry_run:
        raise WrongUsage(what="--limit and --dry-run are counted by one process: leave out the others")
    if workers > most:
        raise WrongUsage(what=f"{workers} workers are more than score.most_workers allows connections for, {most}")


def score_by_processes(
    engine: Engine,
    run: OpenRun,
    rule: Rule,
    processes: int,
    launch: Callable[[NightShare], Child],
    grace_seconds: float,
    stop: StopRequest,
) -> None:
    """Drain the queue by so many children. Raises what `shared` raises, WorkersFailed, WorkersHeldUp, Interrupted."""
    with shared(engine, run, rule) as share:
        if share is not None:
            batches = partial(so_far, engine, share, "batches")
            Team([partial(launch, share)] * processes, batches, grace_seconds).work(stop, Progress(engine, share))


class Progress:
    """Tells, now and then, how far the run has come."""

    def __init__(self, engine: Engine, share: NightShare) -> None:
        self._engine, self._share = engine, share
        self._told_at = time.monotonic()

    def __call__(self) -> None:
        """To be called often."""
        if time.monotonic() >= self._told_at + _SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            get_logger().info("so far", claimed=so_far(self._engine, self._share, "claimed"))
