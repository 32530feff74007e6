"""On whom somebody acted, and what came true of these people and of the others: no measure of
acting, since people choose on whom.

The jump at the threshold comes near to one. Those just below it are like those just above, but for
the prediction. It tells what a prediction of 1 changes there, of all rows, whoever was acted on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray
from pima.core.nights.kinds import REALISED, State, Watched
from pima.core.outcomes.realised import CameTrue
from pima.core.outcomes.served import Served
from pima.core.statistics.disclosure import FEWEST_ROWS, shown
from pima.core.statistics.estimates import (
    Z_95_PERCENT,
    Estimate,
    around,
    proportion,
    widening,
)
from pima.core.statistics.logistic_regression import logistic
from pima.core.statistics.performance import FIGURES
from pima.core.statistics.samples import NO_CASES, Sample, log_odds

BAND = 1.0
"""How far from the threshold rows are compared, in log odds."""
FEWEST_IN_BAND = 200
"""Settled rows, below which the jump is not told."""
SIDES = ("acted on where predicted 0", "acted on where predicted 1")
_TENTHS = tuple(f"acted on at {10 * n} to {10 * n + 10} percent" for n in range(10))
JUMP = "jump at threshold"
_APART = {
    "positive_predictive_value": "outcome 1",
    "auroc": FIGURES["auroc"],
    "observed_expected": "observed/expected",
}


@dataclass(frozen=True, slots=True)
class OfActing:
    """A figure that is told of those acted on, with the rows it rests on."""

    name: str
    rows: int
    figure: Estimate

    @property
    def watched(self) -> Watched:
        """The row of `monitoring`."""
        name = f"{REALISED}{self.name.replace(' ', '_')}"
        found = self.figure
        state = State.INSUFFICIENT_DATA if found.value is None else State.USUAL
        return Watched("", name, found.value, self.rows, None, None, state, found.low, found.high)


def by_risk(found: Served, leaves_out: bool) -> Iterator[OfActing]:
    """On which share of predictions somebody acted, by side of the threshold and by tenth of
    probability. If it `leaves_out` these rows, nothing else counts them."""
    rows = found.outcomes + found.missing + leaves_out * found.acted
    tenth = (10 * logistic(found.bin / 10)).astype(np.int64)
    for names, keys in ((SIDES, found.predicted_class), (_TENTHS, tenth)):
        sizes = tuple(np.bincount(keys, rows, len(names)).astype(int).tolist())
        acted = np.bincount(keys, found.acted, len(names)).tolist()
        for name, size, of_them, is_shown in zip(names, sizes, acted, shown(sizes), strict=True):
            if is_shown:
                yield OfActing(name, size, proportion(of_them, size, NO_CASES))


def apart(parts: Sequence[CameTrue]) -> Iterator[OfActing]:
    """What came true of those predicted 1 who were acted on, and of the others. Nothing is told if
    either have few of an outcome."""
    if min((each.events for each in parts), default=0) >= FEWEST_ROWS:
        for key, what in _APART.items():
            for name, found in zip(("acted on", "left alone"), parts, strict=True):
                of_them = f"{what} where predicted 1 and {name}"
                yield OfActing(of_them, found.outcomes, found.figures[key])


def difference(shares: Sequence[OfActing]) -> Iterator[str]:
    """Say in how many of both the outcome came, if the intervals lie apart."""
    lows = [each.figure.low or 0.0 for each in shares]
    highs = [each.figure.high or 0.0 for each in shares]
    if max(lows, default=0.0) > min(highs, default=1.0):
        of_acted, of_others = (f"{100 * (each.figure.value or 0):.0f}" for each in shares)
        yield (
            f"Those predicted 1 who were acted on had the outcome in {of_acted} of 100, the others "
            f"in {of_others}: this is no measure of acting."
        )


def jump(rows: Sample) -> OfActing:
    """By how much the share of outcome 1 changes where the prediction becomes 1, by a line in log
    odds on both sides of the threshold. The interval is by robust standard errors (White,
    Econometrica 1980, 48:817), and by persons."""
    distance = rows.log_odds - log_odds(rows.thresholds)
    near = np.abs(distance) <= BAND
    count = int(near.sum())
    is_called = rows.called[near]
    cases = rows.cases[near]
    if min(_rarest(is_called), _rarest(cases)) < FEWEST_ROWS:
        few = f"fewer than {FEWEST_ROWS} settled rows near it on a side, or of an outcome"
        return OfActing(JUMP, 0, Estimate(None, reason=few))
    x = distance[near]
    lines = np.stack([np.ones(count), x, is_called, is_called * x], axis=1)
    solved = np.linalg.pinv(lines)
    fitted = solved @ cases
    terms = solved[2] * (cases - lines @ fitted)
    variance = float((terms**2).sum()) * count / (count - lines.shape[1])
    deviation = math.sqrt(variance) * widening(terms, rows.persons[near])
    if count >= FEWEST_IN_BAND:
        return OfActing(JUMP, count, Estimate(*around(float(fitted[2]), deviation)))
    least = f"too few to tell less than {Z_95_PERCENT * deviation:.2f}"
    return OfActing(JUMP, count, Estimate(None, reason=least))


def _rarest(these: BoolArray) -> int:
    """How many rows (n,) have the rarer of two."""
    return int(min(these.sum(), (~these).sum()))
