"""Rows from the driver -> arrays of measurements, NULL kept apart from NaN."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pima.core.validation import Measurements


def as_measurements(columns: Sequence[Sequence[Any]], rows: int) -> Measurements:
    """A column of floats and None for each feature -> arrays (rows, features)."""
    values = np.zeros((rows, len(columns)), dtype=np.float64)
    is_null = np.zeros_like(values, dtype=bool)
    for position, column in enumerate(columns):
        values[:, position] = np.array(column, dtype=np.float64)  # None becomes NaN
        unclear = np.flatnonzero(np.isnan(values[:, position]))
        is_null[unclear, position] = [column[row] is None for row in unclear.tolist()]
    values[is_null] = 0.0
    return Measurements(values, is_null)
