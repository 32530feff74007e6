"""Evidence: models' figures on a set of rows, in all and by subgroup, and how much of them may be
shown.

A clinic asks how well a model tells cases from others, whether its probabilities hold, and whether
acting on them does more good than harm (Van Calster et al., Lancet Digital Health 2025).

Every reader of predictions knows the patients' probabilities. A step in the counts by threshold
that is due to one patient alone would reveal that patient's outcome. So a model's figures are shown
in steps of at least `FEWEST_ROWS` rows, the same steps for all figures, and no two figures differ
by fewer rows.
"""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from pima.core.arrays import Int64Array
from pima.core.statistics.disclosure import FEW_ROWS, FEWEST_ROWS, merged
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.statistics.performance import (
    TABLED_THRESHOLDS,
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
    Called,
    Curve,
    Thresholds,
    all_figures,
    called,
    decision_curve,
    treating_all,
)
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.pairs import PairEvidence, pairs_of
from pima.core.verdicts.score_scale import ScoreScale
from pima.core.verdicts.subgroups import divided


class ModelEvidence(Struct, frozen=True, kw_only=True):
    """The figures of one contestant on some rows."""

    role: Role
    name: str
    threshold: float
    """The model's own, as in service; the four figures of classes are taken at it."""
    auroc: Estimate
    log_loss: Estimate
    """Nats; lower is better."""
    brier: Estimate
    calibration_intercept: Estimate
    """0 is best."""
    calibration_slope: Estimate
    """1 is best."""
    sensitivity: Estimate
    specificity: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
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
    thresholds: Thresholds
    """The thresholds of `net_benefit`, `called` and `treat_all`."""
    subgroup_thresholds: Thresholds
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

    @property
    def may_be_shown(self) -> bool:
        """Whether it is on enough rows that no one can be singled out."""
        return self.rows >= FEWEST_ROWS

    def shown_pairs(self, beside: Role) -> tuple[PairEvidence, ...]:
        """The pairs beside the contestant of this role that are on enough rows."""
        return tuple(
            pair for pair in self.pairs if pair.beside == beside and pair.rows >= FEWEST_ROWS
        )

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
    return Evidence(
        **_figures_of(judged, THRESHOLDS),
        thresholds=THRESHOLDS,
        subgroup_thresholds=THRESHOLDS_OF_SUBGROUPS,
        subgroups=tuple(_subgroups(judged)),
        pairs=tuple(pairs_of(sound, [each.role for each in judged.contestants])),
    )


def _figures_of(judged: Contest, thresholds: Thresholds) -> dict[str, Any]:
    """The fields that evidence of all rows and of a subgroup have in common."""
    contestants = []
    for each in judged.contestants:
        rows = judged.sample(each).ranked
        counts = None
        if thresholds == THRESHOLDS:
            counts = called(rows)
        model = ModelEvidence(
            role=each.role,
            name=each.name,
            threshold=each.threshold,
            **all_figures(rows),
            net_benefit=decision_curve(rows, thresholds),
            called=counts,
        )
        contestants.append(model)
    return {
        "rows": len(judged.outcomes),
        "positive": judged.positive,
        "treat_all": treating_all(judged.outcomes, judged.persons, thresholds),
        "contestants": tuple(contestants),
    }


def _subgroups(judged: Contest) -> Iterator[SubgroupEvidence]:
    is_case = judged.outcomes == 1
    for parts in divided(judged.groups, judged.declared_groups, is_case, ~is_case):
        if len(parts) < 2:
            continue
        for part in parts:
            subgroup = SubgroupEvidence(feature=part.feature, group=part.group)
            if part.is_shown:
                figures = _figures_of(judged.only(part.rows), THRESHOLDS_OF_SUBGROUPS)
                few = figures["rows"] < FEW_ROWS
                subgroup = msgspec.structs.replace(subgroup, **figures, few=few)
            yield subgroup


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
        if each.feature in declared and model and model.calibration_intercept.leaves_out(0):
            yield (
                f"In {found.called(each.feature)}: {each.group}, the calibration intercept of "
                f"version {version} was {in_words(model.calibration_intercept, 2)} in its newest "
                "verdict. 0 is best; below 0 its probabilities are too high."
            )


def document(evidence: Evidence) -> dict[str, object]:
    """Convert evidence to JSON by the names of its fields, floats to five digits, but for scales of
    scores; `reason`, scores, groups and inputs only if there are any."""
    fields: dict[str, object] = msgspec.to_builtins(evidence)
    # Points may be large: a slope of five digits would shift their probabilities.
    plain = {name: fields.pop(name) for name in ("scores", "groups", "inputs")}
    return _rounded(fields) | {name: value for name, value in plain.items() if value}


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


@dataclass(frozen=True, slots=True)
class Block:
    """The rows whose probability lies between two bounds."""

    low: float
    high: float
    cases: int
    others: int
    expected: float
    """What their probabilities add up to, to half a point each."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.cases + self.others


def counts_above(evidence: Evidence, model: ModelEvidence) -> dict[float, Int64Array]:
    """Count cases and others at each threshold or above, upwards from 0 to 1, including the model's
    own threshold."""
    assert model.called is not None  # noqa: S101 (only a subgroup has none)
    everybody = np.array([evidence.positive, evidence.rows - evidence.positive])
    counts = np.stack([model.called.cases, model.called.others], axis=1)
    bounds = (0.0, *evidence.thresholds, 1.0)
    above = dict(zip(bounds, (everybody, *counts, 0 * everybody), strict=True))
    own = model.threshold
    if 0 < own < 1 and own not in above:
        # The figures of classes give the counts, but rounded, so they are kept between the
        # neighbouring ones.
        place = bisect(bounds, own)
        shares = [model.sensitivity.value or 0.0, 1 - (model.specificity.value or 0.0)]
        most, fewest = (above[each] for each in bounds[place - 1 : place + 1])
        above[own] = np.rint(shares * everybody).astype(int).clip(fewest, most)
    return dict(sorted(above.items()))


def shown_bounds(
    evidence: Evidence, model: ModelEvidence, fewest: int = FEWEST_ROWS
) -> list[float]:
    """Choose bounds from 0 to 1 so that at least `fewest` rows lie between each two, or all rows if
    there are fewer.

    They include the model's own threshold and those of the tables if that leaves enough rows on
    both sides. The figures of classes give away the counts at the model's threshold: if few rows
    lie beyond it, no bound is so near.
    """
    above = {bound: counts.sum() for bound, counts in counts_above(evidence, model).items()}
    bounds = [each for each in above if each in (0.0, model.threshold, 1.0)]
    for inner in (TABLED_THRESHOLDS, evidence.thresholds):
        parts = [
            merged([low, *(each for each in inner if low < each < high), high], above, FEWEST_ROWS)
            for low, high in pairwise(bounds)
        ]
        bounds = [0.0, *(bound for part in parts for bound in part[1:])]
    return merged(merged(bounds, above, FEWEST_ROWS), above, fewest)


def blocks(evidence: Evidence, model: ModelEvidence, bounds: list[float]) -> Iterator[Block]:
    """Divide the rows at these bounds."""
    above = counts_above(evidence, model)
    for low, high in pairwise(bounds):
        cases, others = (above[low] - above[high]).tolist()
        steps = pairwise(each for each in above if low <= each <= high)
        expected = sum((above[a] - above[b]).sum() * (a + b) / 2 for a, b in steps)
        yield Block(low, high, cases, others, expected)
