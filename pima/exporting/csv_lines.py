"""Rows as CSV that a spreadsheet may open: it runs no cell of it."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from pima.store.exported import Column

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that is taken for a formula, or hides one; in full width, too."""


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
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value


def text_cell(text: str) -> str:
    """With an apostrophe before it where a spreadsheet would run it; and where it has one already, so that whoever
    takes one away from each text that begins with one has all texts as they were."""
    return f"'{text}" if text.startswith((*RUN_BY_SPREADSHEETS, "'")) else text


def in_utc(moment: datetime) -> str:
    """As ISO 8601 with a Z."""
    return moment.isoformat().replace("+00:00", "Z")
