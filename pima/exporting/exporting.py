"""From the tables to a file, a block at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Literal

from sqlalchemy import Connection, Engine

from pima.exporting.csv_lines import write_csv
from pima.process.stopping import StopRequest
from pima.store.declarations import newest_declaration
from pima.store.engine import reading, without_time_limit
from pima.store.exported import EXPORTS, Column, exported_rows

Format = Literal["csv", "parquet", "fhir"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported."""

    exported: str
    """Of what, by its name in `EXPORTS`."""
    format: Format
    since: str | None
    """As ISO 8601, in UTC; None for all."""
    rows: int


@dataclass(slots=True)
class _Counted:
    """Blocks that are counted as they pass; a boundary before each."""

    blocks: Iterable[Sequence[Any]]
    stop: StopRequest
    rows: int = 0

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for block in self.blocks:
            self.stop.check()
            self.rows += len(block)
            yield block


def export(
    engine: Engine, what: str, form: Format, since: datetime | None, file: BinaryIO, stop: StopRequest
) -> Exported:
    """Write the rows of a moment and later, all of one state of the database. Raises Interrupted."""
    with reading(engine) as connection:
        without_time_limit(connection)
        counted = _Counted(exported_rows(connection, EXPORTS[what], since), stop)
        _write(connection, form, file, EXPORTS[what].columns, counted)
    return Exported(what, form, None if since is None else since.isoformat(), counted.rows)


def _write(
    connection: Connection, form: Format, file: BinaryIO, columns: Sequence[Column], blocks: Iterable[Sequence[Any]]
) -> None:
    if form == "csv":
        write_csv(file, columns, blocks)
    elif form == "parquet":
        from pima.exporting.parquet_file import write_parquet  # pyarrow, which the others do without

        write_parquet(file, columns, blocks)
    else:
        from pima.exporting.risk_assessments import write_risk_assessments

        outcome = newest_declaration(connection).outcome
        write_risk_assessments(file, columns, blocks, outcome.meaning or outcome.name)
