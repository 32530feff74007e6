"""What runs on a worker of a cluster: two functions, which take and give numbers and codes alone.

Settings, and the database's URL with its password, come from the worker's own environment.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Engine

from pima.cluster.release import release
from pima.cluster.shared_run import NightShare, work_on
from pima.errors import DONE, PimaError, RunOver
from pima.process.stopping import StopRequest
from pima.scoring import ScoreOptions
from pima.settings import DEFAULT_CONFIG, Settings, database_url, read_settings
from pima.store.engine import make_engine, reading
from pima.store.runs import is_open
from pima.store.schema import require_schema

RUNTIME = "ai_edge_litert"
"""The module that the compiled form of a model is called by."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says of itself before it is given anything."""

    release: str
    has_runtime: bool
    error_code: str
    """Of what keeps it from the database; nothing where all is well."""
    sees_run: bool
    """Whether the database that it has is the one of the run."""


def look_around(run_id: int) -> WorkerState:
    """Called on each worker."""
    has_runtime = find_spec(RUNTIME) is not None
    try:
        with _database() as (engine, _):
            require_schema(engine)
            with reading(engine) as connection:
                return WorkerState(release(), has_runtime, "", is_open(connection, run_id))
    except PimaError as error:
        return WorkerState(release(), has_runtime, error.code, False)


def score_share(run_id: int, model_version: int, compiled_sha256: str) -> tuple[int, str]:
    """The loop, until nothing is left to claim: exit code and error code. A run that is over needs nobody any more."""
    try:
        with _database() as (engine, settings):
            options = ScoreOptions(settings.score.batch_rows)
            work_on(engine, NightShare(run_id, model_version, compiled_sha256), options, StopRequest())
    except RunOver:
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
