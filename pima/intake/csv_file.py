"""Patients in CSV: with a header, or the declared columns and the outcome without one, as the article's file is."""

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from pima.core.features import KEYS, Declaration, Feature, is_number
from pima.core.validation import UNKNOWN_CODE
from pima.intake.header import Header, bare_header, is_not_utf8, no_header, other_delimiter, read_header
from pima.intake.key_cells import KeyTypes, ReadKeys, reading_keys
from pima.intake.patient_rows import (
    BLOCK_ROWS,
    BadLine,
    Block,
    Cell,
    Row,
    checked,
    code_of_label,
    in_order,
    known_columns,
)
from pima.intake.sources import Source, refused

LONGEST_FIELD = 1_000
LONGEST_LINE = 1_000_000
_LINES_LOOKED_AT = 1_000
_BLANK = ' \t,"'


def open_csv(
    source: Source, declaration: Declaration, ignored: Sequence[str], key_types: KeyTypes
) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    """The columns that are read, and a function that reads the file's rows. Raises FileRefused."""
    with open_text(source) as file:
        first = next((cells for _, cells in records(file)), None)
    if first is None:
        raise refused(source.name, "The file holds nothing but blank lines (empty_file). Expected rows of patients.")
    if isinstance(first, str):
        raise refused(source.name, _no_csv(source, declaration) or f"The first line can't be read ({first}).")
    has_header = not all(map(is_number, first))
    make = _header if has_header else _bare_header
    header = make(source, first, declaration, ignored)
    read_keys = reading_keys(dict(zip(header.columns, header.positions, strict=True)), key_types)
    return header.columns, lambda: _csv_blocks(source, header, declaration, has_header, read_keys)


def _header(source: Source, cells: list[str], declaration: Declaration, ignored: Sequence[str]) -> Header:
    if hint := _no_csv(source, declaration):
        raise refused(source.name, hint)
    return read_header(source.name, cells, declaration, ignored)


def _no_csv(source: Source, declaration: Declaration) -> str | None:
    """What the first lines are in place of CSV's and what to do then; None where they may be CSV's."""
    with open_text(source) as file:
        lines = (
            line.rstrip("\r\n")
            for line in iter(lambda: file.readline(LONGEST_FIELD), "")
            if line.strip(f"{_BLANK}\r\n")
        )
        first = list(itertools.islice(lines, _LINES_LOOKED_AT))
    return other_delimiter(first, declaration) or no_header(first, declaration)


def _bare_header(source: Source, cells: list[str], declaration: Declaration, ignored: Sequence[str]) -> Header:
    header = bare_header(declaration)
    if ignored:
        raise refused(source.name, "--ignore: it has no column names. Expected a header (unknown_column).")
    if len(cells) != header.width:
        expected = f"a header, or the {header.width} columns {', '.join(header.columns)}"
        raise refused(source.name, f"Line 1 has no column names and {len(cells)} fields. Expected: {expected}.")
    return header


def open_text(source: Source) -> TextIO:
    """The file's characters."""
    # A byte order mark is dropped; bytes that are no UTF-8 become surrogates and are reported with their line.
    return source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def records(file: TextIO) -> Iterator[tuple[int, list[str] | str]]:
    """(line number, cells) of each line in which anything stands; in place of the cells the reason where it can't be
    read.

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
        cells = _cells(text, is_whole)
        if text.strip(_BLANK) or isinstance(cells, str) or any(map(str.strip, cells)):
            yield number, cells


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


def _csv_blocks(
    source: Source, header: Header, declaration: Declaration, has_header: bool, read_keys: ReadKeys | None
) -> Iterator[Block]:
    with open_text(source) as file:
        read = records(file)
        if has_header:
            next(read)
        while lines := list(itertools.islice(read, BLOCK_ROWS)):
            yield _parse_block(header, declaration, lines, read_keys)


def _parse_block(
    header: Header, declaration: Declaration, lines: list[tuple[int, list[str] | str]], read_keys: ReadKeys | None
) -> Block:
    rows: list[Row] = []
    bad: list[BadLine] = []
    at, width = dict(zip(header.columns, header.positions, strict=True)), header.width
    columns = tuple(name for name in at if name not in KEYS)
    ordered = in_order(columns, known_columns(declaration))
    categories = {each.name: each for each in declaration.features if each.kind == "category"}
    id_at = columns.index("id") if "id" in columns else None
    kept = [at[name] for name in columns] if len(columns) < width else None
    for line, cells in lines:
        if isinstance(cells, str):
            bad.append(BadLine(line, cells))
            continue
        if len(cells) != width:
            bad.append(BadLine(line, "wrong_field_count"))
            continue
        keys = () if read_keys is None else read_keys(line, cells)
        if isinstance(keys, BadLine):
            bad.append(keys)
            continue
        if kept is not None:
            cells = [cells[n] for n in kept]  # noqa: PLW2901 (an ignored cell may hold anything)
        parsed = _parse_plain(cells, id_at) or _parse_cells(line, columns, cells, categories)
        if isinstance(parsed, BadLine):
            bad.append(parsed)
        else:
            rows.append((line, *ordered(parsed), *keys))
    return checked(rows, bad, declaration.features)


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


def _parse_cells(
    line: int, columns: tuple[str, ...], cells: Sequence[str], categories: Mapping[str, Feature]
) -> list[Cell] | BadLine:
    parsed: list[Cell] = []
    for column, cell in zip(columns, cells, strict=True):
        if cell == "":
            parsed.append(None)
            continue
        value = _parse_code(categories[column], cell) if column in categories else _parse_cell(column, cell)
        if isinstance(value, str):
            return BadLine(line, value, column)
        parsed.append(value)
    return parsed


def _parse_code(feature: Feature, cell: str) -> float | int | str:
    """A category's code, given as itself or by its label, or the reason why it is none."""
    if (code := code_of_label(feature, cell)) is not None:
        return code
    value = _parse_cell(feature.name, cell)
    return UNKNOWN_CODE if value == "not_a_number" else value


def _parse_cell(column: str, cell: str) -> float | int | str:
    """A number, or the reason why it is none. An id keeps all its digits, which a float would not."""
    if len(cell) > LONGEST_FIELD:
        return "field_too_long"
    if not cell.isascii():
        return "not_utf8" if is_not_utf8(cell) else "not_a_number"
    if column == "id":
        stripped = cell.strip()
        return int(stripped) if stripped.isdigit() and len(stripped) < 20 else "bad_id"
    try:
        value = float(cell)
    except ValueError:
        return "nul_byte" if "\0" in cell else "not_a_number"
    return "not_a_number" if "_" in cell else value
