"""From a challenger to a verdict: both models scored on the same rows, now."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import BoolArray
from pima.core.contest import Contest, in_all, judged_rows
from pima.core.evidence.bands import groupings
from pima.core.evidence.evidence import Answers, Evidence, evidence
from pima.core.features import Declaration
from pima.core.history import Split, as_taken
from pima.core.measures import Measure
from pima.core.promotion import GateOptions, Verdict, decide
from pima.errors import ArtifactDamaged
from pima.logs import get_logger
from pima.scorer import Scorer, load_scorer
from pima.settings import GateSettings, LineageSettings
from pima.store import lineage, registry
from pima.store.engine import reading
from pima.store.registry import Champion
from pima.training.judged_rows import AsRead, rows_to_judge, unseen_rows

if TYPE_CHECKING:
    from pima.model.network import Artifacts, Parity


@dataclass(frozen=True, slots=True)
class Challenger:
    """What a retraining has fitted."""

    artifacts: "Artifacts"
    parity: "Parity"
    scorer: Scorer
    seed: int
    settings: dict[str, Any]
    """What, besides the data, made the fit what it is."""
    settings_fingerprint: str
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged; the same in every attempt."""

    history: Split
    declared: Declaration
    as_read: AsRead
    challenger: Challenger
    gate: GateSettings
    gate_fingerprint: str
    """Over the settings of the fit and of the gate: one look per data, this and champion."""
    minimum_of_each_class: int
    """So many holdout rows of each class must be left where the champion may have learned from some."""
    lineage: LineageSettings


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with what it was given on."""

    champion: Champion
    """As it was then."""
    verdict: Verdict
    test_set: BoolArray
    """(n,), which of the holdout rows."""
    evidence: Evidence
    """Of both models on its rows."""


def judge(engine: Engine, case: Case) -> Judgement:
    """Both models on the same holdout rows, now, by the same code."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        data, settings = case.history.fingerprint, case.challenger.settings_fingerprint
        rolled_back = registry.was_rolled_back(connection, data, settings)
        consultations = lineage.consultations(connection) + 1
    current, unloadable = load_champion(engine, champion)
    holdout, challenger = case.history.holdout, case.challenger.scorer
    taken, unseen, scorable = None, None, None
    if current is not None and champion.model_version is not None:
        taken = as_taken(holdout, case.declared, current.features)
        unseen = unseen_rows(engine, case.history, taken.features, case.as_read, champion.model_version)
        scorable = None if taken.scorable.all() else taken.scorable
    for_both = in_all(unseen, scorable)
    too_few = for_both is not None and min(holdout.rows(for_both).of_each_class) < case.minimum_of_each_class
    test_set = rows_to_judge(holdout, None if too_few else for_both, case.gate, case.as_read.time)
    contest = Contest(
        outcomes=holdout.outcomes,
        in_window=test_set,
        challenger=challenger.model.probabilities(holdout.features),
        challenger_threshold=challenger.threshold,
        champion=None if current is None or taken is None else current.model.probabilities(taken.features),
        champion_threshold=0.5 if current is None else current.threshold,
        champion_unloadable=unloadable,
        parity_passed=case.challenger.parity.passed,
        pinned=champion.pinned,
        rolled_back_before=rolled_back,
        consultations=consultations,
        unseen=unseen,
        scorable=scorable,
        too_few_unseen=too_few,
        holdout_share=case.as_read.holdout.share,
        groupings=groupings(case.declared.features, holdout.features, case.history.training.features),
    )
    return Judgement(champion, decide(contest, gate_options(case.gate)), test_set, _evidence(judged_rows(contest)))


def asks_for_log_loss(gate: GateSettings) -> bool:
    """Whether a challenger that is better by the measure must have a clearly lower log loss besides."""
    if gate.log_loss_veto == "auto":
        return gate.measure != "log_loss"
    return gate.log_loss_veto


def gate_options(gate: GateSettings) -> GateOptions:
    """What the settings ask for beyond the rule."""
    margin = None if gate.subgroup_margin == "off" else gate.subgroup_margin
    return GateOptions(asks_for_log_loss(gate), gate.minimum_gain, gate.approve, Measure(gate.measure), margin)


def _evidence(judged: Contest) -> Evidence:
    challenger = champion = None
    if np.isfinite(judged.challenger).all():
        challenger = Answers(judged.challenger, judged.challenger_threshold)
    if judged.champion is not None:
        champion = Answers(judged.champion, judged.champion_threshold)
    return evidence(judged.outcomes, challenger, champion, judged.groupings)


def load_champion(engine: Engine, champion: Champion) -> tuple[Scorer | None, bool]:
    """The champion's model, and whether there is a champion whose bytes can't be loaded."""
    if champion.model_version is None:
        return None, False
    try:
        return load_scorer(engine, champion.model_version), False
    except ArtifactDamaged as error:
        get_logger().error("the champion can't be loaded", model_version=champion.model_version, error_code=error.code)
        return None, True


def verdict_figures(verdict: Verdict) -> dict[str, Any]:
    """All numbers of a verdict, as they stand in the ledger."""
    found = asdict(verdict)
    return {name: found[name] for name in found if name not in ("decision", "reason", "sentence")}
