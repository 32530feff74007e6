"""Counts of served predictions, made of rows as the database makes them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pima.core.outcomes.served import Served

MONDAY = 20_787
"""The number of a day that is a Monday: 2026-11-30."""


def counts_of(
    probabilities: Sequence[float],
    outcomes: Sequence[int],
    days: Sequence[int] | int = MONDAY,
    versions: Sequence[int] | int = 1,
    thresholds: Sequence[float] | float = 0.5,
) -> Served:
    """The counts of predictions whose outcome is known, in the order of their keys."""
    p = np.array(probabilities, dtype=float)
    keys = np.zeros((5, len(p)), dtype=np.int64)
    keys[0] = versions
    keys[1] = days
    keys[3] = p >= thresholds
    keys[4] = np.round(10 * np.log(p / (1 - p)))
    found, place = np.unique(keys, axis=1, return_inverse=True)
    place = place.reshape(-1)

    def sums(of: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return np.bincount(place, weights=of, minlength=found.shape[1]).astype(np.float64)

    none = np.zeros(found.shape[1], dtype=np.int64)
    ones = sums(np.array(outcomes, dtype=float)).astype(np.int64)
    version, day, predicted_in, is_one, bins = found
    keyed = (version, day, predicted_in, is_one, bins)
    return Served(*keyed, sums().astype(np.int64), ones, sums(p), none, none.astype(float), none)
