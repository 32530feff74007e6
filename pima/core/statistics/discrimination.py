"""Discrimination: how well probabilities tell cases from others, by the area under the ROC curve.

It is the share of pairs of a case and another row that are in the right order, ties counting half
(Mann and Whitney).
"""

import math
from bisect import bisect_left

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int64Array
from pima.core.statistics.estimates import NO_SPREAD, Z_95_PERCENT, Estimate, around, widening
from pima.core.statistics.logistic_regression import logistic
from pima.core.statistics.samples import Sample

TOO_FEW_OF_A_CLASS = "fewer than two rows of an outcome"
_STEPS = 2**50
"""Of a bisection, to nearly the last digit."""


def auroc(rows: Sample) -> Estimate:
    """The area under the ROC curve of rows (n,), n >= 1.

    The interval is DeLong, DeLong and Clarke-Pearson's (Biometrics 1988, 44:837), on the scale of
    the log odds, so that it stays between 0 and 1. If the order is perfect or a class has one row,
    that method has none; the interval is then Newcombe's method 5 (Statistics in Medicine 2006,
    25:559): Hanley and McNeil's variance at the bound itself.
    """
    if lacking := rows.lacks_a_class:
        return lacking
    area, variance = _delong(placements(rows), rows)
    return auroc_around(area, variance, rows.positive, len(rows) - rows.positive)


def auroc_of_counts(
    steps: Int64Array, cases: Int64Array, others: Int64Array
) -> tuple[float, float]:
    """The area of so many cases and others at each step (n,) of their probabilities, ties counting
    half, and DeLong's variance of it; both outcomes are there."""
    _, step = np.unique(steps, return_inverse=True)
    counts = (np.bincount(step, cases), np.bincount(step, others))
    (area, of_cases), (_, of_others) = map(_moments, _placements(*counts), counts)
    return area, of_cases + of_others


def auroc_around(value: float, variance: float, cases: int, others: int) -> Estimate:
    """An area with its interval; see `auroc`."""
    if variance > 0 and 0 < value < 1 and min(cases, others) > 1:
        log_odds = math.log(value / (1 - value))
        margin = Z_95_PERCENT * math.sqrt(variance) / (value * (1 - value))
        low, high = logistic(np.array([log_odds - margin, log_odds + margin])).tolist()
        return Estimate(value, low, high)
    low, high = (_farthest(value, end, cases, others) for end in (0.0, 1.0))
    return Estimate(value, low, high)


def _farthest(value: float, end: float, cases: int, others: int) -> float:
    """Find the area nearest to this end, 0 or 1, that the value is within 1.96 deviations of."""

    def area(step: int) -> float:
        return end + (value - end) * step / _STEPS

    def is_near(step: int) -> bool:
        theta = area(step)
        pairs = (cases + others) / 2 - 1
        spread = 1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(value - theta) <= Z_95_PERCENT * math.sqrt(
            theta * (1 - theta) * spread / (cases * others)
        )

    return area(bisect_left(range(_STEPS), True, key=is_near))


def auroc_gain(ours: Sample, theirs: Sample) -> Estimate:
    """How much larger our area is than theirs, of the same rows.

    The interval is DeLong's for correlated areas: the variance of the paired differences contains
    the covariance.
    """
    if lacking := ours.lacks_a_class:
        return lacking
    gain, variance = _delong(placements(ours) - placements(theirs), ours)
    if min(ours.positive, len(ours) - ours.positive) < 2:
        return Estimate(gain, reason=TOO_FEW_OF_A_CLASS)
    if variance == 0:
        return Estimate(gain, reason=NO_SPREAD)
    return Estimate(*around(gain, math.sqrt(variance), -1, 1))


def placements(rows: Sample) -> Float64Array:
    """For each row, (n,), the share of the other class that it is in the right order with; ties
    count half."""
    _, step = np.unique(rows.probabilities, return_inverse=True)
    of_cases, of_others = _placements(np.bincount(step, rows.cases), np.bincount(step, ~rows.cases))
    return np.where(rows.cases, of_cases[step], of_others[step])


def _placements(cases: Int64Array, others: Int64Array) -> tuple[Float64Array, Float64Array]:
    """The placements of cases and of others, both by step of their probabilities."""
    above = (np.cumsum(others) - others / 2) / others.sum()
    below = 1 - (np.cumsum(cases) - cases / 2) / cases.sum()
    return above, below


def _delong(placed: Float64Array, rows: Sample) -> tuple[float, float]:
    """An area by the placements of rows (n,), or two areas' difference by the differences of these,
    and its variance. Persons widen it as by Obuchowski (Biometrics 1997, 53:567)."""
    cases = rows.cases
    (mean, of_cases), (_, of_others) = (_moments(placed, each) for each in (cases, ~cases))
    # Both classes have the same mean.
    terms = (placed - mean) * abs(cases - cases.mean())
    return mean, (of_cases + of_others) * widening(terms, rows.persons) ** 2


def _moments(values: Float64Array, counts: Int64Array | BoolArray) -> tuple[float, float]:
    """The mean of values that so many rows have, and its variance, which is 0 of one row."""
    values = values[counts > 0]
    counts = counts[counts > 0]
    rows = counts.sum()
    mean = (counts * values).sum() / rows
    variance = (counts * (values - mean) ** 2).sum() / max(rows - 1, 1) / rows
    return float(mean), float(variance)
