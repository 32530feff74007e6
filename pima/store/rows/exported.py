"""Exports: the rows of a table since a moment, to be written to files; blocks keep memory
bounded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    column,
    or_,
    select,
    table,
    text,
)

from pima.core.declared.columns import of_kind
from pima.core.declared.features import Declaration
from pima.store.database import Id, Key, Real
from pima.store.rows.predicted_on import predicted_values, value_of
from pima.store.tables import (
    declared_columns,
    prediction_scores,
    predictions,
    promotions,
    rejections,
    row_keys,
    runs,
    with_features,
)

_BLOCK_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Export:
    """The columns and rows of an export."""

    columns: tuple[ColumnElement[Any], ...]
    """Cells are None or, by the column's type, float, int, bool, str, a datetime in UTC, or a
    dict."""
    tables: FromClause
    moment: ColumnElement[Any]
    """The column that gives a row's time."""
    order: tuple[ColumnElement[Any], ...]
    """A key of the table, so that no rows are sorted in memory."""


def _of_current_predictions() -> Export:
    """The current prediction of each row that has any."""
    shown = _CURRENT.c
    return Export(_told_of(shown, shown.superseded), _CURRENT, shown.scored_at, (shown.patient_id,))


def _of_all_predictions() -> Export:
    """All predictions, including those that another one has replaced."""
    every = predictions.c
    newest = _CURRENT.c
    joined = predictions.join(_CURRENT, newest.patient_id == every.patient_id)
    # The current prediction is that of the newest version with a prediction.
    is_superseded = or_(newest.superseded, every.patient_version != newest.patient_version).label(
        "superseded"
    )
    return Export(
        _told_of(every, is_superseded),
        joined,
        every.scored_at,
        tuple(predictions.primary_key.columns),
    )


def _told_of(predicted: Any, superseded: ColumnElement[bool]) -> tuple[ColumnElement[Any], ...]:
    names = [each.name for each in predictions.c if each.name != "patient_id"]
    whose = (_CURRENT.c[name] for name in of_kind("key"))
    return (
        predicted.patient_id,
        *whose,
        *(predicted[name] for name in names),
        superseded,
        _CURRENT.c.deleted,
        _CURRENT.c.suspended,
    )


# A role that reads predictions may read this view, with everything it may know about whose each one
# is.
_CURRENT = table(
    "current_predictions",
    *(column(each.name, each.type) for each in predictions.c),
    *(column(name, Key()) for name in of_kind("key")),
    *(column(name, Boolean()) for name in ("superseded", "deleted", "suspended")),
)


def _with_keys(told: Table, moment: ColumnElement[Any]) -> Export:
    """The rows of a table, with the source and source key of patients that have them."""
    called = row_keys.c
    others = [each for each in told.c if each.name != "patient_id"]
    joined = told.outerjoin(row_keys, called.patient_id == told.c.patient_id)
    columns = (told.c.patient_id, called.source, called.source_key, *others)
    return Export(columns, joined, moment, tuple(told.primary_key.columns))


ALL_PREDICTIONS = "all predictions"
EXPORTS = {
    "predictions": _of_current_predictions(),
    ALL_PREDICTIONS: _of_all_predictions(),
    "rejections": _with_keys(rejections, rejections.c.rejected_at),
    "scores": _with_keys(prediction_scores, prediction_scores.c.scored_at),
    "runs": Export(tuple(runs.c), runs, runs.c.started_at, (runs.c.id,)),
    # Evidence is shown for one verdict at a time, by `models show` and `models card`.
    "verdicts": Export(
        tuple(each for each in promotions.c if each.name != "evidence"),
        promotions,
        promotions.c.decided_at,
        (promotions.c.id,),
    ),
}
"""The exports by name."""


def with_values(export: Export, declared: Declaration) -> Export:
    """Add the values of the features that each prediction was made from, empty where they are no
    longer kept; and the groups of the row as it stands."""
    key = predictions.primary_key.columns.keys()
    names = [value_of(name) for name in declared.columns]
    types = dict.fromkeys(key, Id()) | dict.fromkeys(names, Real())
    made = text(predicted_values(declared.columns)).columns(**types).subquery("made_from")
    told = {column.key: column for column in export.columns}
    of_it = and_(*(made.c[name] == told[name] for name in key))
    now = with_features((), declared_columns(declared)).tables["patients"]
    tables = export.tables.outerjoin(made, of_it)
    tables = tables.outerjoin(now, now.c.id == told["patient_id"])
    groups = [now.c[name].label(f"group_{name}") for name in declared.group_columns]
    values = [made.c[name] for name in names]
    return replace(export, columns=(*export.columns, *values, *groups), tables=tables)


def exported_rows(
    connection: Connection, export: Export, since: datetime | None
) -> Iterator[Sequence[Any]]:
    """Read blocks of rows, each a tuple of cells in the columns' order, from one state of the
    database."""
    # A server keeps the result and sends it block by block.
    streamed = connection.execution_options(yield_per=_BLOCK_ROWS)
    yield from streamed.execute(statement_of(export, since)).partitions()


def statement_of(export: Export, since: datetime | None) -> Select[Any]:
    """The SELECT of an export."""
    statement: Select[Any] = (
        select(*export.columns).select_from(export.tables).order_by(*export.order)
    )
    return statement if since is None else statement.where(export.moment >= since)
