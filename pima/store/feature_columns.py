"""The features' columns of `patients` and the queue, which change with the declaration."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from pima.errors import WrongConfiguration
from pima.store.columns import column
from pima.store.database import database_of
from pima.store.tables import WITH_FEATURES
from pima.store.types import Real


def require_room(connection: Connection, names: Iterable[str]) -> None:
    """Raises WrongConfiguration where somebody else's column has one of these names, in whatever case: SQLite takes the
    two for one."""
    found = database_of(connection).columns(connection, WITH_FEATURES)
    theirs = {each.lower(): each for each in found}
    for table in WITH_FEATURES:
        for name in names:
            if (there := theirs.get(f"{table}.{name}")) is not None:
                raise _no_room(name, table, there.partition(".")[2])


def _no_room(name: str, table: str, theirs: str) -> WrongConfiguration:
    what = f"the feature {name} can't be added: {table} has a column {theirs} already, which pima has not made"
    rename = f"ALTER TABLE {table} RENAME COLUMN {column(theirs)} TO another name"
    expected = (
        f"another name for the feature, or for the column: {rename}. What stands in it can be taken over once the"
        " feature is there, by an UPDATE"
    )
    return WrongConfiguration(what=what, expected=expected)


def add_columns(connection: Connection, names: Iterable[str]) -> None:
    """NULL in the rows that are there."""
    number, names = Real().compile(connection.dialect), list(names)
    for table in WITH_FEATURES:
        for name in names:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column(name)} {number}"))
