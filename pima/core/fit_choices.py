"""Choices of a fit by its training rows: powers of skewed numbers, folds, and a threshold to reach a sensitivity."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array

LEAST_GAINS = {0.5: 0.3, -1.0: 1.0}
"""By so much a power must make the skewness smaller than what was best before it; the reciprocal by more, since it
turns the order round and spreads what is near 0."""


def powers_to_choose_from(low: float | None) -> tuple[float, ...]:
    """Besides 1: the root of what is never below 0 by its declared range, the reciprocal of what is never 0 either."""
    if low is None or low < 0:
        return ()
    return (0.5, -1.0) if low > 0 else (0.5,)


def choose_exponents(
    declared: Sequence[float | None], lows: Sequence[float | None], values: Float32Array
) -> Float32Array:
    """The declared exponent of each column (n, numbers), else 1, 1/2 or -1 by the skewness of what is there."""
    chosen = [
        _less_skewed(column[np.isfinite(column)].astype(np.float64), low) if exponent is None else exponent
        for exponent, low, column in zip(declared, lows, values.T, strict=True)
    ]
    return np.array(chosen, dtype=np.float32)


def _less_skewed(values: Float64Array, low: float | None) -> float:
    best, least = 1.0, abs(_skewness(values))
    for exponent in powers_to_choose_from(low):
        skewness = abs(_skewness(values**exponent))
        if skewness < least - LEAST_GAINS[exponent]:
            best, least = exponent, skewness
    return best


def _skewness(values: Float64Array) -> float:
    """The third standardised moment; 0 where there is no spread."""
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def threshold_reaching(to_reach: str, probabilities: Float64Array, outcomes: Int8Array) -> float:
    """Find the largest threshold that reaches "sensitivity >= 0.85" on these rows (n,); for specificity the smallest.

    Both classes must be there. The probabilities must come from models that did not learn from these rows: on its own
    training rows a model looks surer than it is. A probability that is no number calls nobody ill, and counts so.
    """
    what, _, share = to_reach.split()
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    if what == "sensitivity":
        of_cases = np.sort(known[outcomes == 1])[::-1]
        return float(of_cases[_needed(share, len(of_cases)) - 1])
    of_others = np.sort(known[outcomes == 0])
    return float(np.nextafter(of_others[_needed(share, len(of_others)) - 1], 2))


def _needed(share: str, rows: int) -> int:
    """The number of rows that is at least this share of them: exactly, as it is written."""
    return math.ceil(Fraction(share) * rows)


def stratified_folds(outcomes: Int8Array, folds: int, seed: int) -> Int64Array:
    """Deal rows out to folds, (n,) numbers from 0: each outcome evenly, in an order drawn by the seed."""
    draw = np.random.default_rng(seed)
    numbers = np.empty(len(outcomes), dtype=np.int64)
    for outcome in (0, 1):
        rows = np.flatnonzero(outcomes == outcome)
        numbers[draw.permutation(rows)] = np.arange(len(rows)) % folds
    return numbers
