"""Rows as a file has them, before anything is made of them."""

from dataclasses import dataclass

import pandas as pd

BLOCK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be loaded."""

    line: int
    """Counted from 1, as an editor shows it; of a Parquet file the row."""
    reason: str
    field: str | None = None
    """The column, where one is at fault."""


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Some rows of a file."""

    rows: pd.DataFrame
    """By line; the columns are numbered in the order in which they were asked for, as `pima.core.cells` takes them."""
    bad: list[BadLine]
    """Lines that are no rows."""
