"""The gate: a challenger becomes champion only if it is better on the test set.

'Better' means strictly more correct predictions than the champion on the same holdout rows, both
scored now; or, if the operator asks for it, strictly lower log loss or strictly more net benefit.

A test set of all history would block recovery from a drift: for years most of its rows would favour
the old champion. The last weeks alone are too few rows in a quiet clinic. So the test set is what
was labelled in the last weeks; it reaches further back to a minimum of rows, and stops at a
maximum.

Accuracy is the rule that the gate has always had. If few patients have the outcome, even a model
with perfect probabilities is often right on no more rows than the majority class. Log loss (of the
probabilities) and net benefit (of the classes) still tell a good model from none. Net benefit is
that of Vickers and Elkin 2006 (Medical Decision Making 26:565): a false alarm costs the odds of the
threshold, in units of a found case.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from msgspec import structs

from pima.core.arrays import BoolArray, Float64Array, Int64Array
from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME, PresentScore
from pima.core.verdicts.contest import Circumstances, Contest, Contestant, Role
from pima.core.verdicts.metrics import (
    correct,
    log_losses,
    lower_p,
    majority_correct,
    mcnemar_p,
    net_benefits,
    normal_interval,
    odds,
    paired_interval,
    performance_of,
)
from pima.core.verdicts.persons import widening
from pima.core.verdicts.reasons import (
    BETTER,
    FEWEST_WITH_SCORE,
    LOG_LOSS_VETO_P,
    NOT_ABOVE,
    NOT_BETTER,
    Decision,
    Reason,
    asked_p,
    verdict_sentence,
)
from pima.core.verdicts.subgroups import worst_subgroup
from pima.core.verdicts.verdict import (
    AgainstScore,
    Measure,
    Measured,
    PairedComparison,
    Performance,
    VerdictFigures,
)

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    """How far back the test set reaches."""

    weeks: int = 26
    minimum_rows: int = 250
    """If fewer were labelled in those weeks, the test set reaches back to this many, or to all."""
    maximum_rows: int = 1_000
    """If more were labelled, only the newest count."""


def in_window(labelled_at: pd.Series, window: Window | None, now: "datetime") -> BoolArray:
    """Choose the holdout rows that are the test set, (n,); without a window, all.

    Of rows labelled at the same moment, later ones count as newer; so the patient id decides if the
    rows are in its order.
    """
    if window is None:
        return np.ones(len(labelled_at), dtype=bool)
    recent = int((labelled_at + np.timedelta64(window.weeks, "W") > now).sum())
    wanted = min(max(recent, window.minimum_rows), window.maximum_rows)
    chosen: BoolArray = (labelled_at.rank(method="first") > len(labelled_at) - wanted).to_numpy()
    return chosen


TIE = 1e-12
"""Differences up to this are the rounding of a mean; the smallest real one of accuracy is 1 /
rows."""


def measured(measure: Measure, contest: Contest) -> Measured:
    """Compute all figures of a contest whose probabilities are finite numbers."""
    judged = contest.on_the_test_set()
    challenger = worths(measure, judged, judged.challenger)
    constant = _constant_worths(measure, judged)
    alone = Measured(
        measure=measure,
        challenger=_figure(measure, challenger),
        constant=_figure(measure, constant),
        gain_on_constant=float((challenger - constant).mean()),
    )
    if judged.champion is None or contest.champion is None:
        return alone
    champion = worths(measure, judged, judged.champion)
    gained = challenger - champion
    low, high, p = _uncertainty(measure, gained, judged.persons)
    return replace(
        alone,
        champion=_figure(measure, champion),
        gain=float(gained.mean()),
        interval_low=low,
        interval_high=high,
        p=p,
        whole_gain=float(gains(measure, contest, contest.champion).mean()),
    )


def gains(measure: Measure, contest: Contest, champion: Contestant) -> Float64Array:
    """How much better than the champion the challenger is on each row, (n,)."""
    return worths(measure, contest, contest.challenger) - worths(measure, contest, champion)


def worths(measure: Measure, contest: Contest, contestant: Contestant) -> Float64Array:
    """The worth of each of a contestant's answers, (n,): the higher, the better."""
    threshold = contestant.threshold
    if measure is Measure.NET_BENEFIT:
        # At its own threshold the champion would lose to an equal model as soon as the setting is
        # changed.
        threshold = contest.challenger.threshold
    return _worths(measure, contest, contestant.probabilities, threshold)


def _worths(
    measure: Measure, contest: Contest, probabilities: Float64Array, threshold: float
) -> Float64Array:
    match measure:
        case Measure.ACCURACY:
            return correct(probabilities, contest.outcomes, threshold).astype(np.float64)
        case Measure.LOG_LOSS:
            return -log_losses(probabilities, contest.outcomes)
        case Measure.NET_BENEFIT:
            cost = odds(contest.challenger.threshold)
            return net_benefits(probabilities, contest.outcomes, threshold, cost)


def _constant_worths(measure: Measure, contest: Contest) -> Float64Array:
    answers = [0.0, 1.0]
    if measure is Measure.LOG_LOSS:
        answers = [float((contest.outcomes == 1).mean())]
    # At any threshold, 0 is below it and 1 is not.
    of_answers = [
        _worths(measure, contest, np.full(len(contest.outcomes), answer), 0.5) for answer in answers
    ]
    return max(of_answers, key=lambda each: float(each.mean()))


def _figure(measure: Measure, of_rows: Float64Array) -> float:
    mean = float(of_rows.mean())
    return -mean if measure is Measure.LOG_LOSS else mean


def _uncertainty(
    measure: Measure, gains: Float64Array, persons: Int64Array
) -> tuple[float, float, float]:
    if measure is not Measure.ACCURACY:
        return *normal_interval(gains, persons), lower_p(-gains, persons)
    effect = widening(gains, persons) ** 2
    won = float((gains > 0).sum()) / effect
    lost = float((gains < 0).sum()) / effect
    return *paired_interval(won, lost, len(gains) / effect), mcnemar_p(round(won), round(lost))


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Demands beyond the rule; none by default."""

    log_loss_veto: bool = False
    minimum_gain: float = 0.0
    """The least gain over the champion, in the measure's unit; for accuracy, 0.01 is one point."""
    approve: bool = False
    """A challenger that won waits for a person's `models promote`."""
    measure: Measure = Measure.ACCURACY
    first_must_beat: PresentScore | None = None
    """The score in use that a first champion must be better than."""
    subgroup_margin: float | None = None
    """The most by which it may be worse than the champion in a subgroup, in the measure's unit;
    None: no limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of the gate, and why."""

    decision: Decision
    reason: Reason
    sentence: str
    figures: VerdictFigures


def decide(contest: Contest, options: GateOptions) -> Verdict:
    """Judge one contest. Ties keep the champion; a first champion must beat the best constant
    answer."""
    # On the whole holdout, as for the champion: a model that gives one patient no number can't be
    # relied on.
    is_finite = bool(np.isfinite(contest.challenger.probabilities).all())
    contest = contest.without_broken_champion()
    compared = contest.of_those_who_decide()
    found = _figures(compared, is_finite, options)
    if contest.champion is not None:
        found = structs.replace(
            found,
            seen_rows=int((~contest.champion.unseen).sum()),
            unscorable_rows=int((~contest.champion.scorable).sum()),
        )
    to_beat = options.first_must_beat
    if is_finite and to_beat is not None and _would_be_first(contest):
        beside = _against_score(contest, to_beat, options.measure)
        found = structs.replace(found, against_score=beside)
    decision, reason = _rule(compared, options, found)
    return Verdict(decision, reason, verdict_sentence(compared, decision, reason, found), found)


def _figures(contest: Contest, is_finite: bool, options: GateOptions) -> VerdictFigures:
    judged = contest.on_the_test_set()
    found = VerdictFigures(
        majority_correct=majority_correct(judged.outcomes),
        whole_rows=len(contest.outcomes),
        consultations=contest.circumstances.consultations,
    )
    champion = judged.champion
    if champion is not None:
        found = structs.replace(found, champion_scores=_performance(judged, champion))
    if not is_finite:
        return found
    found = structs.replace(
        found,
        challenger_scores=_performance(judged, judged.challenger),
        measured=measured(options.measure, contest),
    )
    if champion is None or contest.champion is None:
        return found
    if options.subgroup_margin is not None:
        gained = gains(options.measure, judged, champion)
        worst = worst_subgroup(gained, judged.groups, judged.declared_groups)
        found = structs.replace(found, worst_subgroup=worst)
    whole = gains(Measure.ACCURACY, contest, contest.champion)
    return structs.replace(
        found,
        comparison=compare(judged, champion),
        whole_accuracy_difference=float(whole.mean()),
    )


def _performance(judged: Contest, contestant: Contestant) -> Performance:
    return performance_of(contestant.probabilities, judged.outcomes, contestant.threshold)


def compare(judged: Contest, champion: Contestant) -> PairedComparison:
    """Compare the challenger with another contestant on all rows of a contest, one or more."""
    gained = gains(Measure.ACCURACY, judged, champion)
    # Where both say the same, 0 and not -0.
    lost = 0 - gains(Measure.LOG_LOSS, judged, champion)
    rows = len(gained)
    discordant = int(abs(gained).sum())
    low, high, p = _uncertainty(Measure.ACCURACY, gained, judged.persons)
    wider = widening(gained, judged.persons)
    return PairedComparison(
        only_challenger_correct=int((gained > 0).sum()),
        only_champion_correct=int((gained < 0).sum()),
        accuracy_difference=int(gained.sum()) / rows,
        interval_low=low,
        interval_high=high,
        mcnemar_p=p,
        minimum_detectable_difference=2.49 * math.sqrt(discordant / rows / rows) * wider,
        log_loss_difference=float(lost.mean()),
        log_loss_p=lower_p(lost, judged.persons),
    )


def _rule(contest: Contest, options: GateOptions, found: VerdictFigures) -> tuple[Decision, Reason]:
    if found.challenger_scores is None or found.measured is None:
        return Decision.BLOCKED, Reason.NOT_FINITE
    if not contest.circumstances.parity_passed:
        return Decision.BLOCKED, Reason.PARITY_FAILED
    if contest.circumstances.too_few_unseen:
        return Decision.BLOCKED, Reason.TOO_FEW_UNSEEN
    if found.majority_correct == found.challenger_scores.rows:
        return Decision.BLOCKED, Reason.SINGLE_CLASS
    gain = found.measured.gain
    gain_on_constant = found.measured.gain_on_constant
    if gain_on_constant < -TIE or (gain is None and gain_on_constant <= TIE):
        return Decision.NOT_BETTER, NOT_ABOVE[options.measure]
    if gain is not None and gain <= TIE:
        return Decision.NOT_BETTER, NOT_BETTER[options.measure]
    if gain is not None and gain < options.minimum_gain:
        return Decision.NOT_BETTER, Reason.BELOW_MINIMUM_GAIN
    keeps_out = _kept_out(contest, options, found)
    if keeps_out is not None:
        return Decision.BLOCKED, keeps_out
    return Decision.PROMOTED, _won(contest, options.measure)


def _would_be_first(contest: Contest) -> bool:
    return contest.champion is None and not contest.circumstances.champion_unloadable


def _against_score(contest: Contest, to_beat: PresentScore, measure: Measure) -> AgainstScore:
    """Compare a first challenger with the score that it must beat, each at its own threshold; by
    net benefit, both at the score's. A score without a threshold is compared by log loss."""
    score = contest.of(Role.PRESENT_SCORE, to_beat.name)
    name = to_beat.called
    if score is None:
        return AgainstScore(name=name, measure=measure, rows=0, positive=0)
    pair = contest.between([contest.challenger, score]).on_the_test_set()
    ours, theirs = pair.contestants
    if not 0 < score.threshold < 1:
        measure = Measure.LOG_LOSS
    rows = len(pair.outcomes)
    found = AgainstScore(name=name, measure=measure, rows=rows, positive=pair.positive)
    fewest = min(pair.positive, rows - pair.positive)
    if rows < FEWEST_WITH_SCORE or fewest < FEWEST_OF_EACH_OUTCOME:
        return found
    compared = compare(pair, theirs)
    if measure is Measure.NET_BENEFIT:
        # At thresholds of their own equal probabilities would be worth different amounts.
        ours = replace(ours, threshold=theirs.threshold)
    gained = gains(measure, replace(pair, contestants=(ours, theirs)), theirs)
    return structs.replace(
        found,
        gain=float(gained.mean()),
        p=lower_p(-gained, pair.persons),
        log_loss_p=compared.log_loss_p,
    )


def _kept_out(contest: Contest, options: GateOptions, found: VerdictFigures) -> Reason | None:
    """Find the option, or the person's decision, that keeps out a challenger that has won."""
    beside = found.against_score
    if beside is not None:
        if beside.p is None or beside.log_loss_p is None:
            return Reason.TOO_FEW_WITH_SCORE
        if beside.p >= asked_p(found.consultations) or _is_vetoed(beside.log_loss_p, options):
            return Reason.NOT_BETTER_THAN_SCORE
    if found.comparison is not None and _is_vetoed(found.comparison.log_loss_p, options):
        return Reason.LOG_LOSS_VETO
    worst = found.worst_subgroup
    if worst and worst.gain < -(options.subgroup_margin or 0.0) - TIE:
        return Reason.SUBGROUP_WORSE
    return _kept_out_by_person(contest.circumstances, options)


def _kept_out_by_person(known: Circumstances, options: GateOptions) -> Reason | None:
    if known.rolled_back_before:
        return Reason.ROLLED_BACK_BEFORE
    if known.suspended:
        return Reason.SUSPENDED
    if known.pinned:
        return Reason.PINNED
    if options.approve:
        return Reason.AWAITS_APPROVAL
    return None


def _is_vetoed(log_loss_p: float, options: GateOptions) -> bool:
    return options.log_loss_veto and not log_loss_p < LOG_LOSS_VETO_P


def _won(contest: Contest, measure: Measure) -> Reason:
    if contest.champion is not None:
        return BETTER[measure]
    if contest.circumstances.champion_unloadable:
        return Reason.CHAMPION_UNLOADABLE
    return Reason.FIRST_CHAMPION
