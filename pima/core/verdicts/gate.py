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

from pima.core.arrays import BoolArray, Float64Array
from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME, PresentScore
from pima.core.statistics.estimates import (
    around,
    lower_p,
    mcnemar_p,
    paired_interval,
    standard_error,
    widening,
)
from pima.core.verdicts.contest import Contest, Contestant, Role
from pima.core.verdicts.reasons import (
    BY_MEASURE,
    FEWEST_WITH_SCORE,
    LOG_LOSS_VETO_P,
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
    VerdictFigures,
    performance_of,
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
    return (labelled_at.rank(method="first") > len(labelled_at) - wanted).to_numpy()


TIE = 1e-12
"""Differences up to this are the rounding of a mean; the smallest real one of accuracy is 1 /
rows."""


def measured(measure: Measure, contest: Contest) -> Measured:
    """Compute all figures of a contest whose probabilities are finite numbers."""
    judged = contest.on_the_test_set()
    challenger = worths(measure, judged, judged.challenger)
    constant = _constant_worths(measure, judged)
    sign = -1 if measure is Measure.LOG_LOSS else 1
    alone = Measured(
        measure=measure,
        challenger=sign * float(challenger.mean()),
        constant=sign * float(constant.mean()),
        gain_on_constant=float((challenger - constant).mean()),
    )
    if judged.champion is None:
        return alone
    gain, low, high, p = _mean_gain(measure, judged)
    return replace(
        alone,
        champion=sign * float(worths(measure, judged, judged.champion).mean()),
        gain=gain,
        interval_low=low,
        interval_high=high,
        p=p,
        whole_gain=float(gains(measure, contest).mean()),
    )


def gains(measure: Measure, contest: Contest) -> Float64Array:
    """How much better than the champion, who must be there, the challenger is on each row, (n,)."""
    assert contest.champion is not None  # noqa: S101 (for the type checker)
    challenger = worths(measure, contest, contest.challenger)
    return challenger - worths(measure, contest, contest.champion)


def worths(measure: Measure, contest: Contest, contestant: Contestant) -> Float64Array:
    """The worth of each of a contestant's answers, (n,): the higher, the better."""
    rows = contest.sample(contestant)
    match measure:
        case Measure.ACCURACY:
            return rows.correct.astype(np.float64)
        case Measure.LOG_LOSS:
            return -rows.log_losses
        case Measure.NET_BENEFIT:
            # At its own threshold the champion would lose to an equal model as soon as the setting
            # is changed.
            return rows.net_benefits(contest.challenger.threshold)


def _constant_worths(measure: Measure, contest: Contest) -> Float64Array:
    """The worths of the best answer that is the same for all rows."""
    rows = len(contest.outcomes)
    of_answers = []
    for answer in (0.0, contest.positive / rows, 1.0):
        # For classes the middle one is like one of the outer ones.
        constant = replace(contest.challenger, probabilities=np.full(rows, answer), threshold=0.5)
        of_answers.append(worths(measure, contest, constant))
    return max(of_answers, key=lambda of_rows: float(of_rows.mean()))


def _mean_gain(measure: Measure, judged: Contest) -> tuple[float, float, float, float]:
    """The mean gain on the champion, its 95 % interval, and the p of none."""
    gained = gains(measure, judged)
    mean = float(gained.mean())
    if measure is not Measure.ACCURACY:
        error = standard_error(gained, judged.persons)
        return *around(mean, error), lower_p(-gained, judged.persons)
    effect = widening(gained, judged.persons) ** 2
    won, lost = (float(which.sum()) / effect for which in (gained > 0, gained < 0))
    interval = paired_interval(won, lost, len(gained) / effect)
    return mean, *interval, mcnemar_p(round(won), round(lost))


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
    figures = _figures(compared, is_finite, options)
    champion = contest.champion
    if champion is not None:
        figures = structs.replace(
            figures,
            seen_rows=int((~champion.unseen).sum()),
            unscorable_rows=int((~champion.scorable).sum()),
        )
    would_be_first = champion is None and not contest.circumstances.champion_unloadable
    if is_finite and would_be_first and options.first_must_beat is not None:
        beside = _against_score(contest, options.first_must_beat, options.measure)
        figures = structs.replace(figures, against_score=beside)
    decision, reason = _rule(compared, options, figures)
    sentence = verdict_sentence(compared, decision, reason, figures)
    return Verdict(decision, reason, sentence, figures)


def _figures(contest: Contest, is_finite: bool, options: GateOptions) -> VerdictFigures:
    judged = contest.on_the_test_set()
    champion = judged.champion
    figures = VerdictFigures(
        majority_correct=max(judged.positive, len(judged.outcomes) - judged.positive),
        whole_rows=len(contest.outcomes),
        consultations=contest.circumstances.consultations,
    )
    if champion is not None:
        scores = performance_of(judged.sample(champion))
        figures = structs.replace(figures, champion_scores=scores)
    if not is_finite:
        return figures
    figures = structs.replace(
        figures,
        challenger_scores=performance_of(judged.sample(judged.challenger)),
        measured=measured(options.measure, contest),
    )
    if champion is None:
        return figures
    worst = None
    if options.subgroup_margin is not None:
        gained = gains(options.measure, judged)
        worst = worst_subgroup(gained, judged.groups, judged.declared_groups)
    return structs.replace(
        figures,
        comparison=compare(judged),
        whole_accuracy_difference=float(gains(Measure.ACCURACY, contest).mean()),
        worst_subgroup=worst,
    )


def compare(judged: Contest) -> PairedComparison:
    """Compare challenger and champion on all rows of a contest, one or more."""
    gained = gains(Measure.ACCURACY, judged)
    difference, low, high, mcnemar = _mean_gain(Measure.ACCURACY, judged)
    log_loss_gain, _, _, log_loss_p = _mean_gain(Measure.LOG_LOSS, judged)
    discordant = int(abs(gained).sum()) / len(gained) ** 2
    return PairedComparison(
        only_challenger_correct=int((gained > 0).sum()),
        only_champion_correct=int((gained < 0).sum()),
        accuracy_difference=difference,
        interval_low=low,
        interval_high=high,
        mcnemar_p=mcnemar,
        minimum_detectable_difference=2.49
        * math.sqrt(discordant)
        * widening(gained, judged.persons),
        # Where both say the same, 0 and not -0.
        log_loss_difference=0 - log_loss_gain,
        log_loss_p=log_loss_p,
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
        return Decision.NOT_BETTER, BY_MEASURE[options.measure].not_above
    if gain is not None and gain <= TIE:
        return Decision.NOT_BETTER, BY_MEASURE[options.measure].not_better
    if gain is not None and gain < options.minimum_gain:
        return Decision.NOT_BETTER, Reason.BELOW_MINIMUM_GAIN
    keeps_out = _kept_out(contest, options, found)
    if keeps_out is not None:
        return Decision.BLOCKED, keeps_out
    return Decision.PROMOTED, _won(contest, options.measure)


def _against_score(contest: Contest, to_beat: PresentScore, measure: Measure) -> AgainstScore:
    """Compare a first challenger with the score that it must beat, each at its own threshold; by
    net benefit, both at the score's. A score without a threshold is compared by log loss."""
    score = contest.of(Role.PRESENT_SCORE, to_beat.name)
    name = to_beat.called
    if score is None:
        return AgainstScore(name=name, measure=measure, rows=0, positive=0)
    if not 0 < score.threshold < 1:
        measure = Measure.LOG_LOSS
    challenger = contest.challenger
    if measure is Measure.NET_BENEFIT:
        # At thresholds of their own equal probabilities would be worth different amounts.
        challenger = replace(challenger, threshold=score.threshold)
    in_place = replace(score, role=Role.CHAMPION, declared="")
    pair = contest.between([challenger, in_place]).on_the_test_set()
    rows = len(pair.outcomes)
    found = AgainstScore(name=name, measure=measure, rows=rows, positive=pair.positive)
    fewest = min(pair.positive, rows - pair.positive)
    if rows < FEWEST_WITH_SCORE or fewest < FEWEST_OF_EACH_OUTCOME:
        return found
    gained = gains(measure, pair)
    return structs.replace(
        found,
        gain=float(gained.mean()),
        p=lower_p(-gained, pair.persons),
        log_loss_p=_mean_gain(Measure.LOG_LOSS, pair)[3],
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
    for reason in (Reason.ROLLED_BACK_BEFORE, Reason.SUSPENDED, Reason.PINNED):
        # Such a circumstance is called as its reason is.
        if getattr(contest.circumstances, reason):
            return reason
    return Reason.AWAITS_APPROVAL if options.approve else None


def _is_vetoed(log_loss_p: float, options: GateOptions) -> bool:
    return options.log_loss_veto and not log_loss_p < LOG_LOSS_VETO_P


def _won(contest: Contest, measure: Measure) -> Reason:
    if contest.champion is not None:
        return BY_MEASURE[measure].better
    if contest.circumstances.champion_unloadable:
        return Reason.CHAMPION_UNLOADABLE
    return Reason.FIRST_CHAMPION
