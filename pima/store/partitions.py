"""Parts of `predictions`: dividing the table while everything goes on, and having the next part there in time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from pima.errors import DatabaseBusy, WrongUsage
from pima.store.database import Partitions, database_of
from pima.store.engine import reading, without_time_limit, writing


@dataclass(frozen=True, slots=True)
class Divided:
    """The table as it is now."""

    divided_now: bool
    """False where it had parts already, of whatever size."""
    parts: int


def require_partitions(engine: Engine) -> Partitions:
    """Raises WrongUsage where the database has none."""
    found = database_of(engine).partitions
    if found is None:
        raise WrongUsage(what="--partitions is for PostgreSQL: SQLite's tables have no parts")
    return found


def divide_predictions(engine: Engine, versions: int) -> Divided:
    """Divide the table into parts of so many row versions; from now on, since what there is becomes the first part.

    Whatever ends it in between is gone on from by the next call. Raises CannotPartition.
    """
    partitions = require_partitions(engine)
    with reading(engine) as connection:
        was_divided = partitions.is_divided(connection)
    if not was_divided:
        _divide(engine, partitions, versions)
    with writing(engine) as connection:
        partitions.make_ahead(connection)
        return Divided(not was_divided, len(partitions.parts(connection)))


def _divide(engine: Engine, partitions: Partitions, versions: int) -> None:
    with writing(engine) as connection:
        below = partitions.bound(connection, versions)
    try:
        with writing(engine) as connection:
            without_time_limit(connection)
            partitions.see_bound(connection)
        _patiently(partial(_put_in_place, engine, partitions, below, versions))
    except BaseException:
        # As long as it stands, no version above the boundary could be scored.
        with writing(engine) as connection:
            partitions.unbound(connection)
        raise


def _put_in_place(engine: Engine, partitions: Partitions, below: int, versions: int) -> None:
    with writing(engine) as connection:
        partitions.divide(connection, below, versions)


_TRIES = 20


def _patiently(attempt: Callable[[], None]) -> None:
    """Again and again, each time so briefly that nobody who uses the table waits for long. Raises DatabaseBusy."""
    for _ in range(_TRIES - 1):
        try:
            return attempt()
        except DatabaseBusy:
            time.sleep(0.2)
    return attempt()


def make_partitions_ahead(engine: Engine) -> None:
    """So that what is written next has a part to go to."""
    partitions = database_of(engine).partitions
    if partitions is None:
        return
    with reading(engine) as connection:
        is_divided = partitions.is_divided(connection)
    if is_divided:
        with writing(engine) as connection:
            partitions.make_ahead(connection)
