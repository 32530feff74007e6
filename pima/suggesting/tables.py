"""A table whose rows have gone by: what is kept of it, and whether anything can be said of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pima.core.wording import counted
from pima.suggesting.column_names import is_a_value, may_be_in_a_key
from pima.suggesting.columns import Column, ColumnSeen
from pima.suggesting.shown import SHOWN_FROM

MOST_ROWS = 1_000_000
"""Of a table; the ranges of more would be the same, and what is kept of each row would fill the memory."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table of a database is, as the settings say it."""

    source: str
    """The name of the source."""
    table: str
    schema: str | None
    query: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows have gone by."""

    called: str
    """The file or the table, as people call it."""
    columns: tuple[Column, ...]
    rows: int
    is_all: bool
    """Whether there were no more rows than were read."""
    unreadable: int
    """Lines of a file that were no rows."""
    has_names: bool
    """Whether its columns have names of their own."""
    place: Place | None
    """None of a file."""


def table_of(
    called: str,
    place: Place | None,
    names: Sequence[str] | None,
    blocks: Iterable[tuple[Sequence[Sequence[Any]], int]],
) -> Table:
    """Read it, by blocks of columns and the number of lines beside them that are no rows."""
    seen: list[ColumnSeen] | None = None if names is None else _unseen(names)
    rows, unreadable, is_all = 0, 0, True
    for columns, not_rows in blocks:
        seen = _unseen([f"column_{n}" for n in range(1, len(columns) + 1)]) if seen is None else seen
        unreadable += not_rows
        more = len(columns[0]) if columns else 0
        taken = min(more, MOST_ROWS - rows)
        for column, values in zip(seen, columns, strict=True):
            column.take(values[:taken])
        rows += taken
        if taken < more:
            is_all = False
            break
    found = tuple(column.seen() for column in seen or ())
    return Table(called, found, rows, is_all, unreadable, names is not None, place)


def _unseen(names: Sequence[str]) -> list[ColumnSeen]:
    return [ColumnSeen(name, may_be_in_a_key(name)) for name in names]


def fault_of(table: Table) -> str | None:
    """Why nothing can be said of a table; None where something can."""
    if table.rows < SHOWN_FROM:
        read = counted(table.rows, "row") if table.rows else "no rows"
        return f"It has {read}. Expected {SHOWN_FROM} or more: what fewer have in common is not shown."
    if not table.has_names:
        return None
    for n, column in enumerate(table.columns, start=1):
        # What was a row once, as an import without a header makes names of it, must not be shown.
        if is_a_value(column.name) or column.name.strip().casefold() in (column.words or ()):
            return (
                f"Column {n} has the name of a value, not of a column, so its names may be a patient's row. Expected "
                "names of columns: give it a header, or name the columns in the table."
            )
    return None
