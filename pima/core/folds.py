"""Parting training rows once more, for what a fit has to find out about itself."""

import numpy as np

from pima.core.arrays import Int8Array, Int64Array


def stratified_folds(outcomes: Int8Array, folds: int, seed: int) -> Int64Array:
    """(n,) a fold's number for each row: by luck, each outcome dealt out evenly."""
    draw = np.random.default_rng(seed)
    numbers = np.empty(len(outcomes), dtype=np.int64)
    for outcome in (0, 1):
        rows = np.flatnonzero(outcomes == outcome)
        numbers[draw.permutation(rows)] = np.arange(len(rows)) % folds
    return numbers
