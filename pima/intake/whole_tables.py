"""Tables with all their columns, from a source, a CSV or a Parquet file, read a block of rows at a
time.

Nothing is declared about them yet, so the only check here is whether they can be read.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from pima.core.declared.features import is_number
from pima.core.declared.source import Source
from pima.core.rows.cells import objects_of
from pima.errors import SourceUnusable
from pima.intake.files.csv_file import csv_blocks, first_line
from pima.intake.files.opened_file import OpenedFile, is_parquet, readable_again
from pima.intake.files.parquet_file import parquet_blocks, parquet_schema
from pima.intake.raw_rows import RawBlock
from pima.intake.sources import source_query
from pima.intake.sources.source_engine import reading_source

_BLOCK_ROWS = 3_000
"""Fewer rows than when a file is loaded: all columns are read, each value as a Python object."""
_EXPECTED = "column names and rows"

Block = tuple[Sequence[Sequence[Any]], int]
"""Some rows: for each column its values, as driver or file give them; and the number of lines that
are no rows."""


@dataclass(frozen=True, slots=True)
class WholeTable:
    """A table that is open for reading."""

    called: str
    """The table's name for people."""
    names: tuple[str, ...] | None
    """The columns' names; None for a file without a header."""
    blocks: Iterator[Block]


@contextmanager
def table_of_source(engine: Engine, source: Source) -> Iterator[WholeTable]:
    """Open all columns of a source's table or query, in one snapshot. Raises SourceAway,
    SourceUnusable."""
    called = source.table or f"the query of {source.name}"
    try:
        with reading_source(engine, source.name) as connection:
            names = source_query.column_names(connection, source)
            statement = source_query.everything(engine.dialect, source)
            with closing(source_query.blocks_of(connection, statement, _BLOCK_ROWS)) as blocks:
                yield WholeTable(
                    called, names, ((list(zip(*rows, strict=True)), 0) for rows in blocks)
                )
    except SourceUnusable as error:
        what = f"{error.facts['what']}, while reading {called}"
        raise SourceUnusable(**error.facts | {"what": what}) from None


@contextmanager
def table_of_file(path: Path) -> Iterator[WholeTable]:
    """Open all columns of a CSV or Parquet file, or of stdin. Raises FileRefused."""
    with readable_again(path, _first_line) as file:
        first = _first_line(file)
        if first is None:
            names = tuple(parquet_schema(file).names)
            yield WholeTable(
                file.name, names, map(_values, parquet_blocks(file, names, _BLOCK_ROWS))
            )
            return
        has_header = not all(map(is_number, first))
        blocks = csv_blocks(file, range(len(first)), len(first), has_header, _BLOCK_ROWS)
        yield WholeTable(file.name, tuple(first) if has_header else None, map(_values, blocks))


def _first_line(file: OpenedFile) -> list[str] | None:
    """The cells of the first line; None if the file is Parquet. Raises FileRefused."""
    return None if is_parquet(file, _EXPECTED) else first_line(file, _EXPECTED)


def _values(raw: RawBlock) -> Block:
    return [objects_of(raw.rows[n]) for n in raw.rows.columns], len(raw.bad)
