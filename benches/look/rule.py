"""The rule by which the one look is read. It was written before anything was fitted on these
tables, and is not changed after."""

from benches.accuracy.peers import (
    BOOSTING,
    CATBOOST,
    EXPLAINABLE,
    LOGISTIC_REGRESSION,
    RANDOM_FOREST,
)
from benches.tables.candidates import STRAIGHT_LINE

SIZES = (100, 300, 1000, 3000)
"""Training rows of a cell."""
NEARLY = 2000
"""In place of 3,000 where a fold has too few for that, but so many."""
FOLDS = 5
"""Enough for an error of each mean, and as many as 25 minutes of one core allow."""
LEAST_FOLDS = 3
"""Folds are asked one after the other, these before the slow rivals. If the time of the machine
ends before the last, the folds that are complete are read."""

RULED = (LOGISTIC_REGRESSION, STRAIGHT_LINE)
"""The rivals that a cell is about: in each size of each table, one cell for each."""
REALMLP = "RealMLP"
OTHERS = {RANDOM_FOREST: FOLDS, BOOSTING: FOLDS, CATBOOST: 2, EXPLAINABLE: 1, REALMLP: 1}
"""Asked at one size of each table, on so many folds, the first. They are told, and the rule is
about none of them."""
OTHERS_SIZE = 1000
"""Or the largest size of a smaller table."""

NOISY = ("heart_elsewhere", "mgus2")
"""With 60 columns of noise beside their own, at their largest size: the smallest table, and the
next one in which outcomes are not rare."""
NOISE_RIVAL = RANDOM_FOREST

MOST_BEHIND = 3
"""Cells in which we may be behind by `BEHIND` standard errors, of all."""
BEHIND = 2.0
FAR_BEHIND = 3.0
"""In no cell may we be behind by so many."""


def sizes(rows: int) -> list[int]:
    """The sizes of a table of so many rows."""
    of_a_fold = rows * (FOLDS - 1) // FOLDS
    found = [size for size in SIZES if size <= of_a_fold]
    if found[-1] < NEARLY <= of_a_fold:
        found.append(NEARLY)
    return found
