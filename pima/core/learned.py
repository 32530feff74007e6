"""Which holdout rows a model version can't have learned from."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array
from pima.core.history import Side
from pima.core.twins import twins_unless_known


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model version was fitted on, as far as that is known."""

    holdout_share: float
    """The share under which it was fitted: it learned from nobody below it."""
    rows: Side | None
    """The very rows, by what they are called by now; None where they are not kept."""


def unseen_by(
    learned: Learned, holdout: Side, features: Float32Array, salt: str, by_features: bool = True
) -> BoolArray:
    """Which rows of a holdout, with their features as the version takes them, it can't have learned from, (n,).

    No clock is asked: a row that was deleted and comes in again, or out of a backup, looks new by every time in it.
    """
    if learned.rows is None:
        held = holdout.in_holdout(salt, learned.holdout_share)
        # Under that share a person may have had rows on both sides, and under this one not.
        return held if holdout.ranked is None else held & ~holdout.ranked.undecided(learned.holdout_share)
    seen = np.isin(holdout.patient_ids, learned.rows.patient_ids) | _are_of_its_persons(learned.rows, holdout)
    if by_features:
        rows = learned.rows
        seen |= holdout.with_persons(twins_unless_known(features, holdout.has_person, rows.features, rows.has_person))
    return ~seen


def _are_of_its_persons(rows: Side, holdout: Side) -> BoolArray:
    """Which rows of the holdout are of a person whom some of these rows have, or were called by, (n,)."""
    if rows.ranked is None or holdout.ranked is None:
        return np.zeros(len(holdout), dtype=bool)
    persons = np.concatenate([rows.ranked.ranks, rows.ranked.persons[rows.ranked.has_person]])
    return holdout.ranked.has_person & np.isin(holdout.ranked.persons, persons)
