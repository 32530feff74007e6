"""The figures of a night: how each feature and the probability are distributed beside the training rows, what is
missing, what was rejected, how many are predicted positive, and how many predictions should come true."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from pima.core.drift.bins import Bins
from pima.core.drift.distances import (
    population_stability_index,
    psi_allowed,
    share_allowed,
    wasserstein,
    wasserstein_allowed,
)
from pima.core.drift.reference import Reference
from pima.core.drift.tally import Tally
from pima.core.drift.watched import State, Watched, alerts
from pima.core.evidence.figures import Z_95_PERCENT

MINIMUM_ROWS = 200
"""Accepted or rejected, pooled over the last nights where one has fewer: a night of which all are rejected has rows."""
MINIMUM_KNOWN = 100
"""Of these, rows that a figure rests on; what chance does to so few is in the limits."""
MISSING_ALLOWED = 0.05
REJECTED_ALLOWED = 0.05
POSITIVE_ALLOWED = 0.10
"""Of the share; and what luck does besides."""

NightsBefore = Sequence[Collection[str]]
"""Of each night before with rows enough, newest first: the names of the figures that were beyond their limit."""


def night_figures(
    names: Sequence[str], night: Tally, reference: Reference | None, before: NightsBefore
) -> tuple[Watched, ...]:
    """Of a night, pooled with others perhaps, and the version's features by name."""
    is_enough = night.rows >= MINIMUM_ROWS
    return tuple(_with_state(each, is_enough, before) for each in _figures(names, night, reference))


def _with_state(found: Watched, is_enough: bool, before: NightsBefore) -> Watched:
    if not is_enough or found.rows < MINIMUM_KNOWN:
        return Watched(found.feature, found.figure, None, found.rows, state=State.INSUFFICIENT_DATA)
    is_alert = found.state == State.USUAL and alerts(found.is_beyond, found.name, before)
    return replace(found, state=State.ALERT) if is_alert else found


def _figures(names: Sequence[str], night: Tally, reference: Reference | None) -> Iterator[Watched]:
    yield from _positive(night, reference)
    yield expected_accuracy(night.expected, night.accepted)
    if reference is not None:
        yield from _distances("", "probability_", night.probability, reference.probability)
        for name, counts, bins in zip(names, night.features, reference.features, strict=True):
            yield from _distances(name, "", counts, bins)
            missing = night.accepted - sum(counts)
            learned = reference.rows - bins.known
            yield _share(name, "missing", missing, night.accepted, learned, reference.rows, MISSING_ALLOWED)
    yield from _rejected(night, reference)


def _positive(night: Tally, reference: Reference | None) -> Iterator[Watched]:
    learned, of = (None, 0) if reference is None else (reference.positive, reference.rows)
    yield _share("", "predicted_positive", night.positive, night.accepted, learned, of, POSITIVE_ALLOWED)


def _rejected(night: Tally, reference: Reference | None) -> Iterator[Watched]:
    """One for each reason and column of which there are any."""
    usual = {} if reference is None else reference.rejected
    for key in sorted(night.rejected.keys() | usual.keys()):
        reason, _, feature = key.partition(" ")
        learned, of = (None, 0) if reference is None else (usual.get(key, 0), reference.labelled)
        rows = night.rejected.get(key, 0)
        yield _share(feature, f"rejected_{reason}", rows, night.rows, learned, of, REJECTED_ALLOWED)


def _share(
    feature: str,
    figure: str,
    counted: int,
    of: int,
    reference: int | None,
    of_reference: int,
    floor: float,
) -> Watched:
    value = counted / of if of else None
    if reference is None or not of_reference:
        return Watched(feature, figure, value, of, state=State.NO_REFERENCE)
    allowed = share_allowed(floor, counted, of, reference, of_reference) if of else None
    return Watched(feature, figure, value, of, reference / of_reference, allowed)


def _distances(feature: str, prefix: str, counts: Sequence[int], bins: Bins) -> Iterator[Watched]:
    """No distance where the training rows are all in one bin; none from number to number where they are alike."""
    known = sum(counts)
    for figure, distance, allowed, has_it in (
        ("psi", population_stability_index, psi_allowed, len(bins.counts) > 1),
        ("wasserstein", wasserstein, wasserstein_allowed, bool(bins.steps)),
    ):
        if not has_it:
            continue
        if known < MINIMUM_KNOWN:
            yield Watched(feature, f"{prefix}{figure}", None, known, state=State.INSUFFICIENT_DATA)
        else:
            yield Watched(feature, f"{prefix}{figure}", distance(counts, bins), known, 0.0, allowed(known, bins))


def expected_accuracy(expected: float, rows: int) -> Watched:
    """The share of predictions that come true if the probabilities hold, with the interval of what so many rows will
    show: an estimate, which drift and bad calibration make wrong.

    The variance is that of a share, which is never smaller than the sum of the single rows' own.
    """
    if not rows:
        return Watched("", "estimated_accuracy", None, 0, state=State.INSUFFICIENT_DATA)
    value = expected / rows
    margin = Z_95_PERCENT * math.sqrt(max(0.0, value * (1 - value)) / rows)
    return Watched("", "estimated_accuracy", value, rows, low=max(0.0, value - margin), high=min(1.0, value + margin))
