"""A night by many workers: each does the loop of `pima.scoring` with rows of its own, and one run has the sum."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from pima.errors import PimaError, WrongUsage
from pima.extras.dask.workers import Workers
from pima.logs import mark_lines
from pima.runs.recorded_run import OpenRun, StopRequest
from pima.scoring import ScoreOptions, drain, score_queue
from pima.settings.reading import database_url
from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import make_engine, reading
from pima.store.runs import is_open
from pima.store.schema import require_schema
from pima.watch.unpredicted import RowsBefore


@dataclass(frozen=True, slots=True)
class Night:
    """All that a worker is told. The database's URL, with its password, is in the worker's own environment."""

    run_id: int
    model_version: int
    before: RowsBefore
    batch_rows: int
    database: DatabaseSettings


def score_on_workers(
    engine: Engine, run: OpenRun, options: ScoreOptions, reached: AbstractContextManager[Workers], stop: StopRequest
) -> None:
    """As `score_queue`, by a loop on each worker. Raises besides WrongUsage where the queue can't be shared, and what
    `Workers` raises. Whatever ends it, workers that still go on roll their next batch back: the run is closed then."""
    if database_of(engine).is_a_file:
        what = "--dask needs a database in which several can write at once; this one would have them wait"
        raise WrongUsage(what=f"{what} for each other. Leave it out, or move to PostgreSQL")
    if options.limit is not None or options.dry_run:
        raise WrongUsage(what="--limit and --dry-run are counted by one process: leave out --dask, or say --dask ''")

    def hand_out(version: int, before: RowsBefore) -> None:
        with reached as workers:
            night = Night(run.id, version, before, options.batch_rows, workers.settings.database)
            list(workers.results(work_on, [night] * workers.fit(lacks, night)))

    score_queue(engine, run, options, stop, hand_out)


# What follows runs on a worker.


def lacks(night: Night) -> str:
    """Whether a worker sees the run's database, in words; empty where it does."""
    try:
        with _database(night) as engine:
            require_schema(engine)
            with reading(engine) as connection:
                return "" if is_open(connection, night.run_id) else "DATABASE_URL names another database there"
    except PimaError as error:
        return f"the database can't be used there ({error.code})"


def work_on(night: Night, stop: StopRequest) -> None:
    """A worker's part, by one connection. Raises what `drain` raises."""
    mark_lines(job="score", run_id=night.run_id)
    with _database(night) as engine:
        drain(engine, night.run_id, night.model_version, night.before, night.batch_rows, stop)


@contextmanager
def _database(night: Night) -> Iterator[Engine]:
    engine = make_engine(database_url(os.environ, "score"), night.database)
    try:
        yield engine
    finally:
        engine.dispose()
