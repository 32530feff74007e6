"""The range of a number, as a draft suggests it: from the 20 rows at each end, and with a wide margin.

The bounds are no patient's values. They shall keep out another unit and a slipped point, and let in every patient; what
lies beyond them all the same is counted.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pima.core.arrays import BoolArray
from pima.core.features import LARGEST, SMALLEST
from pima.suggesting.numbers import Numbers
from pima.suggesting.shown import SHOWN_FROM

_MARGINS = ((2_000, 1.5, 2.5), (math.inf, 0.5, 1.5))
"""Up to so many rows: the margin beyond each 20th number, as a share of the distance between the two; and by what a
number above 0 may be lower than the 20th. Of many rows the 20th is an extreme already, of few it is not."""
_FEW_ROWS = 200
_MOST_ZEROS = 0.5
"""Of the rows: where more have 0, it is a measurement like others, such as no cigarette a day."""


class Range(NamedTuple):
    """What is taken for real, and how many rows would not be."""

    low: float
    high: float
    below: int
    above: int


def zero_is_apart(numbers: Numbers) -> bool:
    """Whether 0 stands so far from all other numbers that it means that nothing was measured."""
    others = len(numbers.smallest_positive) == SHOWN_FROM and not numbers.negatives
    if not (numbers.zeros and others) or numbers.zeros > _MOST_ZEROS * numbers.count:
        return False
    found = range_of(numbers, without_zeros=True)
    lowest, highest = numbers.smallest_positive[-1], numbers.largest[0]
    return found is not None and found.below == 0 and lowest > (highest - lowest) / 4


def range_of(numbers: Numbers, without_zeros: bool) -> Range | None:
    """The range of the numbers, or of those above 0; None where they are too few, or beyond what a model carries."""
    smallest = numbers.smallest_positive if without_zeros else numbers.smallest
    count = numbers.count - (numbers.zeros if without_zeros else 0)
    if count < SHOWN_FROM or not math.isfinite(numbers.squares):
        return None
    # Of few rows the 20th from either end is near the middle.
    is_few = count < _FEW_ROWS
    inner = _spread(numbers, count) if is_few else (float(smallest[-1]), float(numbers.largest[0]))
    low, high = _widened(*inner, count)
    if low == high or max(abs(low), abs(high)) > LARGEST:
        return None
    if numbers.is_whole:
        low, high = math.floor(low), math.ceil(high)
    return Range(low, high, _count(smallest < low), _count(numbers.largest > high))


def _count(which: BoolArray) -> int:
    return int(np.count_nonzero(which))


def _spread(numbers: Numbers, count: int) -> tuple[float, float]:
    """Two standard deviations around the mean."""
    mean = numbers.total / count
    deviation = math.sqrt(max(numbers.squares / count - mean**2, 0))
    low, high = mean - 2 * deviation, mean + 2 * deviation
    return (low if numbers.negatives else max(low, 0.0), high)


def _widened(lowest: float, highest: float, count: int) -> tuple[float, float]:
    share, factor = next((share, factor) for rows, share, factor in _MARGINS if count <= rows)
    margin = share * (highest - lowest) or abs(lowest) / 2 or 0.5
    low, high = lowest - margin, highest + margin
    if lowest > 0:
        # Where the numbers reach over several sizes, so does the rare one beyond them.
        reach = (highest / lowest) ** (share / 3)
        low, high = max(low, lowest / max(reach, factor)), max(high, highest * reach)
    elif lowest == 0:
        low = 0
    return _outward(low, math.floor), _outward(high, math.ceil)


def _outward(bound: float, rounded: Callable[[float], int]) -> float:
    """With two digits."""
    if not SMALLEST <= abs(bound) <= LARGEST:
        return 0.0 if abs(bound) < SMALLEST else bound
    step = 10.0 ** (math.floor(math.log10(abs(bound))) - 1)
    return float(f"{rounded(bound / step) * step:.3g}")
