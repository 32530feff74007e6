"""What a model is worth on a set of rows, as a clinic asks it: whom it tells apart, whether its probabilities hold, and
whether acting on them does more good than harm (Van Calster et al., Lancet Digital Health 2025), in all and by
subgroup."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.evidence.bands import Grouping
from pima.core.evidence.calibration import calibration_intercept, calibration_slope
from pima.core.evidence.decision_curve import (
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
    Called,
    Curve,
    called,
    decision_curve,
    treating_all,
)
from pima.core.evidence.discrimination import auroc
from pima.core.evidence.figures import NO_CASES, NO_OTHERS, Figure, mean, share
from pima.core.evidence.ranked import Ranked, by_group, ranked
from pima.core.evidence.subgroups import FEW_ROWS, shown

NONE_CALLED = "no rows at the threshold or above"
ALL_CALLED = "no rows below the threshold"


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """What one model got on some rows."""

    threshold: float
    """Of the four figures of classes: its own, as in service."""
    auroc: Figure
    log_loss: Figure
    """In nats; lower is better."""
    brier: Figure
    """Lower is better."""
    calibration_intercept: Figure
    """0 is best."""
    calibration_slope: Figure
    """1 is best."""
    sensitivity: Figure
    specificity: Figure
    positive_predictive_value: Figure
    negative_predictive_value: Figure
    net_benefit: Curve
    called: Called | None
    """None of a subgroup, of which it would tell too much."""


@dataclass(frozen=True, slots=True)
class SubgroupEvidence:
    """The same on the rows of one subgroup; all is None where it may not be shown."""

    feature: str
    group: str
    rows: int | None
    positive: int | None
    """Rows with outcome 1."""
    few: bool | None
    """Whether the rows are so few that the figures say little."""
    treat_all: Curve | None
    challenger: ModelEvidence | None
    champion: ModelEvidence | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Challenger and champion on the same rows, those of a verdict."""

    rows: int
    positive: int
    """Rows with outcome 1."""
    thresholds: tuple[float, ...]
    """Of `net_benefit`, `called` and `treat_all`."""
    subgroup_thresholds: tuple[float, ...]
    """Of the subgroups' `net_benefit` and `treat_all`."""
    treat_all: Curve
    """Treating none has 0 everywhere."""
    challenger: ModelEvidence | None
    """None where its outputs are not even numbers."""
    champion: ModelEvidence | None
    """None where there is none to compare with."""
    subgroups: tuple[SubgroupEvidence, ...]
    """By feature, in the order of the declaration; of features that divide these rows."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers on the test set."""

    probabilities: Float64Array
    """(n,), finite"""
    threshold: float
    """From which on it predicts 1."""


def evidence(
    outcomes: Int8Array, challenger: Answers | None, champion: Answers | None, found: tuple[Grouping, ...]
) -> Evidence:
    """Of a test set with outcomes (n,), n >= 1, and how each feature divides it."""
    both = _Both(_sorted(challenger, outcomes), _sorted(champion, outcomes))
    rows, positive = len(outcomes), int((outcomes == 1).sum())
    return Evidence(
        rows=rows,
        positive=positive,
        thresholds=THRESHOLDS,
        subgroup_thresholds=THRESHOLDS_OF_SUBGROUPS,
        treat_all=treating_all(positive, rows, THRESHOLDS),
        challenger=None if both.challenger is None else _model_evidence(*both.challenger),
        champion=None if both.champion is None else _model_evidence(*both.champion),
        subgroups=tuple(each for grouping in found for each in _subgroups(outcomes, both, grouping)),
    )


_Sorted = tuple[Ranked, float]
"""A model's answers and its threshold."""


@dataclass(frozen=True, slots=True)
class _Both:
    challenger: _Sorted | None
    champion: _Sorted | None


def _sorted(answers: Answers | None, outcomes: Int8Array) -> _Sorted | None:
    return None if answers is None else (ranked(answers.probabilities, outcomes), answers.threshold)


def _model_evidence(rows: Ranked, threshold: float, of_subgroup: bool = False) -> ModelEvidence:
    thresholds = THRESHOLDS_OF_SUBGROUPS if of_subgroup else THRESHOLDS
    counts = called(rows, thresholds)
    return ModelEvidence(
        threshold,
        auroc(rows),
        mean(rows.log_losses, low=0),
        mean((rows.probabilities - rows.cases) ** 2, low=0, high=1),
        calibration_intercept(rows),
        calibration_slope(rows),
        *_of_classes(rows, threshold),
        decision_curve(counts, len(rows), thresholds),
        None if of_subgroup else counts,
    )


def _of_classes(rows: Ranked, threshold: float) -> tuple[Figure, Figure, Figure, Figure]:
    """Sensitivity, specificity, positive and negative predictive value."""
    at = called(rows, (threshold,))
    found, false_alarms, cases = at.cases[0], at.others[0], int(rows.cases.sum())
    others = len(rows) - cases
    return (
        share(found, cases, NO_CASES),
        share(others - false_alarms, others, NO_OTHERS),
        share(found, found + false_alarms, NONE_CALLED),
        share(others - false_alarms, len(rows) - found - false_alarms, ALL_CALLED),
    )


def _subgroups(outcomes: Int8Array, both: _Both, grouping: Grouping) -> Iterator[SubgroupEvidence]:
    sizes = grouping.sizes
    if sum(map(bool, sizes)) < 2:
        return
    are_shown = shown(sizes)
    positives = np.bincount(grouping.members, weights=outcomes == 1, minlength=len(sizes)).astype(int).tolist()
    challenger, champion = (_of_groups(each, grouping, are_shown) for each in (both.challenger, both.champion))
    for n, (group, size) in enumerate(zip(grouping.groups, sizes, strict=True)):
        if are_shown[n]:
            treat_all = treating_all(positives[n], size, THRESHOLDS_OF_SUBGROUPS)
            counts = (size, positives[n], size < FEW_ROWS)
            yield SubgroupEvidence(grouping.feature, group, *counts, treat_all, challenger[n], champion[n])
        elif size:
            yield SubgroupEvidence(grouping.feature, group, None, None, None, None, None, None)


def _of_groups(answers: _Sorted | None, grouping: Grouping, are_shown: tuple[bool, ...]) -> list[ModelEvidence | None]:
    """Of each group; None of those that may not be shown."""
    if answers is None:
        return [None] * len(are_shown)
    rows, threshold = answers
    return [
        _model_evidence(each, threshold, of_subgroup=True) if is_shown else None
        for each, is_shown in zip(by_group(rows, grouping.members, len(are_shown)), are_shown, strict=True)
    ]
