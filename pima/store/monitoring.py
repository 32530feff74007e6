"""The figures of the runs: a row a run, feature and figure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, select, text

from pima.core.watched import LAST_NIGHTS, NIGHT, WEEK, WEEKS, Watched
from pima.store.runs import DRY_RUN, Status
from pima.store.tables import monitoring
from pima.store.types import Timestamp

EACH_RUN, EACH_NIGHT, EACH_RETRAINING = NIGHT, "predicted_positive", "realised_accuracy"
"""Figures that every run of scoring leaves, every one that took rows, and every retraining."""
_FIELDS = ("feature", "figure", "value", "low", "high", "rows", "reference", "allowed", "state")


def keep_figures(connection: Connection, run_id: int, version: int, figures: Iterable[Watched]) -> None:
    """Of a run that ends, and of the version that it is about."""
    of_run = {"run_id": run_id, "model_version": version}
    rows = [of_run | {name: getattr(each, name) for name in _FIELDS} for each in figures]
    if rows:
        connection.execute(insert(monitoring), rows)


_SLACK = timedelta(hours=1)
"""A run of the same time of day may have begun a little later."""
_DAY = timedelta(days=1)
_DAYS = 7 * (WEEKS + LAST_NIGHTS)


def rows_of_nights(connection: Connection, now: datetime) -> dict[int, int]:
    """How many rows the runs of each night took, by how many nights ago; 0 is tonight. A night is the 24 hours to an
    hour behind this time of day. One in which no run succeeded may have left rows waiting, so it is not among them."""
    end = now + _SLACK
    # What a run took before it failed counts where another succeeded, which took only the rest.
    statement = text(f"""
        SELECT started_at, status, coalesce(CAST(counts ->> 'claimed' AS BIGINT), 0) FROM runs
        WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at > :since AND started_at <= :until""")
    # Runs from when a clock was ahead would be tonight's for as long as it was.
    since, until = bindparam("since", end - _DAYS * _DAY, Timestamp()), bindparam("until", end, Timestamp())
    bound = statement.columns(started_at=Timestamp()).bindparams(since, until)
    taken: Counter[int] = Counter()
    complete: set[int] = set()
    for started_at, status, rows in connection.execute(bound):
        night = (end - started_at) // _DAY
        taken[night] += int(rows)
        if status == Status.SUCCEEDED:
            complete.add(night)
    return {night: taken[night] for night in complete}


@dataclass(frozen=True, slots=True)
class KeptFigure:
    """A row of the table; each field is the column of its name."""

    run_id: int
    model_version: int
    feature: str
    figure: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    reference: float | None
    allowed: float | None
    state: str
    recorded_at: datetime


def newest_figures(connection: Connection) -> list[KeptFigure]:
    """The newest volumes, the newest figures of a night that had rows, and the newest of what came true."""
    volume, night, realised = (_newest_run(connection, figure) for figure in (EACH_RUN, EACH_NIGHT, EACH_RETRAINING))
    columns = [monitoring.c[name] for name in KeptFigure.__dataclass_fields__]
    statement = select(*columns).where(monitoring.c.run_id.in_([volume, night, realised]))
    order = (monitoring.c.run_id, monitoring.c.model_version, monitoring.c.feature, monitoring.c.figure)
    found = [KeptFigure(*row) for row in connection.execute(statement.order_by(*order))]
    return [each for each in found if each.figure not in (NIGHT, WEEK) or each.run_id == volume]


def _newest_run(connection: Connection, figure: str) -> int:
    """The last one that left this figure; 0 where none has."""
    # Backwards over the key: the next such row is a night or a week away.
    newest = select(monitoring.c.run_id).where(monitoring.c.figure == figure).order_by(monitoring.c.run_id.desc())
    return connection.execute(newest.limit(1)).scalar() or 0
