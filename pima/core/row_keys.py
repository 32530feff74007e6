"""On which side of the holdout rows with keys are, and on which none: by what they were called when they first came.

A person's rows are visits, and belong on one side. What was learned from can't be judged on afterwards, so nothing
moves over where a person arrives, or is corrected, later: such rows are used for neither side.
"""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Int64Array, UInt64Array
from pima.core.holdout import below, ranks


@dataclass(frozen=True, slots=True)
class RowKeys:
    """What labelled rows are called, as the tables hold it."""

    first: list[str]
    """(n,), by what each row's side was decided when it first came: `person KEY`, `source NAME KEY`, or its id."""
    persons: list[str | None]
    """(n,), each row's person by now; None where it has none."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The same, as sides need it."""

    ranks: UInt64Array
    """(n,), each row's place in the range of the holdout's hash, by what it was called first."""
    has_person: BoolArray
    """(n,)"""

    def rows(self, which: BoolArray | Int64Array) -> "Ranked":
        """Some of the rows; `which` is (n,), or their numbers."""
        return Ranked(self.ranks[which], self.has_person[which])


def ranked(keys: RowKeys, salt: str) -> Ranked:
    """The rows' ranks."""
    has_person = np.fromiter((person is not None for person in keys.persons), bool, count=len(keys.persons))
    return Ranked(ranks(map(str.encode, keys.first), salt), has_person)


def undecided(keys: RowKeys, rows: Ranked, salt: str, share: float) -> BoolArray:
    """Which rows are of a person of whom some row is on another side than the person is, (n,).

    So neither of a person with rows on both sides, nor a row whose person came later and belongs elsewhere.
    """
    named = (f"person {person}".encode() for person in keys.persons if person is not None)
    persons = np.zeros_like(rows.ranks)
    persons[rows.has_person] = ranks(named, salt)
    # By ranks, and not by name: that two of a million persons share theirs is one in some 40 million.
    astray = persons[rows.has_person & (below(persons, share) != below(rows.ranks, share))]
    return rows.has_person & np.isin(persons, astray)
