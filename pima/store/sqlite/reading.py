"""Columns of rows out of SQLite, a block at a time, and into it."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from pima.core.cells import Column, objects_of
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


def append_columns(connection: Connection, table: str, columns: Mapping[str, Column]) -> None:
    """Add rows to a table."""
    marks = ", ".join("?" * len(columns))
    rows = list(zip(*map(objects_of, columns.values()), strict=True))
    connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
