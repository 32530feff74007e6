"""Rows as CSV that a spreadsheet may open: it runs no cell of it."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from pima.store.exported import Column

_RUN = "=+\\-@＝＋－＠"
"""What a cell begins with that is taken for a formula; in full width, too. As a regular expression has it."""
# Where a comma is the decimal sign, semicolons divide cells, and a quote that begins no cell holds nothing together.
_BEGINNINGS = re.compile(rf"""\A(?=[{_RUN}'\t\r\n])|(?<=[;\t\r\n])(?="*[{_RUN}]|')""")
_WITHIN_A_DOCUMENT = re.compile(rf"(?<=;)[{_RUN}]")


def write_csv(file: BinaryIO, columns: Sequence[Column], blocks: Iterable[Sequence[Any]]) -> None:
    """A header and a line a row, in UTF-8."""
    lines = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    for block in blocks:
        writer.writerows([_cell(value) for value in row] for row in block)
    lines.detach()


def _cell(value: Any) -> Any:
    """Numbers as they are, nothing as nothing, texts so that they stay texts."""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, datetime):
        return in_utc(value)
    if isinstance(value, bool):
        return json.dumps(value)
    return document_cell(value) if isinstance(value, (dict, list)) else value


def text_cell(text: str) -> str:
    """With an apostrophe wherever a spreadsheet could take what follows for the beginning of a cell and run it; and
    where one stands there already, so that whoever takes one away from each such place has all texts as they were."""
    return _BEGINNINGS.sub("'", text)


def document_cell(document: dict[str, Any] | list[Any]) -> str:
    """As JSON, in which such a character is written as its number."""
    written = json.dumps(document, sort_keys=True)
    return _WITHIN_A_DOCUMENT.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def in_utc(moment: datetime) -> str:
    """As ISO 8601 with a Z."""
    return moment.isoformat().replace("+00:00", "Z")
