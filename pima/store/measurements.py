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
        objects = np.empty(rows, dtype=object)
        objects[:] = column
        is_null[:, position] = objects == None  # noqa: E711 (element by element)
        values[:, position] = np.where(is_null[:, position], 0.0, objects).astype(np.float64)
    return Measurements(values, is_null)
