"""What came true of the predictions as they were served, by whichever version, at the thresholds
then in use: counts by day, version, class and bin of the probability, and the figures of them.

A version that scores has a week or two of outcomes, of which figures say little: over half a year
of weekly retrainings its O/E lay at 1.7 to 2.0 where 1.0 was true. The service has all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int64Array
from pima.core.nights.kinds import LEFT_ALONE, Watched
from pima.core.outcomes.followed_up import FollowedUp, FollowUp
from pima.core.outcomes.realised import (
    FEWEST_OUTCOMES,
    WEEKS_ON_TOP,
    CameTrue,
    told,
    widened,
)
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.discrimination import auroc_around, auroc_of_counts
from pima.core.statistics.estimates import Estimate, proportion
from pima.core.statistics.performance import observed_expected, of_classes
from pima.core.statistics.samples import NO_CASES, NO_OTHERS

WEEKS_READ = 40
"""How far back bins are read, the running week included."""
LEAST_LEFT_ALONE = 0.1
"""Of those predicted 1, to learn what becomes of them where nobody acts."""


@dataclass(frozen=True, slots=True)
class Served:
    """Counts (n,) of rows by day, version, class and bin; each field is a column of `served_days`,
    which says what it is."""

    model_version: Int64Array
    day: Int64Array
    predicted_in: Int64Array
    predicted_class: Int64Array
    bin: Int64Array
    outcomes: Int64Array
    ones: Int64Array
    expected: Float64Array
    missing: Int64Array
    expected_missing: Float64Array
    acted: Int64Array

    @property
    def week(self) -> Int64Array:
        """The number of each day's week, (n,)."""
        return (self.day + 3) // 7  # 1 January 1970 was a Thursday

    @property
    def correct(self) -> int:
        """How many predictions came true."""
        right = np.where(self.predicted_class == 1, self.ones, self.outcomes - self.ones)
        return int(right.sum())

    def only(self, which: BoolArray) -> "Served":
        """Pick some of the counts, (n,)."""
        return Served(*(getattr(self, name)[which] for name in self.__slots__))

    def counting(self, follow_up: FollowUp) -> "Served":
        """Pick the predictions of days that are followed up: in which horizons end, or else in
        which they were made."""
        days = self.day
        if follow_up.least is None:
            days = 7 * self.predicted_in - 3
        is_left_out = np.isin(days, list(follow_up.days_left_out))
        return self.only((self.model_version > 0) & ~is_left_out)

    def of_weeks(self, last: int, weeks: int) -> "Served":
        """Pick the weeks up to the last."""
        return self.only((self.week <= last) & (self.week > last - weeks))

    def outcomes_by(self, keys: Int64Array) -> dict[int, int]:
        """How many outcomes have each key, of keys (n,) and in their order."""
        found, place = np.unique(keys, return_inverse=True)
        sums = np.bincount(place, self.outcomes, len(found)).astype(np.int64)
        return dict(zip(found.tolist(), sums.tolist(), strict=True))


def figure_of_left_alone(found: Served, last: int) -> Iterator[Watched]:
    """Make a row of `monitoring` of the share of those predicted 1 on whom nobody acted, over the
    weeks up to the `last` whole one, if they are enough; for where who was acted upon counts
    nowhere else."""
    called = found.of_weeks(last, WEEKS_ON_TOP)
    called = called.only((called.model_version > 0) & (called.predicted_class == 1))
    alone = int((called.outcomes + called.missing).sum())
    rows = alone + int(called.acted.sum())
    if rows >= FEWEST_OUTCOMES:
        figure = Watched("", LEFT_ALONE, alone / rows, rows, LEAST_LEFT_ALONE)
        yield figure.alarming_if(alone < LEAST_LEFT_ALONE * rows)


def days_due(found: Served) -> list[FollowedUp]:
    """How many rows of each day have an outcome, predicted or not, with a horizon."""
    every = found.only(found.model_version == 0)
    rows = every.outcomes + every.missing
    return [FollowedUp(*each) for each in np.stack([every.day, rows, every.outcomes], 1).tolist()]


def came_true_as_served(
    found: Served, wider: Mapping[str, float], version: int | None = None
) -> CameTrue:
    """Judge predictions by their counts, of one outcome at least, the intervals so many times
    `wider`; a `version` made all of them."""
    outcomes = int(found.outcomes.sum())
    cases = int(found.ones.sum())
    is_called = found.predicted_class == 1
    called = int(found.outcomes[is_called].sum())
    hits = int(found.ones[is_called].sum())
    expected = float(found.expected.sum())
    events = min(cases, outcomes - cases)
    figures = {
        "auroc": area(found),
        "observed_expected": observed_expected(cases, outcomes, expected),
        "accuracy": proportion(found.correct, outcomes, NO_CASES),
        **of_classes(cases, outcomes - cases, hits, called - hits),
    }
    if_zero = None
    if min(outcomes, found.missing.sum()) >= FEWEST_ROWS:
        if_zero = cases / (expected + float(found.expected_missing.sum()))
    figures = told(widened(figures, wider), outcomes, events)
    return CameTrue(outcomes, cases, figures, events, if_zero, version)


def area(found: Served) -> Estimate:
    """The area under the ROC curve of all these predictions, whichever version made them, with
    DeLong's interval; rows of one bin count as ties."""
    cases = int(found.ones.sum())
    others = int(found.outcomes.sum()) - cases
    if not cases or not others:
        return Estimate(None, reason=NO_OTHERS if cases else NO_CASES)
    return auroc_around(*area_and_variance(found), cases, others)


def area_and_variance(found: Served) -> tuple[float, float]:
    """The area, and its variance."""
    return auroc_of_counts(found.bin, found.ones, found.outcomes - found.ones)
