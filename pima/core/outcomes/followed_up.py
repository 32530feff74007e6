"""How many rows are followed up, which means that their outcome came once it was due.

Outcomes may come late, or only of some patients, such as those who were treated. What rests on such
rows would tell of these alone, so they are left out.

With a horizon a row belongs to the day and the week in which that ends, whenever its outcome was
noted. A day or a week of which clearly too few are followed up is left out; and where too few are
of the weeks that remain, nothing counts. A hard limit for each week would keep the luckiest weeks
where outcomes miss at random. Models learn from the rows that count, and figures tell of them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from pima.core.nights.drift import share_allowed
from pima.core.nights.kinds import FOLLOWED_UP, WEEK_FOLLOWED_UP, Watched

LEAST_FOLLOWED_UP = 0.9
"""The share that is asked for where the declaration does not name another."""
HARDLY_FOLLOWED_UP = 0.5
"""Where less is usual, figures are said to be of those followed up, and nothing alarms."""
CLEARLY = 2.33
"""Standard errors below which luck leaves one day in a hundred."""
WEEK_ALLOWED = 0.05
"""A week may be followed up by so much less than those before it; luck may widen the limit."""
WEEKS = 26
"""How many weeks are pooled, and told."""
_TRIED = (0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, slots=True)
class FollowedUp:
    """The rows of a day or of a week whose outcomes are due."""

    number: int
    """From 1 January 1970 or from its week on, which is 0; in UTC, weeks begin on Mondays."""
    rows: int
    outcomes: int
    """How many of them have one."""
    is_finished: bool = False
    """Whether the outcomes of all rows of the week have been due for a week."""
    counts: bool = True
    """Whether any day of the week does, with a horizon."""

    @property
    def share(self) -> float:
        """The share of the rows, one at least, that have an outcome."""
        return self.outcomes / self.rows

    def __add__(self, other: "FollowedUp") -> "FollowedUp":
        return replace(self, rows=self.rows + other.rows, outcomes=self.outcomes + other.outcomes)

    def is_clearly_below(self, least: float) -> bool:
        """Whether luck hardly explains that less than this share has an outcome."""
        deviation = math.sqrt(self.rows * least * (1 - least))
        return self.outcomes < least * self.rows - CLEARLY * deviation


_NONE = FollowedUp(0, 0, 0)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The weeks, and which days count."""

    weeks: tuple[FollowedUp, ...] = ()
    """The newest ones, newest first. With a horizon they are those in which it ends, else of
    predictions."""
    days_left_out: frozenset[int] = frozenset()
    """Those whose rows count in nothing."""
    usual: float = 1.0
    """Without a horizon, the median of the weeks' shares; 1 without weeks."""
    least: float | None = None
    """With a horizon, the share that is asked for."""
    days: tuple[FollowedUp, ...] = ()
    """With a horizon, all of them."""

    @property
    def of_all(self) -> FollowedUp:
        """All rows of the weeks."""
        return sum(self.weeks, _NONE)

    @property
    def is_of_few(self) -> bool:
        """Whether so few are followed up that figures say little of the others."""
        return self.usual < HARDLY_FOLLOWED_UP

    @property
    def is_of_those_followed_up(self) -> bool:
        """Whether all that is said must be said to be of those followed up."""
        return self.is_of_few or (self.least or LEAST_FOLLOWED_UP) < LEAST_FOLLOWED_UP

    @property
    def is_lacking(self) -> bool:
        """Whether more than half of the weeks before the newest count in nothing, or all do."""
        before = self.weeks[1:]
        return 2 * sum(week.counts for week in before) < len(before)


def week_of_day(day: int) -> int:
    """The number of a day's week."""
    return (day + 3) // 7  # 1 January 1970 was a Thursday


def by_prediction(weeks: tuple[FollowedUp, ...]) -> FollowUp:
    """Leave out the weeks of predictions of which fewer are followed up than nine tenths of what is
    usual."""
    usual = 1.0
    if weeks:
        usual = sorted(each.share for each in weeks)[len(weeks) // 2]
    few = [each.number for each in weeks if each.outcomes < LEAST_FOLLOWED_UP * usual * each.rows]
    return FollowUp(
        weeks, frozenset(7 * week - 3 + day for week in few for day in range(7)), usual=usual
    )


def by_horizon(days: Sequence[FollowedUp], least: float, this_week: int = 0) -> FollowUp:
    """Leave out days and weeks, by their rows whose horizons are over at a moment of this week."""
    weeks = _by_week(days)
    left_out = {
        day.number
        for day in days
        if day.is_clearly_below(least)
        or weeks.get(week_of_day(day.number), _NONE).is_clearly_below(least)
    }
    remaining = _by_week(day for day in days if day.number not in left_out)
    pooled = sum([remaining[week] for week in sorted(remaining)[-WEEKS:]], _NONE)
    if pooled.outcomes < least * pooled.rows:
        left_out = {day.number for day in days}
        remaining = {}
    newest = tuple(
        replace(weeks[week], is_finished=week + 2 <= this_week, counts=week in remaining)
        for week in sorted(weeks, reverse=True)[:WEEKS]
    )
    return FollowUp(newest, frozenset(left_out), least=least, days=tuple(days))


def _by_week(days: Iterable[FollowedUp]) -> dict[int, FollowedUp]:
    """The weeks that have rows. A day on all of whose rows somebody acted may have none."""
    found: dict[int, FollowedUp] = {}
    for day in filter(lambda each: each.rows, days):
        week = week_of_day(day.number)
        found[week] = found.get(week, replace(_NONE, number=week)) + day
    return found


def figure_of_follow_up(found: FollowUp) -> Iterator[Watched]:
    """Make a row of `monitoring` of how many rows are followed up; none without a horizon, or
    before one is over."""
    every = found.of_all
    if found.least is not None and every.rows:
        figure = Watched("", FOLLOWED_UP, every.share, every.rows, found.least)
        yield figure.alarming_if(found.is_lacking)


def figure_of_week(follow_up: FollowUp) -> Iterator[Watched]:
    """Make a row of `monitoring` that compares the newest finished week with those before it, if
    there are some."""
    finished = [each for each in follow_up.weeks if each.is_finished]
    if len(finished) < 2:
        return
    newest, *others = finished
    before = reduce(add, others)
    counts = (newest.outcomes, newest.rows, before.outcomes, before.rows)
    found = Watched(
        "",
        WEEK_FOLLOWED_UP,
        newest.share,
        newest.rows,
        before.share,
        share_allowed(WEEK_ALLOWED, *counts),
    )
    yield found.alarming_if(found.is_beyond and newest.share < before.share)


def follow_up_in_words(found: FollowUp) -> str:
    """Say how many rows are followed up, with a horizon, and what each share that may be asked for
    would leave out."""
    every = sum(found.days, _NONE)
    told = []
    for least in (found.least or LEAST_FOLLOWED_UP, *_TRIED):
        left_out = by_horizon(found.days, least).days_left_out
        rows = sum(day.outcomes for day in found.days if day.number in left_out)
        told.append(f"{least:g} leaves out {rows:,}")
    return (
        f"{every.outcomes:,} of {every.rows:,} rows whose horizon is over have an outcome, and of "
        f"these outcome.least_followed_up = {told[0]} ({', '.join(told[1:])})"
    )
