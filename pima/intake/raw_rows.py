"""Rows as a file has them, before they are interpreted."""

from dataclasses import dataclass

import pandas as pd

BLOCK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be loaded."""

    line: int
    """The number of the line from 1, as an editor shows it; in a Parquet file, of the row."""
    reason: str
    field: str | None = None
    """The column, if one is at fault."""


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Some rows of a file."""

    rows: pd.DataFrame
    """Rows by line; columns are numbered in the order asked for, and have the types that
    `pima.core.rows.cells` takes."""
    bad: list[BadLine]
    """Lines that can't be read as rows."""
