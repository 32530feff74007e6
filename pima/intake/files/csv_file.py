"""Patients in CSV: with a header, or without one in the declared columns and the outcome, as in the
article's file."""

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import pandas as pd
import pyarrow as pa

from pima.core.declared.features import Declaration, is_number
from pima.intake.files.header import Header, read_header
from pima.intake.files.opened_file import OpenedFile, refused
from pima.intake.raw_rows import BLOCK_ROWS, BadLine, RawBlock

LONGEST_LINE = 1_000_000
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_BLANK = ' \t,"'
_BLANK_LINE = f"{_BLANK}\r\n"


def open_csv(
    file: OpenedFile, declaration: Declaration, ignored: Sequence[str]
) -> tuple[Header, Callable[[], Iterator[RawBlock]]]:
    """Find the columns to read; return them with a function that reads the file's rows. Raises
    FileRefused."""
    first = first_line(file, "rows of patients")
    has_header = not all(map(is_number, first))
    header = (
        read_header(file.name, first, declaration, ignored)
        if has_header
        else _bare_header(file, first, declaration, ignored)
    )
    return header, lambda: csv_blocks(file, header.positions, header.width, has_header)


def first_line(file: OpenedFile, expected: str) -> list[str]:
    """The cells of the first line that is not blank. Raises FileRefused."""
    with open_text(file) as content:
        lines = Lines(file, content)
        first = None
        while first is None and (block := lines.block(1)):
            first = next((cells for _, cells in lines.records(block)), None)
    if first is None:
        raise refused(
            file.name, f"The file holds nothing but blank lines (empty_file). Expected {expected}."
        )
    for delimiter, name in _OTHER_DELIMITERS.items():
        if block[0].count(delimiter) > block[0].count(","):
            report = f"Line 1 seems to be separated by {name} (wrong_delimiter)."
            raise refused(
                file.name,
                f"{report} Expected commas, and points in decimals: save it again with these.",
            )
    if isinstance(first, str):
        raise refused(file.name, f"The first line can't be read ({first}).")
    return first


def _bare_header(
    file: OpenedFile, cells: list[str], declaration: Declaration, ignored: Sequence[str]
) -> Header:
    """The features in their order, and the outcome."""
    columns = (*declaration.names, "outcome")
    if ignored:
        raise refused(
            file.name, "--ignore: it has no column names. Expected a header (unknown_column)."
        )
    if len(cells) != len(columns):
        expected = f"a header, or the {len(columns)} columns {', '.join(columns)}"
        raise refused(
            file.name, f"Line 1 has no column names and {len(cells)} fields. Expected: {expected}."
        )
    return Header(columns, tuple(range(len(columns))), len(columns))


def open_text(file: OpenedFile) -> TextIO:
    """Open a file as text."""
    # A byte order mark is dropped; bytes that are not UTF-8 become surrogates and are reported with
    # their line.
    return file.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class Lines:
    """The lines of a file, each a record of its own: no patient's row holds a line break, and a
    quote that is never closed must not swallow the rows after it."""

    def __init__(self, file: OpenedFile, content: TextIO) -> None:
        self._file = file
        self._content = content
        self._number = 0

    def block(self, rows: int) -> list[str]:
        """Read the next lines, at most `rows`, unchanged; none at the end. Raises FileRefused."""
        return list(itertools.islice(iter(self._next, ""), rows))

    def _next(self) -> str:
        line = self._content.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:  # an endless line must not fill the memory
            raise refused(
                self._file.name, f"A line has {LONGEST_LINE:,} characters or more (field_too_long)."
            )
        return line

    def numbers(self, lines: Sequence[str]) -> range:
        """The numbers of a block's lines."""
        first = self._number + 1
        self._number += len(lines)
        return range(first, first + len(lines))

    def records(self, lines: Sequence[str]) -> Iterator[tuple[int, list[str] | str]]:
        """Yield (line number, cells) for each line of a block that is not blank; instead of the
        cells the reason, if it can't be read."""
        for number, line in zip(self.numbers(lines), lines, strict=True):
            text = line.rstrip("\r\n")
            cells = _cells(text, line.endswith(("\n", "\r")))
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
    if not is_whole and cells[-1] == "":
        return "half_written_line"
    return cells


def csv_blocks(
    file: OpenedFile,
    positions: Sequence[int],
    width: int,
    has_header: bool,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[RawBlock]:
    """Read the rows, block by block: the cells at these positions, as text."""
    with open_text(file) as content:
        lines = Lines(file, content)
        while has_header and not list(lines.records(lines.block(1))):
            pass
        while block := lines.block(block_rows):
            if (cells := _plain_cells(block, width)) is not None:
                columns = [cells[at : len(block) * width : width] for at in positions]
                yield RawBlock(_frame(columns, lines.numbers(block)), [])
            else:
                yield _rows(list(lines.records(block)), positions, width)


def _plain_cells(lines: Sequence[str], width: int) -> list[str] | None:
    """Split all lines into cells at once, line after line, in a fraction of the time; None if any
    line needs a closer look."""
    text = "".join(lines)
    is_plain = '"' not in text and text.endswith("\n")
    if not is_plain or not all(
        line.count(",") == width - 1 and line.strip(_BLANK_LINE) for line in lines
    ):
        return None
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        return None
    return text.replace("\n", ",").split(",")


def _rows(
    records: Sequence[tuple[int, list[str] | str]], positions: Sequence[int], width: int
) -> RawBlock:
    lines: list[int] = []
    good: list[list[str]] = []
    bad: list[BadLine] = []
    for line, cells in records:
        if isinstance(cells, str):
            bad.append(BadLine(line, cells))
        elif len(cells) != width:
            bad.append(BadLine(line, "wrong_field_count"))
        else:
            lines.append(line)
            good.append(cells)
    columns = list(zip(*good, strict=True)) or [()] * width
    return RawBlock(_frame([columns[at] for at in positions], lines), bad)


def _frame(columns: Sequence[Sequence[str]], lines: Sequence[int]) -> pd.DataFrame:
    index = pd.Index(lines, dtype="int64")
    return pd.DataFrame({n: _texts(column, index) for n, column in enumerate(columns)}, index=index)


def _texts(column: Sequence[str], index: pd.Index) -> pd.Series:
    try:
        return pd.Series(pd.array(pa.array(column, pa.large_string()), dtype="str"), index=index)
    except (UnicodeEncodeError, pa.ArrowInvalid):  # bytes that are not UTF-8
        return pd.Series(column, index=index, dtype=object)
