"""Evidence: what a model is worth on a set of rows, in all and by subgroup, and how much of it may be shown.

A clinic asks whom it tells apart, whether its probabilities hold, and whether acting on them does more good than harm
(Van Calster et al., Lancet Digital Health 2025).

Whoever knows a patient's probability, as every reader of predictions does, would see the outcome in a step of the
counts by threshold that is of that patient alone. So what is shown of a model stands on steps of `FEWEST_ROWS` rows,
the same for all figures, so that no two of them differ by fewer rows.
"""

from bisect import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.figures import (
    NO_CASES,
    NO_OTHERS,
    TABLED_THRESHOLDS,
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
    Called,
    Curve,
    Figure,
    Ranked,
    auroc,
    by_group,
    calibration_intercept,
    calibration_slope,
    called,
    decision_curve,
    mean,
    ranked,
    share,
    treating_all,
)
from pima.core.subgroups import FEW_ROWS, FEWEST_ROWS, Grouping, shown

NONE_CALLED = "no rows at the threshold or above"
ALL_CALLED = "no rows below the threshold"


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """The figures of one model on some rows."""

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
    """Both models on the rows of one subgroup; all is None where it may not be shown."""

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
    """It predicts 1 from here on."""


def evidence(
    outcomes: Int8Array, challenger: Answers | None, champion: Answers | None, found: tuple[Grouping, ...]
) -> Evidence:
    """Gather both models' evidence on a test set with outcomes (n,), n >= 1; `found` is how each feature divides it."""
    both = [
        None if each is None else (ranked(each.probabilities, outcomes), each.threshold)
        for each in (challenger, champion)
    ]
    of_challenger, of_champion = (None if each is None else _model_evidence(*each) for each in both)
    rows, positive = len(outcomes), int((outcomes == 1).sum())
    return Evidence(
        rows=rows,
        positive=positive,
        thresholds=THRESHOLDS,
        subgroup_thresholds=THRESHOLDS_OF_SUBGROUPS,
        treat_all=treating_all(positive, rows, THRESHOLDS),
        challenger=of_challenger,
        champion=of_champion,
        subgroups=tuple(each for grouping in found for each in _subgroups(outcomes, both, grouping)),
    )


def _model_evidence(rows: Ranked, threshold: float, of_subgroup: bool = False) -> ModelEvidence:
    thresholds = THRESHOLDS_OF_SUBGROUPS if of_subgroup else THRESHOLDS
    counts, at = called(rows, thresholds), called(rows, (threshold,))
    found, false_alarms, cases = at.cases[0], at.others[0], int(rows.cases.sum())
    others = len(rows) - cases
    return ModelEvidence(
        threshold,
        auroc(rows),
        mean(rows.log_losses, low=0),
        mean((rows.probabilities - rows.cases) ** 2, low=0, high=1),
        calibration_intercept(rows),
        calibration_slope(rows),
        share(found, cases, NO_CASES),
        share(others - false_alarms, others, NO_OTHERS),
        share(found, found + false_alarms, NONE_CALLED),
        share(others - false_alarms, len(rows) - found - false_alarms, ALL_CALLED),
        decision_curve(counts, len(rows), thresholds),
        None if of_subgroup else counts,
    )


def _subgroups(
    outcomes: Int8Array, both: Sequence[tuple[Ranked, float] | None], grouping: Grouping
) -> Iterator[SubgroupEvidence]:
    """Both models' evidence by group; `both` are their answers and thresholds."""
    sizes = grouping.sizes
    if sum(map(bool, sizes)) < 2:
        return
    are_shown = shown(sizes)
    positives = np.bincount(grouping.members, weights=outcomes == 1, minlength=len(sizes)).astype(int).tolist()
    challenger, champion = (_of_groups(each, grouping, are_shown) for each in both)
    for n, (group, size) in enumerate(zip(grouping.groups, sizes, strict=True)):
        if are_shown[n]:
            treat_all = treating_all(positives[n], size, THRESHOLDS_OF_SUBGROUPS)
            counts = (size, positives[n], size < FEW_ROWS)
            yield SubgroupEvidence(grouping.feature, group, *counts, treat_all, challenger[n], champion[n])
        elif size:
            yield SubgroupEvidence(grouping.feature, group, None, None, None, None, None, None)


def _of_groups(
    answers: tuple[Ranked, float] | None, grouping: Grouping, are_shown: tuple[bool, ...]
) -> list[ModelEvidence | None]:
    if answers is None:
        return [None] * len(are_shown)
    groups = by_group(answers[0], grouping.members, len(are_shown))
    return [
        _model_evidence(each, answers[1], of_subgroup=True) if is_shown else None
        for each, is_shown in zip(groups, are_shown, strict=True)
    ]


VERSION = 1
"""Grows when a reader of earlier documents would be misled; docs/measured/evidence.md tells what is in it."""


def document(evidence: Evidence) -> dict[str, Any]:
    """Convert evidence to JSON by the names of its fields, floats to five digits; `reason` only where there is one."""
    found: dict[str, Any] = _rounded(asdict(evidence))
    return {"version": VERSION, **found}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items() if name != "reason" or inner}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


_Counts = tuple[float, int, int]
"""A threshold, and the rows from there on: those with outcome 1, and the others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows whose probability lies between two bounds."""

    low: float
    high: float
    cases: int
    """With outcome 1."""
    others: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.cases + self.others


def may_be_shown(document: dict[str, Any] | None) -> bool:
    """Whether there is a document, and of rows enough to be nobody in particular."""
    return document is not None and document["rows"] >= FEWEST_ROWS


def cells(document: dict[str, Any], role: str) -> list[Cell]:
    """Divide the rows at each threshold, the model's own among them."""
    positive, model = document["positive"], document[role]
    everybody, called = (0.0, positive, document["rows"] - positive), model["called"]
    counts = [everybody, *zip(document["thresholds"], called["cases"], called["others"], strict=True), (1.0, 0, 0)]
    above = bisect([threshold for threshold, _, _ in counts], model["threshold"])
    if 0 < model["threshold"] < 1 and counts[above - 1][0] != model["threshold"]:
        counts.insert(above, _called_by_class(model, everybody, counts[above - 1 : above + 1]))
    return [
        Cell(low, high, cases - fewer_cases, others - fewer_others)
        for (low, cases, others), (high, fewer_cases, fewer_others) in pairwise(counts)
    ]


def _called_by_class(model: dict[str, Any], everybody: _Counts, beside: list[_Counts]) -> _Counts:
    """Count from the model's own threshold on: the figures of classes tell it, rounded, so between the counts beside
    it."""
    (_, most_cases, most_others), (_, fewest_cases, fewest_others) = beside
    cases = round((model["sensitivity"]["value"] or 0.0) * everybody[1])
    others = round((1 - (model["specificity"]["value"] or 0.0)) * everybody[2])
    within = (min(max(cases, fewest_cases), most_cases), min(max(others, fewest_others), most_others))
    return model["threshold"], *within


def blocks(document: dict[str, Any], role: str) -> list[list[Cell]]:
    """Join neighbouring cells, so that each block has `FEWEST_ROWS` rows, or all of them where there are fewer.

    They end at the model's own threshold and at those of the tables wherever that leaves enough on both sides. What its
    classes tell is known: where few rows lie on one side of its threshold, no block ends within so many of it.
    """
    parts = _split(cells(document, role), (document[role]["threshold"],))
    for bounds in (TABLED_THRESHOLDS, document["thresholds"]):
        parts = [piece for part in parts for piece in together(_split(part, bounds), FEWEST_ROWS)]
    return together(parts, FEWEST_ROWS)


def shown_thresholds(document: dict[str, Any], role: str) -> set[float]:
    """The thresholds of the document at which a block begins."""
    return {block[0].low for block in blocks(document, role)[1:]}


def _split(part: list[Cell], bounds: Collection[float]) -> list[list[Cell]]:
    """Split before each cell that begins at one of the bounds."""
    pieces = [part[:1]]
    for cell in part[1:]:
        if cell.low in bounds:
            pieces.append([])
        pieces[-1].append(cell)
    return pieces


def together(pieces: list[list[Cell]], fewest: int) -> list[list[Cell]]:
    """Join each piece with those after it until there are so many rows; what is left at the end joins the last."""
    found: list[list[Cell]] = []
    for piece in pieces:
        if found and joined(found[-1]).rows < fewest:
            found[-1] = found[-1] + piece
        else:
            found.append(piece)
    if len(found) > 1 and joined(found[-1]).rows < fewest:
        found[-2:] = [found[-2] + found[-1]]
    return found


def joined(part: list[Cell]) -> Cell:
    """Join neighbouring cells, one or more, to one."""
    return Cell(part[0].low, part[-1].high, sum(each.cases for each in part), sum(each.others for each in part))
