"""A threshold that has to reach a sensitivity or a specificity, chosen on rows whose outcomes are known.

The probabilities must come from models that did not learn from these rows: on its own training rows a model looks surer
than it is.
"""

import math
from fractions import Fraction

import numpy as np

from pima.core.arrays import Float64Array, Int8Array, Int64Array


def threshold_reaching(to_reach: str, probabilities: Float64Array, outcomes: Int8Array) -> float:
    """For "sensitivity >= 0.85" the largest threshold that reaches it on these rows (n,); for specificity the smallest.

    Both classes must be there. A probability that is no number calls nobody ill, and counts so.
    """
    what, _, share = to_reach.split()
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    if what == "sensitivity":
        of_cases = np.sort(known[outcomes == 1])[::-1]
        return float(of_cases[_needed(share, len(of_cases)) - 1])
    of_others = np.sort(known[outcomes == 0])
    return float(np.nextafter(of_others[_needed(share, len(of_others)) - 1], 2))


def _needed(share: str, rows: int) -> int:
    """So many of the rows are at least this share of them: exactly, as it is written."""
    return math.ceil(Fraction(share) * rows)


def stratified_folds(outcomes: Int8Array, folds: int, seed: int) -> Int64Array:
    """Which fold each row is in, (n,): each class is dealt out evenly, in an order drawn by the seed."""
    draw = np.random.default_rng(seed)
    found = np.empty(len(outcomes), dtype=np.int64)
    dealt = 0
    for outcome in (0, 1):
        rows = draw.permutation(np.flatnonzero(outcomes == outcome))
        found[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return found
