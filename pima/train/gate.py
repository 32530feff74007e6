"""The verdict on a challenger: both models scored on the same rows, now; or the verdict that was
given before.

Models are judged on recent holdout rows that the champion can't have learned from. The champion's
own training rows show which these are: by id, by person and, if a snapshot is kept, by features.
The times of rows and versions play no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import pandas as pd
from msgspec import structs
from sqlalchemy import Engine

from pima.core.arrays import BoolArray
from pima.core.declared.features import Declaration, Features, names_of
from pima.core.rows.history import (
    UNCLAIMED,
    Split,
    as_taken,
    features_of,
    of_each_class,
    persons_of,
    unseen_by,
)
from pima.core.statistics.disclosure import shown_sizes
from pima.core.verdicts.contest import (
    Circumstances,
    Contest,
    Contestant,
    Role,
    judged_by_all,
    on_all_rows,
)
from pima.core.verdicts.evidence import (
    Evidence,
    GroupEvidence,
    ScoreEvidence,
    evidence,
    on_predicted,
)
from pima.core.verdicts.gate import GateOptions, Verdict, Window, decide, in_window
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.score_scale import is_known, scale_of, without_few
from pima.core.verdicts.subgroups import groupings
from pima.core.verdicts.verdict import Measure
from pima.errors import ArtifactDamaged, SnapshotDamaged, SnapshotNotKept
from pima.logs import get_logger
from pima.model.recipes import Recipe, fit_fingerprint
from pima.scorer import Scorer, load_scorer
from pima.settings.sections import GateSettings, Settings
from pima.store.engine import reading
from pima.store.models import beside_verdicts, ledger, registry
from pima.store.models.lineage import ids_from_parquet, kept_rows, training_ids
from pima.store.models.registry import Champion, HoldoutRule
from pima.store.rows.histories import keys_of
from pima.store.rows.settled import if_filled_in_later
from pima.train.fit import Challenger


@dataclass(frozen=True, slots=True)
class EarlierVerdict:
    """The gate's decision in an earlier run on the same data, settings and champion, which still
    stands."""

    verdict: str
    reason: str
    explanation: str
    judged_before: bool = field(default=True, init=False)
    challenger: int | None
    """The version that was judged then."""


_JUDGED_ANEW = (
    Reason.SUSPENDED,
    Reason.PINNED,
    Reason.SINGLE_CLASS,
    Reason.TOO_FEW_UNSEEN,
    Reason.TOO_FEW_WITH_SCORE,
    Reason.NOT_BETTER_THAN_SCORE,
)


def earlier_verdict(
    engine: Engine, history: Split, settings_fingerprint: str
) -> EarlierVerdict | None:
    """Find the verdict that still stands: the same data, settings and champion get one look, so
    that running the job again cannot fish for luck.

    None if the champion's bytes can't be loaded, since the verdict compared with a model that is
    gone; if other rows are recent now, since times have been corrected; after `suspended`,
    `pinned`, `single_class`, `too_few_unseen` and `too_few_with_score`, which said nothing about
    the challenger; after `not_better_than_score`, since the score may have been mended meanwhile,
    which changes neither the data nor the fit; and after `promoted`, since a person must have moved
    the champion back meanwhile.
    """
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        row = ledger.recorded_verdict(
            connection, history.fingerprint, settings_fingerprint, champion.model_version
        )
    if row is None or row.verdict == Decision.PROMOTED or row.reason in _JUDGED_ANEW:
        return None
    # A column of times was empty for one outcome, and filled later: 23,836 rows of 30,000.
    judged = row.figures
    if (
        judged is not None
        and judged.window == "recent"
        and judged.holdout_order not in (None, history.holdout_order)
    ):
        get_logger().info("judged anew: times of held-out rows have been corrected since")
        return None
    if (
        champion.model_version is not None
        and _load_champion(engine, champion.model_version) is None
    ):
        return None
    get_logger().info(
        "judged before on the same data, settings and champion", explanation=row.explanation
    )
    return EarlierVerdict(row.verdict, row.reason, row.explanation, row.challenger)


@dataclass(frozen=True, slots=True)
class GateInput:
    """The input of a verdict; the same in every attempt to decide."""

    history: Split
    holdout_rule: HoldoutRule
    """The rule that split the history."""
    read_at: datetime
    """The database's time, in the history's transaction."""
    declared: Declaration
    recipe: Recipe
    challenger: Challenger
    settings: Settings


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on."""

    champion: Champion
    """The champion when the verdict was given."""
    verdict: Verdict
    test_set: pd.DataFrame
    """The holdout rows that the verdict was given on."""
    evidence: Evidence


def judge(engine: Engine, asked: GateInput) -> Judgement:
    """Score both models on the same holdout rows, now, by the same code, and decide."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        fitted = fit_fingerprint(asked.settings, asked.recipe, asked.declared.features)
        known = Circumstances(
            parity_passed=asked.challenger.parity.passed,
            pinned=champion.pinned,
            suspended=champion.suspended_at is not None,
            rolled_back_before=ledger.was_rolled_back(
                connection, asked.history.fingerprint, fitted
            ),
            consultations=beside_verdicts.consultations(connection) + 1,
        )
    contest, scores = _contest(engine, asked, champion.model_version, known)
    to_beat = asked.declared.present_score(asked.settings.gate.first_must_beat)
    options = replace(gate_options(asked.settings.gate), first_must_beat=to_beat)
    verdict = decide(contest, options)
    figures = structs.replace(
        verdict.figures,
        window=asked.settings.gate.window,
        test_set_rows=int(contest.in_window.sum()),
        holdout_order=asked.history.holdout_order,
    )
    holdout = asked.history.holdout
    if asked.history.corrections.follow_outcome:
        apart = holdout[UNCLAIMED].map({False: "in time", True: "never"}).astype("category")
        contest = replace(contest, groups=contest.groups.assign(Predicted=apart))
    found = structs.replace(evidence(contest), scores=scores, groups=tuple(_learned_from(asked)))
    sentence = verdict.sentence + on_predicted(found)
    if to_beat and figures.against_score:
        with reading(engine) as connection:
            later = if_filled_in_later(connection, to_beat)
        sentence = "; ".join(filter(None, (sentence, later)))
    verdict = replace(verdict, figures=figures, sentence=sentence)
    return Judgement(champion, verdict, holdout[contest.in_window], found)


def _contest(
    engine: Engine, asked: GateInput, number: int | None, known: Circumstances
) -> tuple[Contest, tuple[ScoreEvidence, ...]]:
    """The contest on the holdout, with version `number` as the champion, and how each score in use
    took part. `known` are the circumstances that follow from no answer."""
    challenger = _challenger(asked)
    current = None if number is None else _champion(engine, asked, number)
    deciding = [challenger] if current is None else [challenger, current]
    holdout = asked.history.holdout
    eligible = judged_by_all(deciding)
    too_few = min(of_each_class(holdout[eligible])) < asked.settings.retrain.minimum_of_each_class
    if too_few:
        eligible = judged_by_all([challenger])
    in_test_set = _test_set(asked, eligible)
    scores = list(_scores_in_use(asked, challenger, in_test_set))
    told = tuple(each for _, each in scores)
    to_beat = asked.settings.gate.first_must_beat
    contest = Contest(
        outcomes=holdout["outcome"].to_numpy(),
        groups=groupings(
            asked.declared.features + asked.declared.dividing, holdout, asked.history.all_training
        ),
        declared_groups=names_of(asked.declared.groups),
        in_window=in_test_set,
        persons=persons_of(holdout),
        contestants=(
            *deciding,
            _straight_line(asked, challenger),
            *(stands for stands, _ in scores),
        ),
        circumstances=replace(
            known,
            champion_unloadable=number is not None and current is None,
            score_as_loaded=any(
                each.score == to_beat and each.as_it_stands == each.rows for each in told
            ),
            too_few_unseen=too_few,
        ),
    )
    return contest, told


def _learned_from(asked: GateInput) -> Iterator[GroupEvidence]:
    """Who the challenger's training rows are, by each declared group."""
    training = asked.history.training
    divided = groupings(asked.declared.dividing, training, training)
    for group in asked.declared.groups:
        sizes = tuple(shown_sizes(divided[group.name]).items())
        yield GroupEvidence(group=group.name, name=group.called, training=sizes)


def _challenger(asked: GateInput) -> Contestant:
    """The challenger, which has seen no row of the holdout and can score all of them."""
    scorer = asked.challenger.scorer
    probabilities = scorer.model.probabilities(features_of(asked.history.holdout))
    return on_all_rows("the challenger", Role.CHALLENGER, scorer.threshold, probabilities)


def _straight_line(asked: GateInput, challenger: Contestant) -> Contestant:
    """A straight line of the challenger's training rows, which shows whether a network is worth
    it."""
    return replace(
        challenger,
        name="a straight line (logistic regression)",
        role=Role.STRAIGHT_LINE,
        decides=False,
        probabilities=asked.challenger.straight_line,
    )


def _scores_in_use(
    asked: GateInput, challenger: Contestant, in_test_set: BoolArray
) -> Iterator[tuple[Contestant, ScoreEvidence]]:
    """The scores in use, each on the rows of the test set of which it is known. One that is known
    of too few training rows is left out."""
    training = asked.history.all_training
    holdout = asked.history.holdout
    for score in asked.declared.present_scores:
        learned = training[is_known(score, training[score.name].to_numpy())]
        scale = scale_of(score, learned[score.name].to_numpy(), learned["outcome"].to_numpy())
        if scale is None:
            continue
        values = holdout[score.name].to_numpy()
        known = without_few(is_known(score, values), in_test_set)
        stands = scale.stands_beside(challenger, score, values, known)
        told = ScoreEvidence(
            score=score.name,
            name=score.called,
            scale=scale,
            rows=int(known.sum()),
            as_it_stands=int(holdout.loc[known, UNCLAIMED].sum()),
        )
        yield stands, told


def _champion(engine: Engine, asked: GateInput, number: int) -> Contestant | None:
    """The champion, version `number`, on the holdout as it takes the rows; None if its bytes can't
    be loaded."""
    scorer = _load_champion(engine, number)
    if scorer is None:
        return None
    taken, scorable = as_taken(asked.history.holdout, asked.declared, scorer.features)
    today, _ = as_taken(asked.history.today, asked.declared, scorer.features)
    return Contestant(
        name="the champion",
        role=Role.CHAMPION,
        decides=True,
        threshold=scorer.threshold,
        probabilities=scorer.model.probabilities(features_of(taken)),
        unseen=_unseen_rows(engine, asked, taken, today, number),
        scorable=scorable,
    )


def _load_champion(engine: Engine, number: int) -> Scorer | None:
    """Load the champion, version `number`; None if its bytes can't be loaded."""
    try:
        return load_scorer(engine, number)
    except ArtifactDamaged as error:
        get_logger().error(
            "the champion can't be loaded", model_version=number, error_code=error.code
        )
        return None


def _unseen_rows(
    engine: Engine, asked: GateInput, taken: pd.DataFrame, today: pd.DataFrame, number: int
) -> BoolArray:
    """Find the holdout rows that version `number` can't have learned from, (n,).

    `taken` are the rows as that version takes them; `today` has those that were corrected, as they
    stand today. The hash kept holdout rows out of its training, but a patient may have been entered
    again since, under an id that is in the holdout. If there are so many twins that they stay in
    training, equal features count for nothing here either.
    """
    with reading(engine) as connection:
        try:
            learned = kept_rows(connection, number)
        except (SnapshotNotKept, SnapshotDamaged) as error:
            if isinstance(error, SnapshotDamaged):
                get_logger().warning(
                    "a training snapshot is damaged and was not used", model_version=number
                )
            learned = pd.DataFrame(index=ids_from_parquet(training_ids(connection, number)))
        keys = keys_of(connection, learned.index.to_numpy(), asked.holdout_rule.salt)
        learned = learned.join(keys[["Rank", "Person"]])
    by_features = not asked.history.equal_says_nothing
    return unseen_by(learned, taken, by_features, today)


def _test_set(asked: GateInput, eligible: BoolArray) -> BoolArray:
    """Choose the test set among the holdout rows, (n,): the recent ones of the `eligible`, (n,)."""
    gate = asked.settings.gate
    if gate.window == "all":
        return eligible
    recent = Window(gate.window_weeks, gate.window_minimum_rows, gate.window_maximum_rows)
    times = asked.history.holdout["Over"]
    test_set = eligible.copy()
    test_set[eligible] = in_window(times[eligible], recent, asked.read_at)
    return test_set


def gate_options(gate: GateSettings) -> GateOptions:
    """Translate the settings into the gate's demands beyond its rule."""
    options = GateOptions(
        log_loss_veto=_asks_for_log_loss(gate),
        minimum_gain=gate.minimum_gain,
        approve=gate.approve,
        measure=Measure(gate.measure),
    )
    if gate.subgroup_margin == "off":
        return options
    return replace(options, subgroup_margin=gate.subgroup_margin)


def _asks_for_log_loss(gate: GateSettings) -> bool:
    """Whether a challenger that is better by the measure must also have a clearly lower log
    loss."""
    if gate.log_loss_veto == "auto":
        return gate.measure != "log_loss"
    return gate.log_loss_veto


def gate_fingerprint(
    settings: Settings, recipe: Recipe, features: Features, groups: Features = ()
) -> str:
    """Return the sha256 over the settings of a fit and of the gate: under other settings the same
    data may be judged again."""
    gate = msgspec.structs.asdict(settings.gate) | {
        "log_loss_veto": _asks_for_log_loss(settings.gate)
    }
    if not settings.gate.first_must_beat:
        del gate["first_must_beat"]
    if settings.gate.subgroup_margin != "off":
        # Other bands make other subgroups, and so another question.
        gate["bands"] = {each.name: each.bands for each in features + groups if each.bands}
        if groups:
            gate["groups"] = {each.name: sorted(each.codes) for each in groups}
    return fit_fingerprint(settings, recipe, features, gate=gate)
