"""The features' columns of `patients` and the queue: made with the schema, and changed with the declaration."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from pima.core.features import Declaration
from pima.store.columns import column
from pima.store.declarations import newest_declaration, record_declaration
from pima.store.tables import WITH_FEATURES, declarations
from pima.store.triggers import drop_triggers
from pima.store.types import Real


def begin_with(connection: Connection, declaration: Declaration) -> None:
    """Give a new schema, which the migrations have made for the shipped declaration, the features of this one."""
    made_for = newest_declaration(connection)
    if made_for == declaration:
        return
    drop_triggers(connection)
    add_columns(connection, [name for name in declaration.names if name not in made_for.names])
    for table in WITH_FEATURES:
        for name in set(made_for.names) - set(declaration.names):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column(name)}"))
    connection.execute(declarations.delete())
    record_declaration(connection, declaration, "migrate", "the settings when the schema was made")


def add_columns(connection: Connection, names: Iterable[str]) -> None:
    """NULL in the rows that are there."""
    number, names = Real().compile(connection.dialect), list(names)
    for table in WITH_FEATURES:
        for name in names:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column(name)} {number}"))
