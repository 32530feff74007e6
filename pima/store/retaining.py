"""Finding and deleting what is old and serves for nothing any more, a window of the key at a time.

A prediction or a rejection serves as long as its version lives: the row is there, has that version, and its outcome is
not known. No version comes to life a second time, so that what is found may be deleted later, without a lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, and_, delete, exists, false, func, not_, or_, select, text, tuple_
from sqlalchemy.sql.elements import ColumnElement

from pima.store.database import database_of
from pima.store.runs import IS_REAL, ROW_RESULTS, SUMS_OF_ROWS, Status
from pima.store.tables import monitoring, patients, predictions, rejections, removed_runs, runs, tallies

JOBS = ("score", "pull", "retain")
"""Whose runs may go. Those of retraining tell how often the holdout was asked, and stand behind versions and verdicts:
one a week."""


@dataclass(frozen=True, slots=True)
class Old:
    """What of a table is to go."""

    table: Table
    is_over: ColumnElement[bool]
    """It serves for nothing, and will not again."""
    time: Column[datetime]
    """What tells how old a row is."""
    cutoff: datetime

    @property
    def condition(self) -> ColumnElement[bool]:
        """What is to go by today's cutoff."""
        return and_(self.is_over, self.time < self.cutoff)

    @property
    def key(self) -> ColumnElement[int]:
        """The first column of the key, by which the table is walked through."""
        return next(iter(self.table.primary_key.columns))


def what_is_old(connection: Connection, cutoff: datetime) -> dict[str, Old]:
    """By table; predictions before rejections, which say of a deleted row's older prediction that it is superseded."""
    return {
        "predictions": Old(predictions, _is_dead(predictions), predictions.c.scored_at, cutoff),
        "rejections": Old(rejections, _is_dead(rejections), rejections.c.rejected_at, cutoff),
        "runs": Old(runs, _are_over(connection), runs.c.heartbeat_at, cutoff),
    }


def _is_dead(table: Table) -> ColumnElement[bool]:
    same = (patients.c.id == table.c.patient_id, patients.c.version == table.c.patient_version)
    return not_(exists().where(*same, patients.c.outcome.is_(None)))


def _are_over(connection: Connection) -> ColumnElement[bool]:
    """Of runs that health, scheduler and metrics have no need of: of their job a later one has succeeded, and a later
    tick has come. Of pulls only one that a scheduler began tells of all sources."""
    is_success = IS_REAL & (runs.c.status == Status.SUCCEEDED)
    is_whole = (runs.c.job != "pull") | runs.c.scheduled_for.is_not(None)
    ticks = dict(connection.execute(select(runs.c.job, func.max(runs.c.scheduled_for)).group_by(runs.c.job)).all())
    newest = select(runs.c.job, func.max(runs.c.id)).where(is_success & is_whole, runs.c.job.in_(JOBS))
    over = [
        and_(
            runs.c.job == job,
            runs.c.id < last,
            or_(runs.c.scheduled_for.is_(None), false() if ticks[job] is None else runs.c.scheduled_for < ticks[job]),
        )
        for job, last in connection.execute(newest.group_by(runs.c.job))
    ]
    return and_(runs.c.status != Status.RUNNING, or_(false(), *over))


def end_of_window(connection: Connection, old: Old, after: int, rows: int) -> int | None:
    """The key up to which there are so many rows behind `after`, or all that there are; None where there are none."""
    behind = select(old.key).where(old.key > after).order_by(old.key)
    found = connection.scalar(behind.offset(rows - 1).limit(1))
    return connection.scalar(select(func.max(old.key)).where(old.key > after)) if found is None else found


@dataclass(frozen=True, slots=True)
class Window:
    """Rows whose keys lie behind one number and up to another."""

    old: Old
    after: int
    last: int

    @property
    def _condition(self) -> ColumnElement[bool]:
        return and_(self.old.key > self.after, self.old.key <= self.last, self.old.condition)

    def count(self, connection: Connection) -> int:
        """How many of them are to go."""
        database_of(connection).join_by_index(connection)
        counted = select(func.count()).select_from(self.old.table).where(self._condition)
        return int(connection.execute(counted).scalar_one())

    def read(self, connection: Connection) -> list[tuple[Any, ...]]:
        """Those, in the order of the key."""
        database_of(connection).join_by_index(connection)
        ordered = select(self.old.table).where(self._condition).order_by(*self.old.table.primary_key.columns)
        return [tuple(row) for row in connection.execute(ordered)]

    def delete(self, connection: Connection) -> int:
        """Have them gone; how many there were."""
        return _delete(connection, self.old, self._condition)


@dataclass(frozen=True, slots=True)
class Moved:
    """Some rows of a file."""

    keys: Sequence[tuple[int, ...]]
    newest: datetime
    """The time of the newest row of all in the file."""


def delete_rows(connection: Connection, old: Old, moved: Moved) -> int:
    """Have these rows gone: they were old when the file was made, whatever the cutoff is now; how many there were."""
    columns = tuple_(*old.table.primary_key.columns)
    # A database that was restored gives keys out again that a file has: to rows that are newer, and in no file.
    return _delete(connection, old, and_(columns.in_(moved.keys), old.time <= moved.newest, old.is_over))


def _delete(connection: Connection, old: Old, condition: ColumnElement[bool]) -> int:
    if old.table is runs:
        _keep_sums(connection, condition)
        _delete_figures(connection, condition)
    database_of(connection).join_by_index(connection)
    return connection.execute(delete(old.table).where(condition)).rowcount


def _keep_sums(connection: Connection, condition: ColumnElement[bool]) -> None:
    """What metrics count goes on growing, whatever runs are gone."""
    gone = select(runs.c.job, runs.c.status, func.count(), *map(text, SUMS_OF_ROWS)).where(condition, IS_REAL)
    for job, status, *counts in connection.execute(gone.group_by(runs.c.job, runs.c.status)).all():
        new = dict(zip(("runs", *ROW_RESULTS), map(int, counts), strict=True))
        made = database_of(connection).insert_unless_there(removed_runs, ("job", "status"))
        connection.execute(made.values(job=job, status=status, **dict.fromkeys(new, 0)))
        of_it = (removed_runs.c.job == job, removed_runs.c.status == status)
        grown = {name: removed_runs.c[name] + count for name, count in new.items()}
        connection.execute(removed_runs.update().where(*of_it).values(**grown))


def _delete_figures(connection: Connection, condition: ColumnElement[bool]) -> None:
    """What nights are compared with reaches back a week; the report shows no night older than its run."""
    gone = select(runs.c.id).where(condition)
    for table in (tallies, monitoring):
        connection.execute(delete(table).where(table.c.run_id.in_(gone)))
