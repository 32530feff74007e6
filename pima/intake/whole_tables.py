"""Tables with all their columns, whatever these are: of a source, a CSV or a Parquet file, a block of rows at a time.

Nothing is declared of them yet, so nothing is judged here but whether they can be read.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from pima.core.features import is_number
from pima.core.source import Source as DatabaseSource
from pima.intake.csv_file import open_text, records
from pima.intake.patient_rows import BLOCK_ROWS
from pima.intake.sources import LONGEST_BEGINNING, Source, other_kind, readable_again, refused
from pima.store import source_query
from pima.store.source_engine import reading_source

_PARQUET = b"PAR1"
_OTHER_DELIMITERS = {";": ";", "\t": r"\t", "|": "|"}


Block = tuple[Sequence[Sequence[Any]], int]
"""Some rows: for each column its values, as driver or file give them; and how many lines beside them are no rows."""


@dataclass(frozen=True, slots=True)
class WholeTable:
    """A table that is open for reading."""

    called: str
    """As people call it."""
    names: tuple[str, ...] | None
    """Of its columns; None of a file without a header."""
    blocks: Iterator[Block]


@contextmanager
def table_of_source(engine: Engine, source: DatabaseSource) -> Iterator[WholeTable]:
    """All columns of what a source reads, in one snapshot. Raises SourceAway, SourceUnusable."""
    with reading_source(engine, source.name) as connection:
        names = source_query.names_of(connection, source)
        statement = source_query.everything(engine.dialect, source)
        with closing(source_query.blocks_of(connection, statement, BLOCK_ROWS)) as blocks:
            called = source.table or f"the query of {source.name}"
            yield WholeTable(called, names, ((list(zip(*rows, strict=True)), 0) for rows in blocks))


@contextmanager
def table_of_file(path: Path) -> Iterator[WholeTable]:
    """All columns of a CSV or Parquet file, or of stdin. Raises FileRefused."""
    with readable_again(path) as source:
        beginning = _beginning(source)
        if not beginning:
            raise refused(source.name, "The file is empty (empty_file). Expected column names and rows.")
        if kind := other_kind(beginning):
            raise refused(source.name, kind)
        yield _parquet_table(source) if beginning.startswith(_PARQUET) else _csv_table(source)


def _beginning(source: Source) -> bytes:
    try:
        with source.path.open("rb") as content:
            return content.read(LONGEST_BEGINNING)
    except OSError as error:
        raise refused(source.name, f"It can't be read: {error.strerror}.") from None


def _csv_table(source: Source) -> WholeTable:
    with open_text(source) as file:
        first = next((cells for _, cells in records(file)), None)
    if first is None:
        raise refused(
            source.name, "The file holds nothing but blank lines (empty_file). Expected column names and rows."
        )
    if isinstance(first, str):
        raise refused(source.name, f"The first line can't be read ({first}).")
    _require_commas(source, first)
    has_header = not all(map(is_number, first))
    names = tuple(first) if has_header else None
    return WholeTable(source.name, names, _csv_blocks(source, len(first), has_header))


def _require_commas(source: Source, first: Sequence[str]) -> None:
    """A line that is one cell, and several by another delimiter."""
    for delimiter, typed in _OTHER_DELIMITERS.items():
        if len(first) == 1 and len(next(csv.reader(first, delimiter=delimiter))) > 1:
            report = "Line 1 seems not to be separated by commas (wrong_delimiter). This makes them so, where no comma "
            report += f"stands within a cell: tr '{typed}' ',' < FILE | python -m jobs.suggest -"
            raise refused(source.name, report)


def _csv_blocks(source: Source, width: int, has_header: bool) -> Iterator[Block]:
    with open_text(source) as file:
        lines = (cells for _, cells in records(file))
        if has_header:
            next(lines)
        while some := list(itertools.islice(lines, BLOCK_ROWS)):
            rows = [cells for cells in some if not isinstance(cells, str) and len(cells) == width]
            yield list(zip(*rows, strict=True)) or [()] * width, len(some) - len(rows)


def _parquet_table(source: Source) -> WholeTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(source.path).names
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, "It is no readable Parquet file (half_written_line).") from None
    return WholeTable(source.name, tuple(names), _parquet_blocks(source))


def _parquet_blocks(source: Source) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=BLOCK_ROWS):
                yield [_values(column) for column in batch.columns], 0
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, "It can't be read to its end (half_written_line).") from None


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    # A time may be finer than Python's own.
    is_time = pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type)
    found: list[Any] = (column.cast(pa.string()) if is_time else column).to_pylist()
    return found
