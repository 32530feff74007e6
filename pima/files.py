"""Patient files: CSV (with a header, or the article's header-less nine columns) and Parquet -> checked rows.

Read block by block, so memory does not grow with the file. A line that is bad in any way is reported by its number and
a reason code, never by what stood there.
"""

import csv
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pima.core.features import FEATURE_NAMES, canonical_name
from pima.core.validation import MISSING, NOT_FINITE, REASONS, Measurements, broken_rules
from pima.errors import FileRefused

BLOCK_ROWS = 10_000
LONGEST_FIELD = 1_000
LONGEST_LINE = 1_000_000
LARGEST_ID = 2**63 - 1

ARTICLE_COLUMNS = (*FEATURE_NAMES, "outcome")

Cell = float | int | None
Row = tuple[Cell, ...]
"""(line, id, eight measurements, outcome); None where the cell is empty or the column is absent."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be loaded."""

    line: int
    """Counted from 1, as an editor shows it; of a Parquet file the row."""
    reason: str
    field: str | None = None
    """The column, where one is at fault."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of the file, parted."""

    rows: list[Row]
    bad: list[BadLine]


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    sha256: str
    columns: tuple[str, ...]
    """Of `id`, the measurements and `outcome`, those that the file has, in its order."""
    blocks: Callable[[], Iterator[Block]]

    @property
    def has_ids(self) -> bool:
        """Whether its rows say whose they are."""
        return "id" in self.columns

    @property
    def absent_measurements(self) -> tuple[str, ...]:
        """Columns without which a row can't be a new patient."""
        return tuple(name for name in FEATURE_NAMES if name not in self.columns)


def open_patient_file(path: Path) -> PatientFile:
    """Find out what kind of file it is and which columns it has. Raises FileRefused."""
    try:
        with path.open("rb") as content:
            magic = content.read(4)
            content.seek(0)
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise refused(path, f"It can't be read: {error.strerror}.") from None
    if not magic:
        raise refused(path, "The file is empty (empty_file). Expected rows of patients.")
    open_kind = _open_parquet if magic == b"PAR1" else _open_csv
    columns, blocks = open_kind(path)
    file = PatientFile(_shown_name(path), sha256, columns, blocks)
    if columns == ("id",):
        raise refused(path, "It has ids and nothing else. Expected outcomes or measurements beside them.")
    if not file.has_ids and file.absent_measurements:
        absent = ", ".join(file.absent_measurements)
        raise refused(path, f"Without an id column every row is a new patient, and these are missing: {absent}.")
    return file


def refused(path: Path | str, report: str) -> FileRefused:
    """The error for a whole file."""
    return FileRefused(file=_shown_name(Path(path)), report=report)


def _shown_name(path: Path) -> str:
    """The file's name as text: on disk it may be any bytes, in a database and on a terminal not."""
    return os.fsencode(path.name).decode("utf-8", errors="replace")


# ---- CSV ------------------------------------------------------------------------------------------------------------


def _open_csv(path: Path) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    with _open_text(path) as file:
        first = next((cells for _, cells in _records(file)), None)
    if isinstance(first, str):
        raise refused(path, f"The first line can't be read ({first}).")
    if first is None:
        raise refused(path, "The file holds nothing but blank lines (empty_file). Expected rows of patients.")
    has_header = not all(_is_number(cell) for cell in first)
    columns = _header_columns(path, first) if has_header else ARTICLE_COLUMNS
    if not has_header and len(first) != len(ARTICLE_COLUMNS):
        expected = f"a header, or the {len(ARTICLE_COLUMNS)} columns {', '.join(ARTICLE_COLUMNS)}"
        raise refused(path, f"Line 1 has no column names and {len(first)} fields. Expected: {expected}.")
    return columns, lambda: _csv_blocks(path, columns, has_header)


def _open_text(path: Path) -> TextIO:
    # A byte order mark is dropped; bytes that are no UTF-8 become surrogates and are reported with their line.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _records(file: TextIO) -> Iterator[tuple[int, list[str] | str]]:
    """(line number, cells) of each line that is not blank; in place of the cells the reason where it can't be read.

    Each line is a record of its own: no patient's row holds a line break, and a quote that is never closed must not
    swallow the rows behind it.
    """
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        is_whole = line.endswith(("\n", "\r"))
        if not is_whole and len(line) >= LONGEST_LINE:
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                pass  # the rest of a line that is longer than any patient's can be
            yield number, "field_too_long"
            continue
        text = line.rstrip("\r\n")
        if text:
            yield number, _cells(text, is_whole)


def _cells(text: str, is_whole: bool) -> list[str] | str:
    if '"' not in text:
        cells = text.split(",")
    else:
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error as error:
            return "field_too_long" if "field limit" in str(error) else "half_written_line"
    # A line without an end that stops at a comma was most likely cut off while it was written.
    return "half_written_line" if not is_whole and cells[-1] == "" else cells


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _header_columns(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """The columns that the header names; an unknown name is told by position, since it may be a value."""
    columns = [canonical_name(cell) for cell in header]
    known = ", ".join(("id", *ARTICLE_COLUMNS))
    for position, column in enumerate(columns, start=1):
        if column is None:
            raise refused(
                path, f"Column {position} of the header has an unknown name (unknown_column). Known: {known}."
            )
        if columns.index(column) != position - 1:
            raise refused(path, f"Column {position} of the header names {column} a second time (duplicate_column).")
    return tuple(column for column in columns if column is not None)


def _csv_blocks(path: Path, columns: tuple[str, ...], has_header: bool) -> Iterator[Block]:
    with _open_text(path) as file:
        records = _records(file)
        if has_header:
            next(records)
        while lines := list(itertools.islice(records, BLOCK_ROWS)):
            yield _parse_block(columns, lines)


def _parse_block(columns: tuple[str, ...], lines: list[tuple[int, list[str] | str]]) -> Block:
    rows: list[Row] = []
    bad: list[BadLine] = []
    in_order = _in_order(columns)
    id_at = columns.index("id") if "id" in columns else None
    for line, cells in lines:
        if isinstance(cells, str):
            bad.append(BadLine(line, cells))
            continue
        if len(cells) != len(columns):
            bad.append(BadLine(line, "wrong_field_count"))
            continue
        parsed = _parse_plain(cells, id_at) or _parse_cells(line, columns, cells)
        if isinstance(parsed, BadLine):
            bad.append(parsed)
        else:
            rows.append((line, *in_order(parsed)))
    return _checked(rows, bad)


def _parse_plain(cells: list[str], id_at: int | None) -> list[Cell] | None:
    """The cells of a line without anything doubtful, at a third of the time; None where each needs a look."""
    text = "".join(cells)
    if len(text) > LONGEST_FIELD or "_" in text or not text.isascii():
        return None
    if id_at is not None and not (cells[id_at].isdigit() and len(cells[id_at]) < 16):
        return None  # beyond 2**53 a float loses digits
    try:
        parsed: list[Cell] = [float(cell) if cell else None for cell in cells]
    except ValueError:
        return None
    if id_at is not None:
        parsed[id_at] = int(cells[id_at])
    return parsed


def _parse_cells(line: int, columns: tuple[str, ...], cells: Sequence[str]) -> list[Cell] | BadLine:
    parsed: list[Cell] = []
    for column, cell in zip(columns, cells, strict=True):
        if cell == "":
            parsed.append(None)
            continue
        value = _parse_cell(column, cell)
        if isinstance(value, str):
            return BadLine(line, value, column)
        parsed.append(value)
    return parsed


def _parse_cell(column: str, cell: str) -> float | int | str:
    """A number, or the reason why it is none. An id keeps all its digits, which a float would not."""
    if len(cell) > LONGEST_FIELD:
        return "field_too_long"
    if not cell.isascii():
        return "not_utf8" if any("\udc80" <= character <= "\udcff" for character in cell) else "not_a_number"
    if column == "id":
        stripped = cell.strip()
        return int(stripped) if stripped.isdigit() and len(stripped) < 20 else "bad_id"
    try:
        value = float(cell)
    except ValueError:
        return "nul_byte" if "\0" in cell else "not_a_number"
    return "not_a_number" if "_" in cell else value


# ---- Parquet --------------------------------------------------------------------------------------------------------


def _open_parquet(path: Path) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(path, "It is no readable Parquet file (half_written_line).") from None
    columns = _header_columns(path, schema.names)
    for column, field in zip(columns, schema, strict=True):
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_null(field.type)
        is_decimal = column != "id" and pa.types.is_decimal(field.type)
        is_sound = is_number or is_decimal or (column == "outcome" and pa.types.is_boolean(field.type))
        if not is_sound:
            # A group's fields have names of their own, which may be values.
            held = "groups" if pa.types.is_nested(field.type) else field.type
            raise refused(path, f"The column {column} holds {held} (not_a_number). Expected numbers.")
    return columns, lambda: _parquet_blocks(path, columns)


def _parquet_blocks(path: Path, columns: tuple[str, ...]) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    in_order = _in_order(columns)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BLOCK_ROWS):
                values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                rows = [(line + n, *_from_parquet(in_order(cells))) for n, cells in enumerate(values, start=1)]
                line += len(rows)
                yield _checked(rows, [])
    except (pa.ArrowException, OSError, ValueError):
        raise refused(path, f"It can't be read beyond row {line} (half_written_line).") from None


def _from_parquet(cells: tuple[Any, ...]) -> tuple[Any, ...]:
    """(id, eight measurements, outcome) with measurements as floats, whatever kind of number the column holds."""
    patient_id, *measured, outcome = cells
    if isinstance(patient_id, float) and patient_id.is_integer() and patient_id < 2**53:
        patient_id = int(patient_id)  # a column of ids with a gap comes as floats from some writers
    return (patient_id, *(None if value is None else float(value) for value in measured), outcome)


# ---- both -----------------------------------------------------------------------------------------------------------


def _in_order(columns: tuple[str, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function from cells in the file's order to (id, eight measurements, outcome), None for an absent column."""
    positions = [columns.index(name) if name in columns else len(columns) for name in ("id", *ARTICLE_COLUMNS)]
    pick = itemgetter(*positions)
    return lambda cells: pick((*cells, None))


def _checked(rows: list[Row], bad: list[BadLine]) -> Block:
    """Judge ids, outcomes and measurements; the latter by the same rules as scoring, save that a cell may be empty."""
    cells = np.array([row[2:-1] for row in rows], dtype=object).reshape(len(rows), len(FEATURE_NAMES))
    is_null = cells == None  # noqa: E711 (element by element)
    values = np.where(is_null, np.nan, cells).astype(np.float64)
    broken = broken_rules(Measurements(values, is_null))
    broken[broken == REASONS.index(MISSING)] = 0
    good: list[Row] = []
    any_broken = np.any(broken, axis=1).tolist()
    for row, rules, is_broken in zip(rows, broken, any_broken, strict=True):
        patient_id, outcome = row[1], row[-1]
        if patient_id is None and outcome is None and not is_broken:
            good.append(row)
        elif (fault := _fault(row, rules, is_broken)) is None:
            good.append((*row[:-1], None if outcome is None else int(outcome)))
        else:
            bad.append(fault)
    return Block(good, bad)


def _fault(row: Row, rules: Any, is_broken: bool) -> BadLine | None:
    line, patient_id, outcome = int(row[0] or 0), row[1], row[-1]
    if patient_id is not None and not (isinstance(patient_id, int) and 0 < patient_id <= LARGEST_ID):
        return BadLine(line, "bad_id", "id")
    if is_broken:
        position = int((rules != 0).argmax())
        return BadLine(line, REASONS[rules[position]], FEATURE_NAMES[position])
    if outcome is not None and outcome not in (0, 1):
        is_finite = math.isfinite(outcome)
        return BadLine(line, "bad_outcome" if is_finite else NOT_FINITE, "outcome")
    return None
