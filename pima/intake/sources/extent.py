"""The extent of a pull: all of a source, or the rows that have changed by the source's own times.

A part is enough only if the last pull of all rows was completed, by the same settings and at most a
week ago: such a pull finds what the times do not show. The next pull continues from the highest
time of change, or from the present if that is earlier: a single row dated ahead must not hide later
changes. It reads some time before that again: a transaction may become visible after others that
wrote a later time, and a clock without a zone is set back in autumn.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Literal

from pima.store.service.sources import LastPull

Moment = datetime | date
Bound = Moment | str
"""The time from which rows are read, as the column has it: a text if the column holds texts."""

_OVERLAP = timedelta(minutes=15)
_OVERLAP_WITHOUT_ZONE = timedelta(hours=2)
_OVERLAP_OF_DAYS = timedelta(days=1)
_FARTHEST_WEST = timedelta(hours=12)
"""The most that a local clock may be behind UTC."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest time of change that a source has."""

    moment: Moment
    """A time with a zone, one without, or a day."""
    is_text: bool = False
    """Whether the column holds texts. Some may have a T or a zone and others not, so only their
    days sort reliably."""

    def kept(self, now: datetime) -> str:
        """The text to store for the next pull: this time, or the present if that is earlier."""
        return min(self.moment, self._present(now)).isoformat()

    def bound_after(self, kept: str, now: datetime) -> Bound | None:
        """The time to read from if the last pull reached `kept`; None if that says nothing now:
        this mark is earlier, the column is of another kind, or `kept` lies in the future."""
        reached = self._read(kept)
        if reached is None or self.moment < reached or reached > self._present(now):
            return None
        try:
            bound = reached - _overlap(reached)
        except OverflowError:  # .NET's unset time is the first of the year 1
            return None
        return bound.isoformat() if self.is_text else bound

    def _present(self, now: datetime) -> Moment:
        """The earliest time that a clock like the column's can show now."""
        if _has_zone(self.moment):
            return now
        earliest = now.astimezone(UTC).replace(tzinfo=None) - _FARTHEST_WEST
        if isinstance(self.moment, datetime):
            return earliest
        return earliest.date()

    def _read(self, kept: str) -> Moment | None:
        kind = datetime if isinstance(self.moment, datetime) else date
        try:
            found = kind.fromisoformat(kept)
        except ValueError:
            return None
        # datetime.fromisoformat reads a day, too.
        if found.isoformat() == kept and _has_zone(found) == _has_zone(self.moment):
            return found
        return None


def change_mark(value: object) -> Mark | None:
    """Make a mark of the highest value as a driver gives it; None if it is no time."""
    if isinstance(value, date):
        return Mark(value)
    if isinstance(value, str) and _DAY.match(value):
        try:
            return Mark(date.fromisoformat(value[:10]), is_text=True)
        except ValueError:
            return None
    return None


def _overlap(moment: Moment) -> timedelta:
    if not isinstance(moment, datetime):
        return _OVERLAP_OF_DAYS
    return _OVERLAP if _has_zone(moment) else _OVERLAP_WITHOUT_ZONE


def _has_zone(moment: Moment) -> bool:
    return isinstance(moment, datetime) and moment.tzinfo is not None


_WEEK = timedelta(days=6, hours=12)
"""Slightly less than a week, so that a weekly run may begin somewhat earlier than the one
before."""

ExtentName = Literal["all", "changed"]
"""The names of the extents in a pull's result."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All rows of the source, compared with all our rows of it."""

    called: ClassVar[ExtentName] = "all"
    because: str


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """The rows whose time of change is `bound` or later, or unknown; all keys are read, too, to
    find vanished rows."""

    called: ClassVar[ExtentName] = "changed"
    bound: Bound


Extent = Whole | ChangedSince


def extent_of(
    last: LastPull | None, fingerprint: str, now: datetime, mark: Mark | None, asked_for_all: bool
) -> Extent:
    """Choose the smallest extent that is enough. `fingerprint` is that of the settings and the
    declaration now, `now` is our database's time, and `mark` is the highest time of change in the
    source, if it has one."""
    if asked_for_all:
        return Whole("it was asked for")
    if last is None or last.compared_whole_at is None:
        return Whole("no pull of all rows was completed, or the last one was not")
    if last.fingerprint != fingerprint:
        return Whole("its settings or the declaration have changed")
    if last.compared_whole_at > now:
        return Whole("the last pull of all rows has a time in the future, so a clock was wrong")
    if now - last.compared_whole_at >= _WEEK:
        return Whole("the last pull of all rows was a week ago")
    bound = None if mark is None else mark.bound_after(last.changed_up_to or "", now)
    if bound is None:
        return Whole("its times of change don't fit those of the last pull")
    return ChangedSince(bound)
