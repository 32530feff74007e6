"""Rows and outcomes that a source has lost since its pull before: whether more than is usual there.

The limits of a source refuse a pull that loses a large share. A source that was restored to where
it stood three days ago loses a few dozen rows of thousands, which no share tells.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

TOLD_FOR_DAYS = 7
DAYS_BACK = 8 * 7 + TOLD_FOR_DAYS
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
    lost = [day.vanished + day.cleared for day in days]
    for place, day in enumerate(days):
        is_known = place > FEWEST_PULLED and day.day - days[0].day > FEWEST_DAYS
        if is_known and today - day.day < TOLD_FOR_DAYS:
            # The second largest, so that one accident does not make the next one usual; twice as
            # many, since losses come in bursts.
            usual = sorted(lost[:place])[-2]
            if lost[place] > 2 * usual + 4 * math.sqrt(usual) + FEWEST_LOST:
                return days[place:]
    return ()
