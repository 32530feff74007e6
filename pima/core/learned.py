"""Which holdout rows a model version can't have learned from."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Int64Array
from pima.core.history import Side
from pima.core.holdout import in_holdout
from pima.core.row_keys import Ranked
from pima.core.twins import twins_unless_known


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model version was fitted on, as far as that is known."""

    holdout_share: float
    """The share under which it was fitted: it learned from nobody below it."""
    patient_ids: Int64Array | None = None
    """(m,), of the rows that it learned from; None where they are not known."""
    features: Float32Array | None = None
    """(m, features), of the same rows; None where they are not kept."""
    ranked: Ranked | None = None
    """Of the same rows, by what they were called first and whose they are by now; None where no row has had a key."""
    left_no_trace: bool = False
    """Whether nearly all of the same rows are gone and had nothing but an id."""


def unseen_by(
    learned: Learned, holdout: Side, features: Float32Array, salt: str, by_features: bool = True
) -> BoolArray:
    """Which rows of a holdout, with their features as the version takes them, it can't have learned from, (n,).

    No clock is asked: a row that was deleted and comes in again, or out of a backup, looks new by every time in it.
    """
    seen = np.zeros(len(holdout), dtype=bool)
    if learned.left_no_trace:
        # A history that was deleted, to come again by a pull: with other values each row may be anybody's.
        seen |= holdout.came_by_key
    if learned.features is None:
        seen |= ~_held_out(learned, holdout, salt)
    elif by_features:
        has_person = np.zeros(len(learned.features), bool) if learned.ranked is None else learned.ranked.has_person
        twins = twins_unless_known(features, holdout.has_person, learned.features, has_person)
        seen |= holdout.with_persons(twins)
    if learned.patient_ids is not None:
        seen |= np.isin(holdout.patient_ids, learned.patient_ids)
    if learned.ranked is not None and holdout.ranked is not None:
        rows = learned.ranked
        persons = np.concatenate([rows.ranks, rows.persons[rows.has_person]])
        seen |= holdout.ranked.has_person & np.isin(holdout.ranked.persons, persons)
    return ~seen


def _held_out(learned: Learned, holdout: Side, salt: str) -> BoolArray:
    """Which rows the hash has kept from the version, (n,)."""
    held = holdout.in_holdout(salt, learned.holdout_share)
    if holdout.ranked is None:
        return held
    if learned.patient_ids is None:
        # A row may have been there under its id alone, been deleted, and come again with a key, by which it goes since.
        held &= in_holdout(holdout.patient_ids, salt, learned.holdout_share)
    # Under that share a person may have had rows on both sides, and under this one not.
    return held & ~holdout.ranked.undecided(learned.holdout_share)
