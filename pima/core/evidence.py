"""Evidence: a model's figures on a set of rows, in all and by subgroup, and how much of them may be
shown.

A clinic asks how well a model tells cases from others, whether its probabilities hold, and whether
acting on them does more good than harm (Van Calster et al., Lancet Digital Health 2025).

Every reader of predictions knows the patients' probabilities. A step in the counts by threshold
that is due to one patient alone would reveal that patient's outcome. So a model's figures are shown
in steps of at least `FEWEST_ROWS` rows, the same steps for all figures, and no two figures differ
by fewer rows.
"""

from bisect import bisect
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pima.core.contest import Contest, Role
from pima.core.figures import (
    FEW_ROWS,
    FEWEST_ROWS,
    NO_CASES,
    NO_OTHERS,
    TABLED_THRESHOLDS,
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
    Called,
    Curve,
    Figure,
    auroc,
    calibration_intercept,
    calibration_slope,
    called,
    decision_curve,
    mean,
    ranked,
    share,
    shown,
    treating_all,
)
from pima.core.subgroups import sizes_of

NONE_CALLED = "no rows at the threshold or above"
ALL_CALLED = "no rows below the threshold"


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """The figures of one model on some rows."""

    threshold: float
    """The model's own, as in service; the four figures of classes are taken at it."""
    auroc: Figure
    log_loss: Figure
    """Nats; lower is better."""
    brier: Figure
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
    """Counts by threshold; None for a subgroup, since they would reveal too much."""


@dataclass(frozen=True, slots=True)
class SubgroupEvidence:
    """Both models on the rows of one subgroup; all figures are None if it may not be shown."""

    feature: str
    group: str
    rows: int | None = None
    positive: int | None = None
    few: bool | None = None
    """Whether there are so few rows that the figures say little."""
    treat_all: Curve | None = None
    challenger: ModelEvidence | None = None
    champion: ModelEvidence | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Challenger and champion on the same rows, those of a verdict."""

    rows: int
    positive: int
    """Rows with outcome 1."""
    thresholds: tuple[float, ...]
    """The thresholds of `net_benefit`, `called` and `treat_all`."""
    subgroup_thresholds: tuple[float, ...]
    """The thresholds of the subgroups' `net_benefit` and `treat_all`."""
    treat_all: Curve
    challenger: ModelEvidence | None
    """The challenger's figures; None if an output is not a finite number."""
    champion: ModelEvidence | None
    """The champion's figures; None if there is none to compare with."""
    subgroups: tuple[SubgroupEvidence, ...]
    """All subgroups by feature, in the order of the declaration; only features that divide these
    rows."""


def evidence(contest: Contest) -> Evidence:
    """Gather the evidence of those whom the verdict is about, on its rows, at least one."""
    judged = contest.without_broken_champion().of_those_who_decide().on_the_test_set()
    finite = (each for each in judged.contestants if np.isfinite(each.probabilities).all())
    judged = replace(judged, contestants=tuple(finite))
    rows = len(judged.outcomes)
    positive = _positive(judged)
    return Evidence(
        rows=rows,
        positive=positive,
        thresholds=THRESHOLDS,
        subgroup_thresholds=THRESHOLDS_OF_SUBGROUPS,
        treat_all=treating_all(positive, rows, THRESHOLDS),
        challenger=_model_evidence(judged, Role.CHALLENGER, THRESHOLDS),
        champion=_model_evidence(judged, Role.CHAMPION, THRESHOLDS),
        subgroups=tuple(each for name in judged.groups for each in _subgroups(judged, name)),
    )


def _positive(judged: Contest) -> int:
    return int((judged.outcomes == 1).sum())


def _model_evidence(
    judged: Contest, role: Role, thresholds: tuple[float, ...]
) -> ModelEvidence | None:
    contestant = judged.of(role)
    if contestant is None:
        return None
    rows = ranked(contestant.probabilities, judged.outcomes)
    counts = called(rows, thresholds)
    at = called(rows, (contestant.threshold,))
    found = at.cases[0]
    false_alarms = at.others[0]
    cases = _positive(judged)
    others = len(rows) - cases
    return ModelEvidence(
        threshold=contestant.threshold,
        auroc=auroc(rows),
        log_loss=mean(rows.log_losses, low=0),
        brier=mean((rows.probabilities - rows.cases) ** 2, low=0, high=1),
        calibration_intercept=calibration_intercept(rows),
        calibration_slope=calibration_slope(rows),
        sensitivity=share(found, cases, NO_CASES),
        specificity=share(others - false_alarms, others, NO_OTHERS),
        positive_predictive_value=share(found, found + false_alarms, NONE_CALLED),
        negative_predictive_value=share(
            others - false_alarms, len(rows) - found - false_alarms, ALL_CALLED
        ),
        net_benefit=decision_curve(counts, len(rows), thresholds),
        called=counts,
    )


def _subgroups(judged: Contest, feature: str) -> Iterator[SubgroupEvidence]:
    groups = judged.groups[feature]
    sizes = sizes_of(groups)
    if sum(map(bool, sizes)) < 2:
        return
    for group, size, is_shown in zip(groups.cat.categories, sizes, shown(sizes), strict=True):
        if is_shown:
            yield _subgroup(judged.only((groups == group).to_numpy()), feature, group)
        elif size:
            yield SubgroupEvidence(feature=feature, group=group)


def _subgroup(judged: Contest, feature: str, group: str) -> SubgroupEvidence:
    rows = len(judged.outcomes)
    positive = _positive(judged)
    thresholds = THRESHOLDS_OF_SUBGROUPS
    challenger = _model_evidence(judged, Role.CHALLENGER, thresholds)
    champion = _model_evidence(judged, Role.CHAMPION, thresholds)
    return SubgroupEvidence(
        feature=feature,
        group=group,
        rows=rows,
        positive=positive,
        few=rows < FEW_ROWS,
        treat_all=treating_all(positive, rows, thresholds),
        challenger=challenger and replace(challenger, called=None),
        champion=champion and replace(champion, called=None),
    )


VERSION = 1
"""Grows when a change would mislead readers of earlier documents; docs/measured/evidence.md
describes the document."""


def document(evidence: Evidence) -> dict[str, Any]:
    """Convert evidence to JSON by the names of its fields, floats to five digits; `reason` only if
    there is one."""
    found: dict[str, Any] = _rounded(asdict(evidence))
    return {"version": VERSION, **found}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items() if name != "reason" or inner}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


_Counts = tuple[float, int, int]
"""A threshold, and the numbers of rows at it or above: with outcome 1, and with outcome 0."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows whose probability lies between two bounds."""

    low: float
    high: float
    cases: int
    others: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.cases + self.others


def may_be_shown(document: dict[str, Any] | None) -> bool:
    """Whether there is a document, on enough rows that no one can be singled out."""
    return document is not None and document["rows"] >= FEWEST_ROWS


def cells(document: dict[str, Any], role: str) -> list[Cell]:
    """Divide the rows at each threshold, including the model's own."""
    positive, model = document["positive"], document[role]
    everybody, called = (0.0, positive, document["rows"] - positive), model["called"]
    counts = [
        everybody,
        *zip(document["thresholds"], called["cases"], called["others"], strict=True),
        (1.0, 0, 0),
    ]
    above = bisect([threshold for threshold, _, _ in counts], model["threshold"])
    if 0 < model["threshold"] < 1 and counts[above - 1][0] != model["threshold"]:
        counts.insert(above, _called_by_class(model, everybody, counts[above - 1 : above + 1]))
    return [
        Cell(low, high, cases - fewer_cases, others - fewer_others)
        for (low, cases, others), (high, fewer_cases, fewer_others) in pairwise(counts)
    ]


def _called_by_class(model: dict[str, Any], everybody: _Counts, beside: list[_Counts]) -> _Counts:
    """Count the rows at the model's own threshold or above. The figures of classes give the counts,
    but rounded, so they are kept between the neighbouring counts."""
    (_, most_cases, most_others), (_, fewest_cases, fewest_others) = beside
    cases = round((model["sensitivity"]["value"] or 0.0) * everybody[1])
    others = round((1 - (model["specificity"]["value"] or 0.0)) * everybody[2])
    within = (
        min(max(cases, fewest_cases), most_cases),
        min(max(others, fewest_others), most_others),
    )
    return model["threshold"], *within


def blocks(document: dict[str, Any], role: str) -> list[list[Cell]]:
    """Join neighbouring cells, so that each block has at least `FEWEST_ROWS` rows, or all rows if
    there are fewer.

    Blocks end at the model's own threshold and at those of the tables if that leaves enough rows on
    both sides. The figures of classes give away the counts at the model's threshold: if few rows
    lie beyond it, no block ends so near.
    """
    parts = _split(cells(document, role), (document[role]["threshold"],))
    for bounds in (TABLED_THRESHOLDS, document["thresholds"]):
        parts = [piece for part in parts for piece in together(_split(part, bounds), FEWEST_ROWS)]
    return together(parts, FEWEST_ROWS)


def shown_thresholds(document: dict[str, Any], role: str) -> set[float]:
    """The thresholds of the document at which a block begins."""
    return {block[0].low for block in blocks(document, role)[1:]}


def _split(part: list[Cell], bounds: Collection[float]) -> list[list[Cell]]:
    pieces = [part[:1]]
    for cell in part[1:]:
        if cell.low in bounds:
            pieces.append([])
        pieces[-1].append(cell)
    return pieces


def together(pieces: list[list[Cell]], fewest: int) -> list[list[Cell]]:
    """Join each piece with the next ones until it has `fewest` rows; a remainder at the end joins
    the last piece."""
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
    """Join neighbouring cells, one or more, into one."""
    return Cell(
        part[0].low,
        part[-1].high,
        sum(each.cases for each in part),
        sum(each.others for each in part),
    )
