"""Which rows of `patients` were there at a moment: those that came since say nothing of what was read before."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from pima.store.database import database_of


@dataclass(frozen=True, slots=True)
class RowsSoFar:
    """The rows that were there, told by no clock. A few more count as having come since, and none less."""

    version: int
    """The row version that was drawn last: who comes or changes later has a higher one."""
    writer: int
    """Of those who were writing to `patients` the first, as the database numbers them: who had drawn a version by then,
    and had not committed yet."""


def rows_so_far(connection: Connection) -> RowsSoFar:
    """Those that are there now."""
    database = database_of(connection)
    # In this order: who begins to write between the two draws a higher version.
    version = connection.scalar(text(f"SELECT coalesce(({database.last_version}), 0)"))
    return RowsSoFar(version, connection.execute(text(database.first_writer)).scalar_one())
