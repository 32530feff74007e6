"""A figure with its 95 % interval, or why there is none; and the intervals of means and of shares."""

import math
from dataclasses import dataclass, replace

from pima.core.arrays import Float64Array

Z_95_PERCENT = 1.959964

NO_CASES = "no rows with outcome 1"
NO_OTHERS = "no rows with outcome 0"
TOO_FEW_ROWS = "fewer than two rows"
NO_SPREAD = "all rows are alike in it"
"""An interval of no width would claim to know."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was found on a set of rows, and between which bounds the truth lies in 95 of 100 such sets."""

    value: float | None
    """None where these rows can't say; never NaN."""
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    """Why the value, or its interval alone, is None."""


def mean(values: Float64Array, low: float = -math.inf, high: float = math.inf) -> Figure:
    """Of values (n,) that lie between the two bounds, n >= 1, by the normal approximation."""
    found = Figure(float(values.mean()))
    if len(values) < 2:
        return replace(found, reason=TOO_FEW_ROWS)
    if values.min() == values.max():
        return replace(found, reason=NO_SPREAD)
    return around(found, float(values.std(ddof=1)) / math.sqrt(len(values)), low, high)


def around(found: Figure, deviation: float, low: float = -math.inf, high: float = math.inf) -> Figure:
    """With the interval that a standard deviation of the figure itself gives."""
    assert found.value is not None  # noqa: S101 (for the type checker: the callers have one)
    margin = Z_95_PERCENT * deviation
    return replace(found, low=max(low, found.value - margin), high=min(high, found.value + margin))


def share(counted: int, of: int, nothing: str) -> Figure:
    """A proportion with Wilson's score interval (1927), which holds near 0 and 1 and on few rows; of none, `nothing` is
    the reason."""
    if not of:
        return Figure(None, reason=nothing)
    squared = Z_95_PERCENT**2
    centre = (counted + squared / 2) / (of + squared)
    margin = Z_95_PERCENT / (of + squared) * math.sqrt(counted * (of - counted) / of + squared / 4)
    return Figure(counted / of, max(0.0, centre - margin), min(1.0, centre + margin))
