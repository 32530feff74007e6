"""Writing rows that others write at the same time: none is waited for, and what passes is told from what stays.

Whoever waits for one row while holding others may be waited for in a circle, and of a circle the server ends somebody:
it may be the clinic's own software.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection

from pima.errors import RowsContested
from pima.logs import get_logger
from pima.store.database import database_of


@contextmanager
def told_as_contested(connection: Connection) -> Iterator[None]:
    """Raises RowsContested if what others hold, or wrote meanwhile, ends a statement: all since the last savepoint,
    or the whole transaction, is to be given back then."""
    try:
        yield
    except Exception as error:
        # Of COPY it is the driver's own.
        what = database_of(connection).contested(getattr(error, "orig", error))
        if what is None:
            raise
        raise RowsContested(what=what) from None


def hold(connection: Connection, rows: str, lock: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Lock the rows of `p` in a FROM clause until the transaction, or its savepoint, is given back. Raises
    RowsContested where another transaction holds one."""
    with told_as_contested(connection):
        database_of(connection).lock_unless_held(connection, rows, lock, parameters or {})


PAUSES_SECONDS = (0.1, 0.2, 0.5, *[1.0] * 10)
"""Between the tries."""

Done = TypeVar("Done")


def until_free(attempt: Callable[[], Done], pause: Callable[[float], None]) -> Done:
    """Try until an attempt ends well; each gives all back that it holds. Raises RowsContested if the
    last one does, too."""
    for seconds in PAUSES_SECONDS:
        try:
            return attempt()
        except RowsContested as error:
            get_logger().info("others write the same rows; tried again", because=error.facts["what"])
        pause(seconds)
    return attempt()
