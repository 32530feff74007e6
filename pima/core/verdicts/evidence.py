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
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from pima.core.verdicts.contest import Contest, Contestant, Role
from pima.core.verdicts.figures import (
    FEW_ROWS,
    FEWEST_ROWS,
    TABLED_THRESHOLDS,
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
    Called,
    Curve,
    Figure,
    all_figures,
    called,
    decision_curve,
    excludes,
    in_words,
    ranked,
    shown,
    treating_all,
)
from pima.core.verdicts.pairs import PairEvidence, pairs_of
from pima.core.verdicts.score_scale import ScoreScale
from pima.core.verdicts.subgroups import few_together, sizes_of


class ModelEvidence(Struct, frozen=True, kw_only=True):
    """The figures of one contestant on some rows."""

    role: Role
    name: str
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


class ScoreEvidence(Struct, frozen=True, kw_only=True):
    """How a score in use took part."""

    score: str
    """The declared name."""
    name: str
    """The name for people."""
    scale: ScoreScale
    """By the training rows of this verdict."""
    rows: int
    """Rows of the test set of which it is known."""
    as_it_stands: int
    """Those of them that no prediction was made of in time, so that nobody can say when it was
    known."""


class GroupEvidence(Struct, frozen=True, kw_only=True):
    """Who the training rows were, by a declared group."""

    group: str
    """The declared name, which is the `feature` of its subgroups."""
    name: str
    """The name for people."""
    training: tuple[tuple[str, int | None], ...]
    """Training rows by subgroup, small ones together; None of a single one that is small."""


class SubgroupEvidence(Struct, frozen=True, kw_only=True):
    """The contestants on the rows of one subgroup; there are no figures if it may not be shown."""

    feature: str
    group: str
    rows: int | None = None
    positive: int | None = None
    few: bool | None = None
    """Whether there are so few rows that the figures say little."""
    treat_all: Curve | None = None
    contestants: tuple[ModelEvidence, ...] = ()

    def of(self, role: Role) -> ModelEvidence | None:
        """The figures of the contestant with this role; None if there are none."""
        return next((each for each in self.contestants if each.role == role), None)


class Evidence(Struct, frozen=True, kw_only=True):
    """The figures of contestants on the same rows, those of a verdict."""

    version: Literal[2] = 2
    """Grows when a change would mislead readers of earlier documents; docs/measured/evidence.md
    describes the document."""
    rows: int
    positive: int
    """Rows with outcome 1."""
    thresholds: tuple[float, ...]
    """The thresholds of `net_benefit`, `called` and `treat_all`."""
    subgroup_thresholds: tuple[float, ...]
    """The thresholds of the subgroups' `net_benefit` and `treat_all`."""
    treat_all: Curve
    contestants: tuple[ModelEvidence, ...]
    """Those whom the verdict is about, without one that gave an output that is not a finite
    number."""
    subgroups: tuple[SubgroupEvidence, ...]
    """All subgroups by feature, in the order of the declaration, and then by group; only features
    and groups that divide these rows."""
    pairs: tuple[PairEvidence, ...] = ()
    """Each who decides nothing, beside each of the contestants."""
    scores: tuple[ScoreEvidence, ...] = ()
    """The scores in use that took part; not in the document where there are none."""
    groups: tuple[GroupEvidence, ...] = ()
    """The declared groups; not in the document where there are none."""
    inputs: dict[str, str] = {}
    """What is told of each input of these rows, beside those learned from; not in the document of a
    release that did not count it."""

    def of(self, role: Role) -> ModelEvidence | None:
        """The figures of the contestant with this role; None if there are none."""
        return next((each for each in self.contestants if each.role == role), None)

    def called(self, feature: str) -> str:
        """The name for people of what divides the rows."""
        names = (each.name for each in self.groups if each.group == feature)
        return next(names, feature.replace("_", " "))


def evidence(contest: Contest) -> Evidence:
    """Gather the evidence of those whom the verdict is about, on its rows, at least one; and of
    everybody else, beside them."""
    sound = contest.without_broken_champion()
    judged = sound.of_those_who_decide().on_the_test_set()
    finite = (each for each in judged.contestants if np.isfinite(each.probabilities).all())
    judged = replace(judged, contestants=tuple(finite))
    rows = len(judged.outcomes)
    return Evidence(
        rows=rows,
        positive=judged.positive,
        thresholds=THRESHOLDS,
        subgroup_thresholds=THRESHOLDS_OF_SUBGROUPS,
        treat_all=treating_all(judged.outcomes, judged.persons, THRESHOLDS),
        contestants=_of_contestants(judged, THRESHOLDS),
        subgroups=tuple(each for name in judged.groups for each in _subgroups(judged, name)),
        pairs=tuple(pairs_of(sound, [each.role for each in judged.contestants])),
    )


def _of_contestants(judged: Contest, thresholds: tuple[float, ...]) -> tuple[ModelEvidence, ...]:
    return tuple(_model_evidence(judged, each, thresholds) for each in judged.contestants)


def _model_evidence(
    judged: Contest, contestant: Contestant, thresholds: tuple[float, ...]
) -> ModelEvidence:
    rows = ranked(contestant.probabilities, judged.outcomes, contestant.threshold, judged.persons)
    return ModelEvidence(
        role=contestant.role,
        name=contestant.name,
        threshold=contestant.threshold,
        **all_figures(rows),
        net_benefit=decision_curve(rows, thresholds),
        called=called(rows, thresholds),
    )


def _subgroups(judged: Contest, feature: str) -> Iterator[SubgroupEvidence]:
    groups = judged.groups[feature]
    if feature in judged.declared_groups:
        is_one = judged.outcomes == 1
        groups = few_together(groups, is_one, ~is_one)
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
    thresholds = THRESHOLDS_OF_SUBGROUPS
    told = _of_contestants(judged, thresholds)
    return SubgroupEvidence(
        feature=feature,
        group=group,
        rows=rows,
        positive=judged.positive,
        few=rows < FEW_ROWS,
        treat_all=treating_all(judged.outcomes, judged.persons, thresholds),
        contestants=tuple(msgspec.structs.replace(each, called=None) for each in told),
    )


def on_predicted(found: Evidence) -> str:
    """Say how many rows of a verdict were never predicted, and the challenger's AUROC without them;
    empty unless these are shown apart, as a group of `Predicted`."""
    for each in found.subgroups:
        model = each.of(Role.CHALLENGER)
        if (each.feature, each.group) == ("Predicted", "in time") and model and each.rows:
            return (
                f"; {found.rows - each.rows} of its {found.rows} rows were never predicted, so "
                "their values may tell the outcome, and on the others the challenger's AUROC is "
                f"{in_words(model.auroc)}"
            )
    return ""


def calibration_doubts(found: Evidence, role: Role, version: int) -> Iterator[str]:
    """Tell the declared groups in which the probabilities of a version with this role were clearly
    too high or too low."""
    declared = [each.group for each in found.groups]
    for each in found.subgroups:
        model = each.of(role)
        if each.feature in declared and model and excludes(model.calibration_intercept, 0):
            yield (
                f"In {found.called(each.feature)}: {each.group}, the calibration intercept of "
                f"version {version} was {in_words(model.calibration_intercept, 2)} in its newest "
                "verdict. 0 is best; below 0 its probabilities are too high."
            )


def document(evidence: Evidence) -> dict[str, object]:
    """Convert evidence to JSON by the names of its fields, floats to five digits, but for scales of
    scores; `reason`, scores, groups and inputs only if there are any."""
    found: dict[str, object] = _rounded(msgspec.to_builtins(evidence))
    for name in ("scores", "groups", "inputs"):
        del found[name]
        if told := getattr(evidence, name):
            # Points may be large: a slope of five digits would shift their probabilities.
            found[name] = msgspec.to_builtins(told)
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items() if name != "reason" or inner}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def read_evidence(document: dict[str, Any]) -> Evidence:
    """Read a document, also one of version 1, which had a key for each role."""
    if document["version"] == 1:
        subgroups = [_with_contestants(each) for each in document["subgroups"]]
        document = _with_contestants(document) | {"version": 2, "subgroups": subgroups}
    found = msgspec.convert(document, Evidence)
    return msgspec.structs.replace(found, subgroups=tuple(map(_without_few, found.subgroups)))


def _without_few(found: SubgroupEvidence) -> SubgroupEvidence:
    """Take away how many have outcome 1 if fewer than `FEWEST_ROWS` have one of the outcomes."""
    ones = found.positive or 0
    if min(ones, (found.rows or 0) - ones) >= FEWEST_ROWS:
        return found
    return msgspec.structs.replace(found, positive=None, treat_all=None)


def _with_contestants(document: dict[str, Any]) -> dict[str, Any]:
    there = (role for role in Role if document.get(role) is not None)
    contestants = [{"role": role, "name": f"the {role}", **document[role]} for role in there]
    return document | {"contestants": contestants}


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


def may_be_shown(found: Evidence) -> bool:
    """Whether it is on enough rows that no one can be singled out."""
    return found.rows >= FEWEST_ROWS


def told_pairs(found: Evidence, beside: Role) -> tuple[PairEvidence, ...]:
    """The pairs beside the contestant of this role that are on enough rows."""
    return tuple(each for each in found.pairs if each.beside == beside and each.rows >= FEWEST_ROWS)


def cells(found: Evidence, model: ModelEvidence) -> list[Cell]:
    """Divide the rows at each threshold, including the model's own."""
    everybody = (0.0, found.positive, found.rows - found.positive)
    counts = [everybody, *_counts(found.thresholds, model), (1.0, 0, 0)]
    above = bisect([threshold for threshold, _, _ in counts], model.threshold)
    if 0 < model.threshold < 1 and counts[above - 1][0] != model.threshold:
        counts.insert(above, _called_by_class(model, everybody, counts[above - 1 : above + 1]))
    return [
        Cell(low, high, cases - fewer_cases, others - fewer_others)
        for (low, cases, others), (high, fewer_cases, fewer_others) in pairwise(counts)
    ]


def _counts(thresholds: tuple[float, ...], model: ModelEvidence) -> Iterator[_Counts]:
    assert model.called is not None  # noqa: S101 (only a subgroup has none)
    return zip(thresholds, model.called.cases, model.called.others, strict=True)


def _called_by_class(model: ModelEvidence, everybody: _Counts, beside: list[_Counts]) -> _Counts:
    """Count the rows at the model's own threshold or above. The figures of classes give the counts,
    but rounded, so they are kept between the neighbouring counts."""
    (_, most_cases, most_others), (_, fewest_cases, fewest_others) = beside
    cases = round((model.sensitivity.value or 0.0) * everybody[1])
    others = round((1 - (model.specificity.value or 0.0)) * everybody[2])
    return (
        model.threshold,
        min(max(cases, fewest_cases), most_cases),
        min(max(others, fewest_others), most_others),
    )


def blocks(found: Evidence, model: ModelEvidence) -> list[list[Cell]]:
    """Join neighbouring cells, so that each block has at least `FEWEST_ROWS` rows, or all rows if
    there are fewer.

    Blocks end at the model's own threshold and at those of the tables if that leaves enough rows on
    both sides. The figures of classes give away the counts at the model's threshold: if few rows
    lie beyond it, no block ends so near.
    """
    parts = _split(cells(found, model), (model.threshold,))
    for bounds in (TABLED_THRESHOLDS, found.thresholds):
        parts = [piece for part in parts for piece in together(_split(part, bounds), FEWEST_ROWS)]
    return together(parts, FEWEST_ROWS)


def shown_thresholds(found: Evidence, model: ModelEvidence) -> set[float]:
    """The thresholds of the evidence at which a block begins."""
    return {block[0].low for block in blocks(found, model)[1:]}


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
