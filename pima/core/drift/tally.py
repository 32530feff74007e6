"""What was counted of scored rows: enough for every figure of a night, whoever adds the parts up."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float64Array
from pima.core.drift.bins import counts_in
from pima.core.drift.reference import Reference, Rejected
from pima.core.validation import Validated


class Tally(Struct, frozen=True):
    """Of some rows that one version scored or rejected."""

    rows: int = 0
    accepted: int = 0
    positive: int = 0
    """Rows that it predicts 1 for."""
    expected: float = 0.0
    """How many predictions come true if the probabilities hold."""
    features: tuple[tuple[int, ...], ...] = ()
    """Of each feature the accepted rows by the reference's bins; empty without a reference."""
    probability: tuple[int, ...] = ()
    """The same of the probability."""
    rejected: Rejected = {}
    """By what was wrong with them."""


def tally_of(validated: Validated, probabilities: Float64Array, threshold: float, reference: Reference | None) -> Tally:
    """Of one batch, with the probabilities (accepted,)."""
    is_positive = probabilities >= threshold
    columns = np.ascontiguousarray(validated.features.T)
    return Tally(
        rows=len(validated.accepted) + len(validated.rejected),
        accepted=len(validated.accepted),
        positive=int(np.count_nonzero(is_positive)),
        expected=float(np.where(is_positive, probabilities, 1 - probabilities).sum()),
        features=()
        if reference is None
        else tuple(counts_in(bins, column) for bins, column in zip(reference.features, columns, strict=True)),
        probability=() if reference is None else counts_in(reference.probability, probabilities),
        rejected=dict(Counter(map(" ".join, zip(validated.reasons, validated.fields, strict=True)))),
    )


def added(tallies: Iterable[Tally]) -> Tally:
    """Of several parts, all counted by the same reference; an empty one where there are none."""
    found = tuple(tallies)
    if not found:
        return Tally()
    rejected: Counter[str] = Counter()
    for each in found:
        rejected.update(each.rejected)
    return Tally(
        rows=sum(each.rows for each in found),
        accepted=sum(each.accepted for each in found),
        positive=sum(each.positive for each in found),
        expected=sum(each.expected for each in found),
        features=tuple(_summed(column) for column in zip(*(each.features for each in found), strict=True)),
        probability=_summed([each.probability for each in found]),
        rejected=dict(rejected),
    )


def _summed(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))
