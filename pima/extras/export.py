"""Table rows as files, read block by block: CSV or Parquet."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Literal

from sqlalchemy import ColumnElement, Engine

from pima.runs.stop_request import StopRequest
from pima.store.engine import reading, without_time_limit
from pima.store.models.registry import newest_declaration
from pima.store.rows.exported import EXPORTS, exported_rows, with_values

Format = Literal["csv", "parquet"]

_RUN = "=+\\-@＝＋－＠"
"""Characters, also full-width ones, that make a spreadsheet read a cell as a formula; for a regular
expression."""
# In locales with a decimal comma, semicolons separate cells, and a quote inside a cell groups
# nothing.
_BEGINNINGS = re.compile(rf"""\A(?=[{_RUN}'\t\r\n])|(?<=[;\t\r\n])(?="*[{_RUN}]|')""")
_WITHIN_A_DOCUMENT = re.compile(rf"(?<=;)[{_RUN}]")


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export."""

    exported: str
    """The name in `EXPORTS`."""
    format: Format
    since: str | None
    """The earliest moment in ISO 8601, UTC; None for all rows."""
    rows: int


def export(
    engine: Engine,
    what: str,
    form: Format,
    since: datetime | None,
    file: BinaryIO,
    stop: StopRequest,
    values: bool = False,
) -> Exported:
    """Write the rows since a moment, all from one state of the database; with `values` those that
    predictions were made from. Raises Interrupted."""
    rows = 0
    asked = EXPORTS[what]

    def counted(blocks: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        nonlocal rows
        for block in blocks:
            stop.check()
            rows += len(block)
            yield block

    with reading(engine) as connection:
        without_time_limit(connection)
        if values:
            asked = with_values(asked, newest_declaration(connection))
        blocks = counted(exported_rows(connection, asked, since))
        match form:
            case "csv":
                write_csv(file, asked.columns, blocks)
            case "parquet":
                from pima.store.rows.parquet_rows import (
                    write_parquet,  # imports pyarrow, which other formats do not need
                )

                write_parquet(file, asked.columns, blocks)
    return Exported(what, form, None if since is None else since.isoformat(), rows)


def write_csv(
    file: BinaryIO, columns: Sequence[ColumnElement[Any]], blocks: Iterable[Sequence[Any]]
) -> None:
    """Write a header and a line for each row, in UTF-8; no cell is a formula to a spreadsheet."""
    lines = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(column.key for column in columns)
    for block in blocks:
        writer.writerows([_cell(value) for value in row] for row in block)
    lines.detach()


def _cell(value: Any) -> Any:
    """Write numbers unchanged, None as nothing, and texts so that they stay texts."""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (dict, list)):
        return document_cell(value)
    return value


def text_cell(text: str) -> str:
    """Put an apostrophe wherever a spreadsheet could read the rest as a cell and run it. An
    apostrophe at such a place is doubled, so removing one from each place restores the original
    text."""
    return _BEGINNINGS.sub("'", text)


def document_cell(document: dict[str, Any] | list[Any]) -> str:
    """Write a document as JSON, with characters that could begin a formula escaped."""
    written = json.dumps(document, sort_keys=True)
    return _WITHIN_A_DOCUMENT.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _in_utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
