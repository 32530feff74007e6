"""Columns of rows out of SQLite, a block at a time, and into it."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from pima.store.columns import column


def read_columns(
    connection: Connection,
    statement: str,
    parameters: Sequence[Any],
    rows: int,
    exact: int = 0,  # noqa: ARG001 (it has none)
) -> Generator[list[pd.Series]]:
    """What a SELECT gives, column by column, at most so many rows at a time."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement, parameters)
        while block := cursor.fetchmany(rows):
            yield [pd.Series(values, dtype=object) for values in zip(*block, strict=True)]


def append_frame(connection: Connection, table: str, frame: pd.DataFrame) -> None:
    """Append a DataFrame's rows: float64 of which NaN is NULL, Int64, and texts of which None is NULL."""
    names, marks = ", ".join(map(column, frame.columns)), ", ".join("?" * frame.shape[1])
    values = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns]
    connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(zip(*values, strict=True)))
