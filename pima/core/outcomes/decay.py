"""Slow decay: in the last weeks the predictions tell patients apart clearly worse than before.

A fall within days is for the sums of `cusum`. One of half a year is too slow for these, and no
version lives long enough to show it; so the service's predictions are compared with themselves.
`make bench-gate` measures how often luck alone alarms, and which falls are told.
"""

import math
from collections.abc import Iterator

from pima.core.nights.kinds import SLOW_DECAY, Watched
from pima.core.outcomes.realised import FEW_EVENTS
from pima.core.outcomes.served import Served, area_and_variance

NEWEST = 13
"""The last whole weeks, a quarter of a year."""
BEFORE = 26
"""The most weeks before them that they are compared with; the fewest are `NEWEST`."""
BAR = 3.5
"""Standard errors of the difference. At 3, calm clinics would alarm several times as often."""


def figure_of_decay(found: Served, last: int) -> Iterator[Watched]:
    """Make a row of `monitoring` of the weeks up to the `last` whole one, if there are weeks before
    and each part has enough outcomes: the area under the ROC curve, that before as reference."""
    newest = found.of_weeks(last, NEWEST)
    before = found.of_weeks(last - NEWEST, BEFORE)
    events = [min(each.ones.sum(), (each.outcomes - each.ones).sum()) for each in (newest, before)]
    if min(events) < FEW_EVENTS or last - found.week.min() < 2 * NEWEST - 1:
        return
    now, its_variance = area_and_variance(newest)
    then, variance = area_and_variance(before)
    allowed = BAR * math.sqrt(its_variance + variance)
    figure = Watched("", SLOW_DECAY, now, int(newest.outcomes.sum()), then, allowed)
    yield figure.alarming_if(now < then - allowed)
