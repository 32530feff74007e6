"""Patients in CSV: with a header, or the article's header-less nine columns."""

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from pima.patient_rows import (
    ARTICLE_COLUMNS,
    BLOCK_ROWS,
    BadLine,
    Block,
    Cell,
    Row,
    checked,
    header_columns,
    in_order,
)
from pima.sources import Source, refused

LONGEST_FIELD = 1_000
LONGEST_LINE = 1_000_000


def open_csv(source: Source) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    """The file's columns, and a function that reads its rows. Raises FileRefused."""
    with _open_text(source) as file:
        first = next((cells for _, cells in _records(file)), None)
    if isinstance(first, str):
        raise refused(source.name, f"The first line can't be read ({first}).")
    if first is None:
        raise refused(source.name, "The file holds nothing but blank lines (empty_file). Expected rows of patients.")
    has_header = not all(_is_number(cell) for cell in first)
    columns = header_columns(source.name, first) if has_header else ARTICLE_COLUMNS
    if not has_header and len(first) != len(ARTICLE_COLUMNS):
        expected = f"a header, or the {len(ARTICLE_COLUMNS)} columns {', '.join(ARTICLE_COLUMNS)}"
        raise refused(source.name, f"Line 1 has no column names and {len(first)} fields. Expected: {expected}.")
    return columns, lambda: _csv_blocks(source, columns, has_header)


def _open_text(source: Source) -> TextIO:
    # A byte order mark is dropped; bytes that are no UTF-8 become surrogates and are reported with their line.
    return source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


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


def _csv_blocks(source: Source, columns: tuple[str, ...], has_header: bool) -> Iterator[Block]:
    with _open_text(source) as file:
        records = _records(file)
        if has_header:
            next(records)
        while lines := list(itertools.islice(records, BLOCK_ROWS)):
            yield _parse_block(columns, lines)


def _parse_block(columns: tuple[str, ...], lines: list[tuple[int, list[str] | str]]) -> Block:
    rows: list[Row] = []
    bad: list[BadLine] = []
    ordered = in_order(columns)
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
            rows.append((line, *ordered(parsed)))
    return checked(rows, bad)


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
