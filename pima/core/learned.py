"""Which holdout rows a model version can't have learned from."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Int64Array
from pima.core.history import Side
from pima.core.row_keys import Ranked
from pima.core.twins import twins_unless_known


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model version was fitted on."""

    patient_ids: Int64Array
    """(m,), of the rows that it learned from"""
    features: Float32Array | None = None
    """(m, features), of the same rows; None where they are not kept."""
    ranked: Ranked | None = None
    """Of the same rows, by what they were called first and whose they are by now; None where no row has had a key."""


def unseen_by(learned: Learned, holdout: Side, features: Float32Array, by_features: bool = True) -> BoolArray:
    """Which rows of a holdout, with their features as the version takes them, it can't have learned from, (n,).

    No clock is asked: a row that was deleted and comes in again, or out of a backup, looks new by every time in it.
    """
    seen = np.isin(holdout.patient_ids, learned.patient_ids)
    if learned.features is not None and by_features:
        has_person = np.zeros(len(learned.features), bool) if learned.ranked is None else learned.ranked.has_person
        twins = twins_unless_known(features, holdout.has_person, learned.features, has_person)
        seen |= holdout.with_persons(twins)
    if learned.ranked is not None and holdout.ranked is not None:
        rows = learned.ranked
        persons = np.concatenate([rows.ranks, rows.persons[rows.has_person]])
        seen |= holdout.ranked.has_person & np.isin(holdout.ranked.persons, persons)
    return ~seen
