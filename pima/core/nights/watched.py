"""Figures of a night compared with the usual, and when they alert: how many rows came."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import median

from pima.core.nights.kinds import ROWS_IN_WEEK, ROWS_OF_NIGHT, State, Watched

ALERTING_NIGHTS = 3
LAST_NIGHTS = 5
"""An alert needs so many nights beyond the limit among the last ones, so that one odd night causes
none."""
ALERTING_POOLS = 2
"""How many it needs where nights are pooled, since the odd one is in one pool only."""


def alerts(
    is_beyond: bool,
    name: str,
    nights_before: Sequence[Collection[str]],
    needed: int = ALERTING_NIGHTS,
) -> bool:
    """Whether `needed` of the last `LAST_NIGHTS` were beyond the limit, tonight included.

    `nights_before` are the names of the figures beyond their limit in each night before, newest
    first.
    """
    before = sum(name in night for night in nights_before[: LAST_NIGHTS - 1])
    return is_beyond + before >= needed


WEEKS_BACK = 8
"""The weeks looked back, on the same weekday."""
FEWEST_WEEKS = 4
"""The fewest weeks that make a usual volume."""
SHARE_ALLOWED = 0.5
"""The share of the usual volume that may be more or less."""
DEVIATIONS_ALLOWED = 5.0
"""Robust deviations, from the median distance to the median, which no single odd week moves."""
CHANCE_OF_TOO_FEW = 2.87e-7
"""The probability that a normal value is five deviations too low."""
_HALF_IS_LESS = 100.0
"""The mean from which on half of it is five or more roots below it."""


def volume(rows: int, weeks: Sequence[int], figure: str = ROWS_OF_NIGHT) -> Watched:
    """Compare the rows of a night with those of the same weekday in other weeks, or of a week with
    other weeks."""
    if len(weeks) < FEWEST_WEEKS:
        return Watched("", figure, rows, rows, state=State.INSUFFICIENT_DATA)
    usual = median(weeks)
    deviation = 1.4826 * median(abs(each - usual) for each in weeks)
    # Any count varies by at least its root; a median of 0 may belong to a count that is now and
    # then 1.
    more = max(
        SHARE_ALLOWED * usual, DEVIATIONS_ALLOWED * max(deviation, math.sqrt(max(usual, 1.0)))
    )
    allowed = usual - _fewest(usual, deviation) if rows < usual else more
    return Watched("", figure, rows, rows, usual, allowed)


def _fewest(usual: float, deviation: float) -> float:
    """The count that a night falls below by luck as rarely as a normal value is five deviations too
    low; or half of the usual if that is less."""
    half = (1 - SHARE_ALLOWED) * usual
    # A count that varies more than one of single patients is treated as one of clusters of so many
    # patients.
    cluster = max(1.0, deviation**2 / usual)
    if usual / cluster >= _HALF_IS_LESS:
        return half
    # The largest count that a Poisson count of this mean falls below with a probability of at most
    # `CHANCE`.
    mean = usual / cluster
    count = 0
    term = math.exp(-mean)
    smaller_or_equal = term
    while smaller_or_equal <= CHANCE_OF_TOO_FEW:
        count += 1
        term *= mean / count
        smaller_or_equal += term
    return min(half, cluster * count)


def volumes(rows: Mapping[int, int]) -> tuple[Watched, Watched]:
    """The figures of tonight and of the week that ends with it; `rows` are by night: 0 is tonight,
    1 the night before.

    A night that did not end well is not among them: it does not show how many rows came, and the
    rows that it left waiting count with the next one. If tonight is such a night, neither figure
    has a value.
    """
    if 0 not in rows:
        unknown = Watched("", ROWS_OF_NIGHT, None, 0, state=State.INSUFFICIENT_DATA)
        return unknown, replace(unknown, figure=ROWS_IN_WEEK)
    return _of_nights(rows), _of_week(rows)


def _of_nights(rows: Mapping[int, int]) -> Watched:
    found = [
        volume(
            rows[night],
            [
                rows[each]
                for each in range(night + 7, night + 7 * WEEKS_BACK + 1, 7)
                if each in rows
            ],
        )
        for night in sorted(rows)[:LAST_NIGHTS]
    ]
    tonight = found[0]
    before = [[each.name] if each.is_beyond else [] for each in found[1:]]
    is_usual = tonight.state == State.USUAL
    return tonight.alarming_if(is_usual and alerts(tonight.is_beyond, tonight.name, before))


def _of_week(rows: Mapping[int, int]) -> Watched:
    # A night of few rows may have none by luck, a week less often. Too few rows alert at once,
    # since no single night takes half of a week away. Too many never alert: one night can bring
    # them.
    weeks = [
        [rows[night] for night in range(7 * week, 7 * week + 7) if night in rows]
        for week in range(WEEKS_BACK + 1)
    ]
    found = volume(sum(weeks[0]), [sum(nights) for nights in weeks[1:] if nights], ROWS_IN_WEEK)
    return found.alarming_if(found.is_beyond and sum(weeks[0]) < (found.reference or 0.0))
