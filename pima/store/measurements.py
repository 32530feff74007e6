"""Rows from the driver -> arrays of measurements, NULL kept apart from NaN."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pima.core.features import FEATURE_NAMES
from pima.core.validation import Measurements


def as_measurements(columns: Sequence[Sequence[Any]], rows: int) -> Measurements:
    """Eight columns of floats and None -> arrays (rows, 8)."""
    values = np.zeros((rows, len(FEATURE_NAMES)), dtype=np.float64)
    is_null = np.zeros_like(values, dtype=bool)
    for position, column in enumerate(columns):
        values[:, position] = np.array(column, dtype=np.float64)  # None becomes NaN
        unclear = np.flatnonzero(np.isnan(values[:, position]))
        is_null[unclear, position] = [column[row] is None for row in unclear.tolist()]
    values[is_null] = 0.0
    return Measurements(values, is_null)
