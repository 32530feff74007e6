"""Reading rows of SQLite, a block at a time."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from pima.core.cells import Column
from pima.core.validation import Measurements
from pima.store.measurements import as_measurements


def read_columns(
    connection: Connection, statement: str, parameters: Sequence[Any], rows: int
) -> Generator[list[Column]]:
    """What a SELECT gives, column by column, at most so many rows at a time."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement, parameters)
        while block := cursor.fetchmany(rows):
            yield list(zip(*block, strict=True))


def read_rows(
    connection: Connection, texts: Sequence[str], numbers: Sequence[str], rest: str, parameters: Sequence[Any]
) -> tuple[list[list[str | None]], Measurements]:
    """SELECT these texts and numbers, and then the rest: the texts by column, and n rows of the numbers."""
    with closing(connection.connection.cursor()) as cursor:
        found = cursor.execute(f"SELECT {', '.join((*texts, *numbers))} {rest}", parameters).fetchall()
    columns = list(zip(*found, strict=True)) or [()] * (len(texts) + len(numbers))
    return list(map(list, columns[: len(texts)])), as_measurements(columns[len(texts) :], len(found))
