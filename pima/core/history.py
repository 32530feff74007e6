"""The labelled history, parted into what a model learns from and what it is judged on."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Int8Array, Int64Array
from pima.core.holdout import in_holdout, twins_of
from pima.core.validation import Measurements, validate


@dataclass(frozen=True, slots=True)
class Side:
    """Labelled rows that can be used."""

    patient_ids: Int64Array
    """(n,)"""
    features: Float32Array
    """(n, 8), NaN where missing"""
    outcomes: Int8Array
    """(n,), 0 or 1"""

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def of_each_class(self) -> tuple[int, int]:
        """How many rows have outcome 0 and outcome 1."""
        positive = int(self.outcomes.sum())
        return len(self) - positive, positive


@dataclass(frozen=True, slots=True)
class Parted:
    """The history as one retraining sees it."""

    training: Side
    holdout: Side
    left_out: dict[str, int]
    """Rows that are used for nothing, by reason: the rejections' codes, and `twin_of_holdout`."""
    fingerprint: str
    """sha256 over ids, features and outcomes of both sides: the same history has the same one."""


def part(
    patient_ids: Int64Array, measurements: Measurements, outcomes: Int8Array, salt: str, holdout_share: float
) -> Parted:
    """Leave the invalid rows out, split by the salted hash of the id, keep twins of holdout rows out of training."""
    checked = validate(measurements)
    usable = Side(patient_ids[checked.accepted], checked.features, outcomes[checked.accepted])
    held = in_holdout(usable.patient_ids, salt, holdout_share)
    holdout, rest = _rows(usable, held), _rows(usable, ~held)
    twins = twins_of(rest.features, holdout.features)
    training = _rows(rest, ~twins)
    left_out = dict(Counter(checked.reasons))
    if twins.any():
        left_out["twin_of_holdout"] = int(twins.sum())
    return Parted(training, holdout, left_out, _fingerprint(training, holdout))


def _rows(side: Side, which: BoolArray) -> Side:
    return Side(side.patient_ids[which], side.features[which], side.outcomes[which])


def _fingerprint(*sides: Side) -> str:
    digest = hashlib.sha256()
    for side in sides:
        digest.update(b"%d" % len(side))
        for array in (
            side.patient_ids,
            np.where(np.isnan(side.features), np.float32(np.nan), side.features),
            side.outcomes,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def shortage(parted: Parted, minimum_labels: int, minimum_of_each_class: int) -> str | None:
    """What is missing for a fair fit and a fair judgement; None where there is enough. Counts only."""
    labels = len(parted.training) + len(parted.holdout)
    if labels < minimum_labels:
        return f"{labels} usable labelled rows, {minimum_labels} needed"
    for name, side in (("training", parted.training), ("holdout", parted.holdout)):
        for outcome, rows in enumerate(side.of_each_class):
            if rows < minimum_of_each_class:
                return f"{rows} {name} rows with outcome {outcome}, {minimum_of_each_class} needed"
    return None
