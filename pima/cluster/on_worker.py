"""What runs on a worker of a cluster for a night: two functions, which take and give numbers and codes alone.

Settings, and the database's URL with its password, come from the worker's own environment.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from pima.cluster.shared_run import NightShare, work_on
from pima.cluster.worker_state import WorkerState, state_here, stop_of
from pima.errors import DONE, Interrupted, PimaError, RunOver
from pima.reading_settings import DEFAULT_CONFIG, database_url, read_settings
from pima.scoring import ScoreOptions
from pima.settings import Settings
from pima.store.engine import make_engine, reading
from pima.store.runs import is_open
from pima.store.schema import require_schema


def look_around(run_id: int) -> WorkerState:
    """Called on each worker."""
    try:
        with _database() as (engine, _):
            require_schema(engine)
            with reading(engine) as connection:
                sees_run = is_open(connection, run_id)
    except PimaError as error:
        return state_here(f"the database can't be used there ({error.code})")
    return state_here("" if sees_run else "DATABASE_URL names another database there")


def score_share(told: str, client: str) -> tuple[int, str]:
    """The loop, until nothing is left to claim: exit code and error code. A run that is over needs nobody any more, and
    of one that is asked to stop the job tells."""
    try:
        share = NightShare.read(told)
        with _database() as (engine, settings):
            work_on(engine, share, ScoreOptions(settings.score.batch_rows), stop_of(client))
    except (RunOver, Interrupted):
        return DONE, ""
    except PimaError as error:
        return error.exit_code, error.code
    return DONE, ""


@contextmanager
def _database() -> Iterator[tuple[Engine, Settings]]:
    """A worker need not stand in pima's folder: without a settings file it has the defaults, and its variables."""
    config = DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else Path(os.devnull)
    settings = read_settings(config, os.environ)
    engine = make_engine(database_url(os.environ, "score"), settings.database)
    try:
        yield engine, settings
    finally:
        engine.dispose()
