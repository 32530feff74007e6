"""Rows that are visits of persons: those of one person are alike, so they say less than as many
rows of as many persons."""

import math

import numpy as np

from pima.core.arrays import Float64Array, Int64Array

Persons = Int64Array | None
"""(n,): the number of each row's person, from 0 on; None if each row is its person's only one."""
MOST_ROWS_A_PERSON = 1.2
"""Up to so many rows a person, in the mean, each row counts for itself."""


def repeated(persons: Int64Array) -> int:
    """How many persons these rows are of, where they come again; 0 if each counts for itself."""
    count = int(np.count_nonzero(np.bincount(persons)))
    if len(persons) <= MOST_ROWS_A_PERSON * count:
        return 0
    return count


def widening(terms: Float64Array, persons: Persons) -> float:
    """How much wider a 95 % interval is by persons than by rows, where a figure is a sum of rows'
    terms (n,); 1 where rows count for themselves, and never less.

    Terms are summed by person (Liang and Zeger, Biometrika 1986, 73:13). Where all are alike,
    nothing tells how alike a person's are, and all rows of a person say as much as one. Student's t
    has persons - 1 degrees of freedom (Abramowitz and Stegun 26.7.5).
    """
    if persons is None:
        return 1.0
    count = repeated(persons)
    if not count:
        return 1.0
    sums = np.bincount(persons, terms - terms.mean())
    freedom = max(count - 1, 1)
    effect = len(terms) / count
    by_rows = effect * terms.var()
    if by_rows > 0:
        effect = max(1.0, (sums**2).sum() / freedom / by_rows)
    return math.sqrt(effect) * (1 + 1.21 / freedom + 1.44 / freedom**2)
