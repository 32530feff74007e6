"""What people take away as files: the rows of a table from a moment on, in blocks that are never all in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, Select, select

from pima.store.tables import predictions, promotions, rejections, row_keys, runs
from pima.store.types import Json, Real, Timestamp

BLOCK_ROWS = 5_000

Kind = Literal["number", "whole number", "text", "moment", "document"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export."""

    name: str
    kind: Kind
    """What its cells are, where they are not None: float, int, str, a datetime in UTC, or a dict."""


@dataclass(frozen=True, slots=True)
class Export:
    """What of the tables goes into an export."""

    expressions: tuple[ColumnElement[Any], ...]
    tables: FromClause
    moment: ColumnElement[Any]
    """By which rows are of a time."""
    order: tuple[ColumnElement[Any], ...]
    """A key of the table, so that no rows have to be sorted in memory."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """In their order."""
        return columns_of(self.expressions)


def columns_of(expressions: Iterable[ColumnElement[Any]]) -> tuple[Column, ...]:
    """What they are called and hold."""
    return tuple(Column(each.key or "", _kind(each)) for each in expressions)


def _kind(expression: ColumnElement[Any]) -> Kind:
    for kind, of_kind in {"number": Real, "moment": Timestamp, "document": Json}.items():
        if isinstance(expression.type, of_kind):
            return kind  # type: ignore[return-value]
    return "whole number" if expression.type.python_type is int else "text"


def _of_rows(table: Any, moment: str, left_out: Sequence[str] = ()) -> Export:
    """Rows about patients, with what those are called in their source, where they have one."""
    ids, others = table.c.patient_id, [each for each in table.c if each.name not in {"patient_id", *left_out}]
    joined = table.outerjoin(row_keys, row_keys.c.patient_id == ids)
    columns = (ids, row_keys.c.source, row_keys.c.source_key, *others)
    return Export(columns, joined, table.c[moment], tuple(table.primary_key.columns))


EXPORTS = {
    "predictions": _of_rows(predictions, "scored_at"),
    "rejections": _of_rows(rejections, "rejected_at"),
    "runs": Export(tuple(runs.c), runs, runs.c.started_at, (runs.c.id,)),
    # The evidence is for one verdict at a time: `models show` and `models card` have it.
    "verdicts": Export(
        tuple(each for each in promotions.c if each.name != "evidence"),
        promotions,
        promotions.c.decided_at,
        (promotions.c.id,),
    ),
}
"""By what they are asked for."""


def exported_rows(connection: Connection, export: Export, since: datetime | None) -> Iterator[Sequence[Any]]:
    """Blocks of rows, each a tuple of cells in the columns' order, all of one state of the database."""
    statement: Select[Any] = select(*export.expressions).select_from(export.tables).order_by(*export.order)
    if since is not None:
        statement = statement.where(export.moment >= since)
    # On the server's side where there is a server.
    yield from connection.execution_options(yield_per=BLOCK_ROWS).execute(statement).partitions()
