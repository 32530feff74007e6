"""From a challenger to a verdict: both models scored on the same rows, now.

Judged are the holdout rows that the champion can't have learned from, and of those the recent ones. The champion's own
training rows tell which these are, by id, by person and, where they are kept, by features. None of these asks when a
row or a version came.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import BoolArray, Float32Array
from pima.core.contest import Contest, Measure, Window, in_all, in_window, judged_rows
from pima.core.evidence import Answers, Evidence, evidence
from pima.core.features import Declaration, Features
from pima.core.history import Learned, Side, Split, as_taken, unseen_by
from pima.core.holdout import ranked
from pima.core.promotion import GateOptions, Verdict, decide
from pima.core.subgroups import groupings
from pima.errors import ArtifactDamaged, NoSuchVersion, SnapshotDamaged, SnapshotNotKept
from pima.logs import get_logger
from pima.scorer import Scorer, load_scorer
from pima.settings.sections import GateSettings, Settings
from pima.store import lineage, registry
from pima.store.engine import reading
from pima.store.histories import keys_of
from pima.store.registry import Champion
from pima.store.schema import HoldoutRule
from pima.train.fit import Challenger, fit_fingerprint
from pima.train.snapshot import ids_from_parquet, kept_rows


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged; the same in every attempt."""

    history: Split
    holdout_rule: HoldoutRule
    """By which the history was split."""
    read_at: datetime
    """The database's time, in the history's transaction."""
    declared: Declaration
    challenger: Challenger
    settings: Settings


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
    """Score both models on the same holdout rows, now, by the same code, and decide."""
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
        unseen = _unseen_rows(engine, case, taken.features, champion.model_version)
        scorable = None if taken.scorable.all() else taken.scorable
    for_both = in_all(unseen, scorable)
    smallest_class = 0 if for_both is None else min(holdout.rows(for_both).of_each_class)
    too_few = for_both is not None and smallest_class < case.settings.retrain.minimum_of_each_class
    test_set = _test_set(case, None if too_few else for_both)
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
        holdout_share=case.holdout_rule.share,
        groupings=groupings(case.declared.features, holdout.features, case.history.training.features),
    )
    verdict = decide(contest, gate_options(case.settings.gate))
    return Judgement(champion, verdict, test_set, _evidence(judged_rows(contest)))


def load_champion(engine: Engine, champion: Champion) -> tuple[Scorer | None, bool]:
    """Load the champion's model, and say whether there is a champion whose bytes can't be loaded."""
    if champion.model_version is None:
        return None, False
    try:
        return load_scorer(engine, champion.model_version), False
    except ArtifactDamaged as error:
        get_logger().error("the champion can't be loaded", model_version=champion.model_version, error_code=error.code)
        return None, True


def _unseen_rows(engine: Engine, case: Case, taken: Float32Array, number: int) -> BoolArray | None:
    """Which of the holdout rows version `number` can't have learned from, (n,); None where these are all of them.

    `taken` are the rows' features as that version takes them. A holdout row was kept from it by the hash; but a patient
    may have been entered again since, under an id that is in the holdout. Where so many rows are twins that they stay
    in training, equal features are no reason here either.
    """
    history = case.history
    with reading(engine) as connection:
        version, ids = registry.read_version(connection, number), registry.training_ids(connection, number)
        if version is None or ids is None:
            raise NoSuchVersion(number=number)
        rows: Side | None = None
        try:
            rows = kept_rows(connection, version)
        except SnapshotNotKept:
            pass
        except SnapshotDamaged:
            get_logger().warning("a training snapshot is damaged and was not used", model_version=number)
        learned_ids = ids_from_parquet(ids) if rows is None else rows.patient_ids
        keys = keys_of(connection, learned_ids)
    names = None if keys is None else ranked(keys, case.holdout_rule.salt)
    learned = Learned(learned_ids, None if rows is None else rows.features, names)
    unseen = unseen_by(learned, history.holdout, taken, by_features=not history.equal_says_nothing)
    return None if unseen.all() else unseen


def _test_set(case: Case, for_both: BoolArray | None) -> BoolArray:
    """Which of the holdout rows are the test set, (n,): the recent ones; none but those `for_both`, where given."""
    gate, holdout = case.settings.gate, case.history.holdout
    recent = Window(gate.window_weeks, gate.window_minimum_rows, gate.window_maximum_rows)
    eligible = np.ones(len(holdout), dtype=bool) if for_both is None else for_both
    now_ms = int(case.read_at.timestamp() * 1000)
    test_set = eligible.copy()
    test_set[eligible] = in_window(holdout.labelled_at_ms[eligible], None if gate.window == "all" else recent, now_ms)
    return test_set


def _evidence(judged: Contest) -> Evidence:
    challenger = champion = None
    if np.isfinite(judged.challenger).all():
        challenger = Answers(judged.challenger, judged.challenger_threshold)
    if judged.champion is not None:
        champion = Answers(judged.champion, judged.champion_threshold)
    return evidence(judged.outcomes, challenger, champion, judged.groupings)


def gate_options(gate: GateSettings) -> GateOptions:
    """Translate what the settings ask for beyond the rule."""
    margin = None if gate.subgroup_margin == "off" else gate.subgroup_margin
    return GateOptions(_asks_for_log_loss(gate), gate.minimum_gain, gate.approve, Measure(gate.measure), margin)


def _asks_for_log_loss(gate: GateSettings) -> bool:
    """Whether a challenger that is better by the measure must have a clearly lower log loss besides."""
    return gate.measure != "log_loss" if gate.log_loss_veto == "auto" else gate.log_loss_veto


def gate_fingerprint(settings: Settings, features: Features) -> str:
    """Return the sha256 over the settings of a fit and of the gate: another question to the same data is another
    look."""
    gate = msgspec.structs.asdict(settings.gate) | {"log_loss_veto": _asks_for_log_loss(settings.gate)}
    if settings.gate.subgroup_margin != "off":
        # Of other subgroups it is another question.
        gate["bands"] = {feature.name: feature.bands for feature in features if feature.bands}
    return fit_fingerprint(settings, features, gate=gate)
