"""How much of a source a pull reads: all of it, or what by its own times has changed.

A part is enough only where the last pull of all of it was completed, by the same settings and a week ago at most:
whatever the source's times do not tell is found then. How far those times have come is told by the highest one, or by
the present where that is earlier: a single row that is dated ahead must not hide what is changed until then. Some time
before that is read again: a transaction may become visible after others that wrote a later time, and a clock without a
zone is set back in autumn.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Literal

from pima.store.sources import LastPull

Moment = datetime | date
Bound = Moment | str
"""From where on rows are read, as it is compared with the column: a text with texts."""

_OVERLAP = timedelta(minutes=15)
_OVERLAP_WITHOUT_ZONE = timedelta(hours=2)
_OVERLAP_OF_DAYS = timedelta(days=1)
_FARTHEST_WEST = timedelta(hours=12)
"""By so much a clock on the wall may be behind UTC."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest time of change that a source has."""

    moment: Moment
    """With a zone, without one, or a day."""
    is_text: bool = False
    """Whether the column holds texts. With a T in them or without, with a zone or without, they sort by their days
    alone."""

    def kept(self, now: datetime) -> str:
        """As it is put down for the next pull: itself, or what was present where that is earlier."""
        return min(self.moment, self._present(now)).isoformat()

    def bound_after(self, kept: str, now: datetime) -> Bound | None:
        """From where on rows are read where the last pull came as far as `kept`; None where that says nothing now: this
        mark is before it, the column another, or what was present then is still to come."""
        reached = self._read(kept)
        if reached is None or self.moment < reached or reached > self._present(now):
            return None
        try:
            bound = reached - _overlap(reached)
        except OverflowError:  # .NET's unset time is the first of the year 1
            return None
        return bound.isoformat() if self.is_text else bound

    def _present(self, now: datetime) -> Moment:
        """The earliest that a clock like the column's can show by now."""
        if _has_zone(self.moment):
            return now
        earliest = now.astimezone(UTC).replace(tzinfo=None) - _FARTHEST_WEST
        return earliest if isinstance(self.moment, datetime) else earliest.date()

    def _read(self, kept: str) -> Moment | None:
        kind = datetime if isinstance(self.moment, datetime) else date
        try:
            found = kind.fromisoformat(kept)
        except ValueError:
            return None
        # A day can be read as a time.
        return found if found.isoformat() == kept and _has_zone(found) == _has_zone(self.moment) else None


def reached_before(bound: Bound) -> Bound:
    """The time of change that the pull before came to, where the next one reads from `bound` on; of texts the day."""
    if isinstance(bound, str):
        return (date.fromisoformat(bound) + _OVERLAP_OF_DAYS).isoformat()
    return bound + _overlap(bound)


def mark_of(value: object) -> Mark | None:
    """Of what a driver gives for the highest value; None where it is no time."""
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
"""A weekly run that begins somewhat earlier than the one before is still a week after it."""

Called = Literal["all", "changed"]
"""As the result of a pull names an extent."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the source, beside all of our rows of it."""

    called: ClassVar[Called] = "all"
    because: str


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """The rows whose time of change is from here on, or not known; which have vanished the keys alone tell."""

    called: ClassVar[Called] = "changed"
    bound: Bound


Extent = Whole | ChangedSince


def extent_of(last: LastPull | None, fingerprint: str, now: datetime, mark: Mark | None, asked_for_all: bool) -> Extent:
    """As little as is enough, by the last pull; by the fingerprint of settings and declaration, and the clock of our
    database, as they are now; and by the highest time of change in the source, where it has one."""
    if asked_for_all:
        return Whole("it was asked for")
    if last is None or last.compared_whole_at is None:
        return Whole("no pull of all of it was completed yet, or not the last one")
    if last.fingerprint != fingerprint:
        return Whole("its settings or the declaration are not as they were")
    if last.compared_whole_at > now:
        return Whole("the last pull of all of it was made by a clock that was ahead of the one that is here now")
    if now - last.compared_whole_at >= _WEEK:
        return Whole("the last pull of all of it is a week ago")
    bound = None if mark is None else mark.bound_after(last.changed_up_to or "", now)
    return Whole("its times of change say nothing of the last pull") if bound is None else ChangedSince(bound)
