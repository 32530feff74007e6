"""The numbers of a column while it is read: how many, and the 20 at each end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pima.core.arrays import Float64Array, Int64Array
from pima.suggesting.shown import SHOWN_FROM

_NONE: Float64Array = np.empty(0)


@dataclass(slots=True)
class Numbers:
    """What is kept of them."""

    count: int = 0
    zeros: int = 0
    negatives: int = 0
    is_whole: bool = True
    """Whether all of them are whole numbers."""
    total: float = 0.0
    squares: float = 0.0
    """The sum of their squares."""
    smallest: Float64Array = field(default_factory=_NONE.copy)
    """At most 20 rows' numbers, ascending."""
    smallest_positive: Float64Array = field(default_factory=_NONE.copy)
    """The same of those above 0."""
    largest: Float64Array = field(default_factory=_NONE.copy)
    """At most 20 rows' numbers, ascending."""

    def take(self, values: Sequence[float], counts: Sequence[int]) -> None:
        """Different finite numbers, and how many rows have each."""
        if not values:
            return
        numbers, rows = np.array(values, np.float64), np.array(counts, np.int64)
        self.count += int(rows.sum())
        self.zeros += int(rows[numbers == 0].sum())
        self.negatives += int(rows[numbers < 0].sum())
        self.is_whole = self.is_whole and bool((numbers == np.floor(numbers)).all())
        with np.errstate(over="ignore"):  # what is too large for a sum is too large for a range
            self.total += float((numbers * rows).sum())
            self.squares += float((numbers**2 * rows).sum())
        each = _each(numbers, rows)
        self.smallest = np.sort(np.concatenate([self.smallest, each]))[:SHOWN_FROM]
        self.smallest_positive = np.sort(np.concatenate([self.smallest_positive, each[each > 0]]))[:SHOWN_FROM]
        self.largest = np.sort(np.concatenate([self.largest, each]))[-SHOWN_FROM:]


def _each(numbers: Float64Array, rows: Int64Array) -> Float64Array:
    """A number for each row, of equal ones no more than are kept."""
    found: Float64Array = np.repeat(numbers, np.minimum(rows, SHOWN_FROM))
    return found
