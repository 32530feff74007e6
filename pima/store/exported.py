"""Exports: the rows of a table from a moment on, for people to take away as files, in blocks that are never all in
memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Connection, FromClause, Select, column, or_, select, table

from pima.core.features import KEYS
from pima.store.database import Key
from pima.store.tables import predictions, promotions, rejections, row_keys, runs

BLOCK_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Export:
    """The columns and rows of an export."""

    columns: tuple[ColumnElement[Any], ...]
    """By their types cells are None or float, int, bool, str, a datetime in UTC, or a dict."""
    tables: FromClause
    moment: ColumnElement[Any]
    """By which rows are of a time."""
    order: tuple[ColumnElement[Any], ...]
    """A key of the table, so that no rows have to be sorted in memory."""


def _of_current_predictions() -> Export:
    """The prediction that counts, of each row that has any."""
    shown = _CURRENT.c
    return Export(_told_of(shown, shown.superseded), _CURRENT, shown.scored_at, (shown.patient_id,))


def _of_all_predictions() -> Export:
    """Each that is there, also those that another one has replaced."""
    every, newest = predictions.c, _CURRENT.c
    joined = predictions.join(_CURRENT, newest.patient_id == every.patient_id)
    # The current one is of the newest version that was predicted.
    is_superseded = or_(newest.superseded, every.patient_version != newest.patient_version).label("superseded")
    return Export(_told_of(every, is_superseded), joined, every.scored_at, tuple(predictions.primary_key.columns))


def _told_of(predicted: Any, superseded: ColumnElement[bool]) -> tuple[ColumnElement[Any], ...]:
    names = [each.name for each in predictions.c if each.name != "patient_id"]
    whose = (_CURRENT.c[name] for name in KEYS)
    return (predicted.patient_id, *whose, *(predicted[name] for name in names), superseded, _CURRENT.c.deleted)


# The view, which whoever reads predictions may read, with all that they may know of whose each is.
_CURRENT = table(
    "current_predictions",
    *(column(each.name, each.type) for each in predictions.c),
    *(column(name, Key()) for name in KEYS),
    *(column(name, Boolean()) for name in ("superseded", "deleted")),
)


def _of_rejections() -> Export:
    """Rejections, with what their rows are called in their source, where they have one."""
    called, others = row_keys.c, [each for each in rejections.c if each.name != "patient_id"]
    joined = rejections.outerjoin(row_keys, called.patient_id == rejections.c.patient_id)
    columns = (rejections.c.patient_id, called.source, called.source_key, *others)
    return Export(columns, joined, rejections.c.rejected_at, tuple(rejections.primary_key.columns))


ALL_PREDICTIONS = "all predictions"
EXPORTS = {
    "predictions": _of_current_predictions(),
    ALL_PREDICTIONS: _of_all_predictions(),
    "rejections": _of_rejections(),
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
    # On the server's side where there is a server.
    streamed = connection.execution_options(yield_per=BLOCK_ROWS)
    yield from streamed.execute(statement_of(export, since)).partitions()


def statement_of(export: Export, since: datetime | None) -> Select[Any]:
    """The SELECT of an export."""
    statement: Select[Any] = select(*export.columns).select_from(export.tables).order_by(*export.order)
    return statement if since is None else statement.where(export.moment >= since)
