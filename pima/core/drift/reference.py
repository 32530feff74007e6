"""What a version's training rows look like, kept with it: what its nights are compared with."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float32Array, Float64Array
from pima.core.drift.bins import Bins, bins_of, number_bins
from pima.core.features import Features

Rejected = dict[str, int]
"""Rows by what was wrong with them: the reason's code, a space, the column."""


class Reference(Struct, frozen=True):
    """Of the rows that a version learned from; no row's value stands in it."""

    rows: int
    positive: int
    """Rows that the version predicts 1 for."""
    features: tuple[Bins, ...]
    """In the version's order."""
    probability: Bins
    """What the version gives the rows."""
    labelled: int
    """All rows with an outcome, those that could not be used included."""
    rejected: Rejected
    """Of these, those that break a rule."""


def reference_of(
    features: Features,
    rows: Float32Array,
    probabilities: Float64Array,
    threshold: float,
    labelled: int,
    rejected: Mapping[str, int],
) -> Reference:
    """Of training rows (n, features), NaN where missing, n >= 1, and their probabilities (n,)."""
    columns = np.ascontiguousarray(rows.T)
    return Reference(
        rows=len(rows),
        positive=int(np.count_nonzero(probabilities >= threshold)),
        features=tuple(bins_of(feature, column) for feature, column in zip(features, columns, strict=True)),
        probability=number_bins(probabilities),
        labelled=labelled,
        rejected=dict(rejected),
    )
