"""Rows of a source as a record that can be put aside: a few bytes for each number, and no object."""

from typing import Any

import numpy as np

from pima.core.mapping import SourceRows
from pima.core.validation import Measurements


def packed(rows: SourceRows) -> list[Any]:
    """As `RecordFile` takes it."""
    measured = (rows.measurements.values, rows.measurements.is_null)
    arrays = (rows.outcomes, rows.labelled_at, rows.rejected, *measured)
    return [rows.keys, rows.persons, *(array.tobytes() for array in arrays)]


def unpacked(record: list[Any], features: int) -> SourceRows:
    """The rows again, of so many features."""
    keys, persons, outcomes, labelled_at, rejected, values, is_null = record
    shape = (len(keys), features)
    return SourceRows(
        keys,
        persons,
        np.frombuffer(outcomes, np.int8),
        np.frombuffer(labelled_at, np.int64),
        Measurements(np.frombuffer(values, np.float64).reshape(shape), np.frombuffer(is_null, bool).reshape(shape)),
        np.frombuffer(rejected, bool),
    )
