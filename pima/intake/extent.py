"""How much of a source a pull compares: all of it, or what by its own times has changed.

A part is enough only where the last pull of all of it was completed, by the same settings and a week ago at most: what
has vanished, and whatever the source's times do not tell, is found then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pima.intake.changed_since import Bound, Mark
from pima.store.source_pulls import LastPull

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
    """The rows whose time of change is from here on, or not known. It says nothing of those that have vanished."""

    called: ClassVar[Called] = "changed"
    bound: Bound


Extent = Whole | ChangedSince


@dataclass(frozen=True, slots=True)
class Known:
    """What the extent goes by."""

    last: LastPull | None
    """None where it was never pulled."""
    fingerprint: str
    """Of the settings and the declaration as they are now."""
    now: datetime
    """By the clock of our database."""
    mark: Mark | None
    """The highest time of change in the source; None where it has none, or no column for it."""


def extent_of(known: Known, asked_for_all: bool) -> Extent:
    """As little as is enough."""
    last = known.last
    if asked_for_all:
        return Whole("it was asked for")
    if last is None or last.compared_whole_at is None:
        return Whole("no pull of all of it was completed yet, or not the last one")
    if last.fingerprint != known.fingerprint:
        return Whole("its settings or the declaration are not as they were")
    if last.compared_whole_at > known.now:
        return Whole("the last pull of all of it was made by a clock that was ahead of the one that is here now")
    if known.now - last.compared_whole_at >= _WEEK:
        return Whole("the last pull of all of it is a week ago")
    if known.mark is not None and known.mark.is_ahead_of(known.now):
        return Whole("it has times of change that are still to come")
    bound = None if known.mark is None else known.mark.bound_after(last.changed_up_to or "", known.now)
    return Whole("its times of change say nothing of the last pull") if bound is None else ChangedSince(bound)
