"""Rows and outcomes that a source has lost since its pull before: whether more than is usual there.

The limits of a source refuse a pull that loses a large share. A source that was restored to where
it stood three days ago loses a few dozen rows of thousands, which no share tells.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

TOLD_FOR_DAYS = 7
_DAYS_COMPARED = 9 * 7
"""Before a day: what is cleared up once a month is usual then from the third time on."""
DAYS_BACK = _DAYS_COMPARED + TOLD_FOR_DAYS
"""How far back the days are read."""
FEWEST_PULLED = 5
FEWEST_DAYS = 14
"""Days with a pull, and days in all, that it takes to know what is usual: two of each weekday."""
FEWEST_LOST = 10
"""However few are usual, so many more are no news."""


class LostOfDay(NamedTuple):
    """What the pulls of a day found gone from a source."""

    day: int
    """From 1 January 1970 on, in UTC."""
    vanished: int
    """Rows that the pull before still had."""
    cleared: int
    """Outcomes of rows that are still there."""
    of_another_person: int
    """Rows that came as another person's than before."""


def beyond_usual(days: Sequence[LostOfDay], today: int) -> Sequence[LostOfDay]:
    """Find the first of the last seven days on which more was lost than is usual, and pick the days
    from it on. The `days` are those with a pull, oldest first."""
    for place, day in enumerate(days):
        before = [each for each in days[:place] if day.day - each.day <= _DAYS_COMPARED]
        is_known = len(before) > FEWEST_PULLED and day.day - before[0].day > FEWEST_DAYS
        if is_known and today - day.day < TOLD_FOR_DAYS:
            # The second largest, so that one accident does not make the next one usual; twice as
            # many, since losses come in bursts.
            usual = sorted(each.vanished + each.cleared for each in before)[-2]
            if day.vanished + day.cleared > 2 * usual + 4 * math.sqrt(usual) + FEWEST_LOST:
                return days[place:]
    return ()
