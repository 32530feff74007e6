"""Rows that others write at the same time: locked without waiting, and tried again while the
conflict may pass.

A transaction that waits for one row while it holds others can end in a deadlock. The server then
ends one of the transactions, which may be the clinic's own software.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from pima.errors import RowsContested
from pima.logs import get_logger
from pima.store.database import database_of


@contextmanager
def told_as_contested(connection: Connection) -> Iterator[None]:
    """Raises RowsContested if a statement fails because others hold or have just written its rows.
    The caller then rolls back to the last savepoint, or the whole transaction."""
    try:
        yield
    except Exception as error:
        # COPY raises the driver's own error, which SQLAlchemy does not wrap.
        what = database_of(connection).contested(getattr(error, "orig", error))
        if what is None:
            raise
        raise RowsContested(what=what) from None


def hold(
    connection: Connection, rows: str, lock: str, parameters: Mapping[str, object] | None = None
) -> None:
    """Lock the rows of `p` in a FROM clause until the transaction ends or its savepoint is rolled
    back. Raises RowsContested if another transaction holds one."""
    with told_as_contested(connection):
        database_of(connection).lock_unless_held(connection, rows, lock, parameters or {})


PAUSES_SECONDS = (0.1, 0.2, 0.5, *[1.0] * 10)
"""Pauses between the attempts."""

Done = TypeVar("Done")


def until_free(attempt: Callable[[], Done], pause: Callable[[float], None]) -> Done:
    """Repeat an attempt until it succeeds; each one releases its locks. Raises RowsContested if the
    last one does."""
    for seconds in PAUSES_SECONDS:
        try:
            return attempt()
        except RowsContested as error:
            get_logger().info(
                "others write the same rows; tried again", because=error.facts["what"]
            )
        pause(seconds)
    return attempt()
