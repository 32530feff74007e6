"""A night on many workers: each runs the loop of `pima.scoring` on its own rows, and one run has
the sum."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from pima.dask.workers import Workers
from pima.errors import PimaError, WrongUsage
from pima.logs import mark_lines
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, Start, drain, score_queue
from pima.settings.reading import database_url
from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import reading
from pima.store.schema import require_schema
from pima.store.service.runs import is_open
from pima.store.urls import make_engine


@dataclass(frozen=True, slots=True)
class Night:
    """Everything that is sent to a worker. The database's URL and password are in the worker's own
    environment."""

    run_id: int
    start: Start
    options: ScoreOptions
    database: DatabaseSettings


def score_on_workers(
    engine: Engine,
    run: OpenRun,
    options: ScoreOptions,
    reached: AbstractContextManager[Workers],
    stop: StopRequest,
) -> None:
    """Do the work of `score_queue` with a loop on each worker. Also raises WrongUsage if the queue
    can't be shared, and what `Workers` raises. However it ends, workers still running roll back
    their next batch: the run is closed."""
    if database_of(engine).is_a_file:
        what = (
            "--dask needs a database in which several can write at once; this one would have them "
            "wait"
        )
        raise WrongUsage(what=f"{what} for each other. Leave it out, or move to PostgreSQL")
    if options.limit is not None or options.dry_run:
        raise WrongUsage(
            what=(
                "--limit and --dry-run are counted by one process: leave out --dask, or say "
                "--dask ''"
            )
        )

    def hand_out(start: Start) -> None:
        with reached as workers:
            one_each = replace(options, workers=1)
            night = Night(run.id, start, one_each, workers.settings.database)
            workers.run(work_on, night, workers.fit(lacks_database, night))

    score_queue(engine, run, options, stop, hand_out)


# The rest runs on a worker.


def lacks_database(night: Night) -> str:
    """Say why a worker can't see the run's database; empty if it can."""
    try:
        with _database(night) as engine:
            require_schema(engine)
            with reading(engine) as connection:
                if is_open(connection, night.run_id):
                    return ""
                return "DATABASE_URL names another database there"
    except PimaError as error:
        return f"the database can't be used there ({error.code})"


def work_on(night: Night, stop: StopRequest) -> None:
    """Do a worker's share of the night, on one connection. Raises what `drain` raises."""
    mark_lines(job="score", run_id=night.run_id)
    with _database(night) as engine:
        drain(engine, night.run_id, night.start, night.options, stop)


@contextmanager
def _database(night: Night) -> Iterator[Engine]:
    engine = make_engine(database_url(os.environ, "score"), night.database)
    try:
        yield engine
    finally:
        engine.dispose()
