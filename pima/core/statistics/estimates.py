"""Estimates: a value that a set of rows shows, and the bounds between which the truth lies.

Rows that are visits of persons are clustered: those of one person are alike, so they say less than
as many rows of as many persons, and intervals by persons are wider.
"""

import math
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array, Int64Array

Z_95_PERCENT = 1.959964
TOO_FEW_ROWS = "fewer than two rows"
NO_SPREAD = "all rows are alike in it"
"""The reason why there is no interval: one of no width would claim certainty."""

Persons = Int64Array | None
"""(n,): the number of each row's person, from 0 on; None if each row is its person's only one."""
MOST_ROWS_A_PERSON = 1.2
"""Up to so many rows a person, in the mean, each row counts for itself."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value found on a set of rows, and the bounds between which the truth lies in 95 of 100 such
    sets."""

    value: float | None
    """The value; None if these rows can't show it, never NaN."""
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    """Why the value, or its interval alone, is None."""

    def leaves_out(self, value: float) -> bool:
        """Whether a value lies outside the interval."""
        return not (self.low or value) <= value <= (self.high or value)


def in_words(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate with its interval, or why there is none."""
    if estimate.value is None:
        return f"none: {estimate.reason}"
    value = f"{estimate.value:z.{digits}f}"
    if estimate.low is None:
        return value
    return f"{value} ({estimate.low:z.{digits}f} to {estimate.high:z.{digits}f})"


def deviations_apart(one: Estimate, rest: Estimate) -> float:
    """How many standard deviations the logs of two ratios lie apart, both with an interval and of
    rows apart."""
    bounds = (one.value, one.low, one.high, rest.value, rest.low, rest.high)
    value, low, high, of_rest, low_of_rest, high_of_rest = (math.log(each or 1) for each in bounds)
    widths = math.hypot(high - low, high_of_rest - low_of_rest)
    return 2 * Z_95_PERCENT * abs(value - of_rest) / widths


def around(
    value: float, error: float, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float, float]:
    """Wald's interval within two bounds, by a value's standard error: the value, and both ends."""
    margin = Z_95_PERCENT * error
    return value, max(low, value - margin), min(high, value + margin)


def mean(
    values: Float64Array, persons: Persons, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """Average values (n,), n >= 1, that lie between the two bounds; the interval is a normal
    approximation."""
    average = float(values.mean())
    if len(values) < 2:
        return Estimate(average, reason=TOO_FEW_ROWS)
    if values.min() == values.max():
        return Estimate(average, reason=NO_SPREAD)
    return Estimate(*around(average, standard_error(values, persons), low, high))


def standard_error(values: Float64Array, persons: Persons) -> float:
    """The standard error of the mean of values (n,), as far as persons spread it; 0 of one."""
    if len(values) < 2:
        return 0.0
    return float(values.std(ddof=1)) * widening(values, persons) / math.sqrt(len(values))


def lower_p(differences: Float64Array, persons: Persons = None) -> float:
    """One-sided p that the mean of `differences` (n,) is below 0, by the normal approximation; 1
    without any spread."""
    error = standard_error(differences, persons)
    if error == 0:
        return 1.0
    return 0.5 * math.erfc(-float(differences.mean()) / error / math.sqrt(2))


def proportion(counted: float, of: float, nothing: str) -> Estimate:
    """A proportion with Wilson's score interval (1927), which holds near 0 and 1 and on few rows.

    `nothing` is the reason to give if there are no rows.
    """
    if not of:
        return Estimate(None, reason=nothing)
    squared = Z_95_PERCENT**2
    centre = (counted + squared / 2) / (of + squared)
    margin = Z_95_PERCENT / (of + squared) * math.sqrt(counted * (of - counted) / of + squared / 4)
    return Estimate(counted / of, max(0.0, centre - margin), min(1.0, centre + margin))


def repeated(persons: Int64Array) -> int:
    """How many persons these rows are of, where they come again; 0 if each counts for itself."""
    count = int(np.count_nonzero(np.bincount(persons)))
    if len(persons) <= MOST_ROWS_A_PERSON * count:
        return 0
    return count


def widening(terms: Float64Array, persons: Persons) -> float:
    """How much wider a 95 % interval is by persons than by rows, where a figure is a sum of rows'
    terms (n,): the root of the design effect; 1 where rows count for themselves, and never less.

    Terms are summed by person (Liang and Zeger, Biometrika 1986, 73:13). Where all are alike,
    nothing tells how alike a person's are, and all rows of a person say as much as one. Student's t
    has persons - 1 degrees of freedom (Abramowitz and Stegun 26.7.5).
    """
    if persons is None:
        return 1.0
    count = repeated(persons)
    if not count:
        return 1.0
    sums = np.bincount(persons, terms - terms.mean())
    freedom = max(count - 1, 1)
    effect = len(terms) / count
    by_rows = effect * terms.var()
    if by_rows > 0:
        effect = max(1.0, (sums**2).sum() / freedom / by_rows)
    return math.sqrt(effect) * (1 + 1.21 / freedom + 1.44 / freedom**2)


def paired_interval(won: float, lost: float, rows: float) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same rows (Agresti and Min,
    Statistics in Medicine 2005, 24:729).

    Half a row more in each of the four cells keeps its coverage even if few or no rows are
    discordant.
    """
    cells = rows + 2
    difference = (won - lost) / cells
    error = math.sqrt(won + lost + 1 - (won - lost) ** 2 / cells) / cells
    return around(difference, error, -1, 1)[1:]


def mcnemar_p(won: int, lost: int) -> float:
    """Exact two-sided McNemar test: the binomial tail of the smaller count among the discordant
    rows, doubled."""
    discordant = won + lost
    ways = 1
    tail = 1
    for row in range(min(won, lost)):
        ways = ways * (discordant - row) // (row + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**discordant)
