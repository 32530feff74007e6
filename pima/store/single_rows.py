"""Tables that have a row in each of pima's databases, or one at least."""

from typing import Any

from sqlalchemy import Connection, Row, Select

from pima.errors import SchemaDiffers


def first_row(connection: Connection, statement: Select[*tuple[Any, ...]], table: str) -> Row[*tuple[Any, ...]]:
    """The first that is found; raises SchemaDiffers, of this table, where somebody has emptied it or it was left out
    of a restore."""
    row = connection.execute(statement).first()
    if row is None:
        raise SchemaDiffers(what=f"{table} has no row, which every database of pima has")
    return row
