"""Figures of a night beside what is usual, and when they alarm; among them how many rows came. Without numpy, which an
empty night does without."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

ALERTING_NIGHTS, LAST_NIGHTS = 3, 5
"""So many of the last so many nights must be beyond the limit: one odd night alarms nobody."""


class State(StrEnum):
    """The state of a figure."""

    USUAL = "usual"
    ALERT = "alert"
    INSUFFICIENT_DATA = "insufficient_data"
    """Rows so few, pooled over the last nights, that any value may be luck."""
    NO_REFERENCE = "no_reference"
    """There is nothing to compare with: the version's reference could not be read."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A row of `monitoring`; each field is the column of its name."""

    feature: str
    """Empty where the figure is about all rows."""
    figure: str
    value: float | None
    rows: int
    """That the value rests on."""
    reference: float | None = None
    """The training rows' value, or what is usual."""
    allowed: float | None = None
    """The largest distance of the value from the reference."""
    state: str = State.USUAL
    low: float | None = None
    """The 95 % interval, of figures that estimate something."""
    high: float | None = None

    @property
    def name(self) -> str:
        """Figure and feature in one."""
        return f"{self.figure} {self.feature}".strip()

    @property
    def is_beyond(self) -> bool:
        """Whether it lies farther from the reference than allowed, tonight."""
        if self.value is None or self.allowed is None:
            return False
        return abs(self.value - (self.reference or 0.0)) > self.allowed


def alerts(is_beyond: bool, name: str, nights_before: Sequence[Collection[str]]) -> bool:
    """Whether `ALERTING_NIGHTS` of the last `LAST_NIGHTS` were beyond the limit, tonight included.

    `nights_before` are the names of what was beyond in each, newest first.
    """
    before = sum(name in night for night in nights_before[: LAST_NIGHTS - 1])
    return is_beyond + before >= ALERTING_NIGHTS


NIGHT, WEEK = "rows", "rows_in_week"
"""The figures: of a night, and of the seven nights that end with it."""
WEEKS = 8
"""Back, of the same weekday."""
FEWEST_WEEKS = 4
"""With which there is a usual volume."""
SHARE_ALLOWED = 0.5
"""Of what is usual: half as many more or less."""
DEVIATIONS_ALLOWED = 5.0
"""Robust ones, of what is usual: from the median distance to the median, which no single odd week moves."""
CHANCE = 2.87e-7
"""That a normal value is five deviations too low."""
_HALF_IS_LESS = 100.0
"""From this mean on half of it is less than five roots below it."""


def volume(rows: int, weeks: Sequence[int], figure: str = NIGHT) -> Watched:
    """Compare the rows of a night with the same weekday of other weeks; or those of a week with other weeks."""
    if len(weeks) < FEWEST_WEEKS:
        return Watched("", figure, rows, rows, state=State.INSUFFICIENT_DATA)
    usual = _median(weeks)
    deviation = 1.4826 * _median([abs(each - usual) for each in weeks])
    # A count alone varies by its root; a median of 0 may be that of a count which is now and then 1.
    more = max(SHARE_ALLOWED * usual, DEVIATIONS_ALLOWED * max(deviation, math.sqrt(max(usual, 1.0))))
    allowed = usual - _fewest(usual, deviation) if rows < usual else more
    return Watched("", figure, rows, rows, usual, allowed)


def _fewest(usual: float, deviation: float) -> float:
    """The count below which luck brings as many nights as normal values are five deviations too low, or half of the
    usual if that is less."""
    half = (1 - SHARE_ALLOWED) * usual
    # What varies more than a count of single patients is a count of clusters, with so many patients each.
    cluster = max(1.0, deviation**2 / usual)
    if usual / cluster >= _HALF_IS_LESS:
        return half
    # The largest count below which a Poisson count of that mean lies with the probability `CHANCE` at most.
    mean, count = usual / cluster, 0
    term = math.exp(-mean)
    smaller_or_equal = term
    while smaller_or_equal <= CHANCE:
        count += 1
        term *= mean / count
        smaller_or_equal += term
    return min(half, cluster * count)


def volumes(rows: Mapping[int, int]) -> tuple[Watched, Watched]:
    """The figures of tonight and of the week that ends with it; `rows` are by night, tonight being 0, the one before 1.

    A night that came to no good end is not among them: it says nothing of how many came, and what it left waiting comes
    with the next one. Where tonight is such a night, neither figure has a value.
    """
    if 0 not in rows:
        night, week = (Watched("", each, None, 0, state=State.INSUFFICIENT_DATA) for each in (NIGHT, WEEK))
        return night, week
    return _of_nights(rows), _of_week(rows)


def _of_nights(rows: Mapping[int, int]) -> Watched:
    found = [
        volume(rows[night], [rows[each] for each in range(night + 7, night + 7 * WEEKS + 1, 7) if each in rows])
        for night in sorted(rows)[:LAST_NIGHTS]
    ]
    tonight = found[0]
    before = [[each.name] if each.is_beyond else [] for each in found[1:]]
    if tonight.state == State.USUAL and alerts(tonight.is_beyond, tonight.name, before):
        return replace(tonight, state=State.ALERT)
    return tonight


def _of_week(rows: Mapping[int, int]) -> Watched:
    # Where a night has few rows it may have none by luck, a week less often. Too few alarm at once, since no single
    # night takes half of seven away. Too many never do: one night can bring those.
    weeks = [[rows[night] for night in range(7 * week, 7 * week + 7) if night in rows] for week in range(WEEKS + 1)]
    found = volume(sum(weeks[0]), [sum(nights) for nights in weeks[1:] if nights], WEEK)
    if found.is_beyond and sum(weeks[0]) < (found.reference or 0.0):
        return replace(found, state=State.ALERT)
    return found


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
