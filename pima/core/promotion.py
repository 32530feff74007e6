"""The gate: a challenger becomes champion only if it is better on the test set.

'Better' is strictly more correct predictions than the champion on the same holdout rows, both scored now; or, where the
operator asks for it, strictly lower log loss or strictly more net benefit.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from pima.core.arrays import Int8Array
from pima.core.contest import (
    TIE,
    Contest,
    Measure,
    Measured,
    gains,
    measured,
    on_the_same_rows,
    only,
    without_broken_champion,
)
from pima.core.metrics import Comparison, Scores, compare, correct, log_losses, majority_correct, scores
from pima.core.subgroups import WorstSubgroup, worst_subgroup


class Decision(StrEnum):
    """The verdict's word in the ledger."""

    PROMOTED = "promoted"
    NOT_BETTER = "not_better"
    BLOCKED = "blocked"
    """A rule forbids it whatever its score, or leaves it to a person; the reason code says which."""


class Reason(StrEnum):
    """Why, as a code that scripts can rely on; the rules are tried in this order, the promotions last."""

    NOT_FINITE = "not_finite"
    PARITY_FAILED = "parity_failed"
    TOO_FEW_UNSEEN = "too_few_unseen"
    SINGLE_CLASS = "single_class"
    NOT_ABOVE_MAJORITY = "not_above_majority"
    NOT_ABOVE_CONSTANT = "not_above_constant"
    """By log loss or net benefit, what `not_above_majority` is by accuracy."""
    NOT_MORE_CORRECT = "not_more_correct"
    NOT_LOWER_LOG_LOSS = "not_lower_log_loss"
    NOT_MORE_NET_BENEFIT = "not_more_net_benefit"
    BELOW_MINIMUM_GAIN = "below_minimum_gain"
    LOG_LOSS_VETO = "log_loss_veto"
    SUBGROUP_WORSE = "subgroup_worse"
    ROLLED_BACK_BEFORE = "rolled_back_before"
    PINNED = "pinned"
    AWAITS_APPROVAL = "awaits_approval"
    MORE_CORRECT = "more_correct"
    LOWER_LOG_LOSS = "lower_log_loss"
    MORE_NET_BENEFIT = "more_net_benefit"
    FIRST_CHAMPION = "first_champion"
    CHAMPION_UNLOADABLE = "champion_unloadable"


# By measure, the codes of the three rules that ask it.
NOT_ABOVE = {
    Measure.ACCURACY: Reason.NOT_ABOVE_MAJORITY,
    Measure.LOG_LOSS: Reason.NOT_ABOVE_CONSTANT,
    Measure.NET_BENEFIT: Reason.NOT_ABOVE_CONSTANT,
}
NOT_BETTER = {
    Measure.ACCURACY: Reason.NOT_MORE_CORRECT,
    Measure.LOG_LOSS: Reason.NOT_LOWER_LOG_LOSS,
    Measure.NET_BENEFIT: Reason.NOT_MORE_NET_BENEFIT,
}
BETTER = {
    Measure.ACCURACY: Reason.MORE_CORRECT,
    Measure.LOG_LOSS: Reason.LOWER_LOG_LOSS,
    Measure.NET_BENEFIT: Reason.MORE_NET_BENEFIT,
}


def why(reason: Reason, measure: Measure) -> str:
    """Word a reason for people, as it is under this measure."""
    better = _WHY[BETTER[measure]]
    if reason is Reason.BELOW_MINIMUM_GAIN:
        return f"{better}, but by less than gate.minimum_gain"
    if reason is Reason.LOG_LOSS_VETO:
        not_clear = "" if measure is Measure.LOG_LOSS else "its log loss is "
        lower = "" if measure is Measure.LOG_LOSS else " lower"
        return f"{better}, but {not_clear}not as clearly{lower} as gate.log_loss_veto asks"
    return _WHY_BY_MEASURE[measure].get(reason) or _WHY[reason]


_WHY = {
    Reason.NOT_FINITE: "the challenger gave outputs that are not finite numbers",
    Reason.PARITY_FAILED: "its compiled form disagrees with Keras",
    Reason.TOO_FEW_UNSEEN: "too few holdout rows are left that the champion, fitted under another holdout.share, before"
    " rows got the keys that they go by now, or on features retired since, can't have learned from and can score, so a"
    " person decides (models promote)",
    Reason.SINGLE_CLASS: "the test set holds one class only, on which nothing can be judged",
    Reason.NOT_ABOVE_MAJORITY: "it does not beat always guessing the majority class",
    Reason.NOT_MORE_CORRECT: "it is not right more often than the champion",
    Reason.NOT_LOWER_LOG_LOSS: "its log loss is not lower than the champion's",
    Reason.NOT_MORE_NET_BENEFIT: "its net benefit is not above the champion's",
    Reason.MORE_CORRECT: "it is right more often than the champion",
    Reason.LOWER_LOG_LOSS: "its log loss is lower than the champion's",
    Reason.MORE_NET_BENEFIT: "its net benefit is above the champion's",
    Reason.SUBGROUP_WORSE: "it won, but in a subgroup it is worse than the champion by more than gate.subgroup_margin",
    Reason.ROLLED_BACK_BEFORE: "it won, but a person rolled back what these data and settings gave",
    Reason.PINNED: "it won, but the champion is pinned (models unpin)",
    Reason.AWAITS_APPROVAL: "it won and waits for a person's approval (models promote)",
}
_WHY_BY_MEASURE = {
    Measure.ACCURACY: {
        Reason.FIRST_CHAMPION: "it is the first champion and beats the majority class",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and it beats the majority class",
    },
    Measure.LOG_LOSS: {
        Reason.NOT_ABOVE_CONSTANT: "its log loss is not lower than that of the test set's prevalence for everybody",
        Reason.FIRST_CHAMPION: "it is the first champion, and its log loss is lower than that of the test set's"
        " prevalence for everybody",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and the challenger's log loss is"
        " lower than that of the test set's prevalence for everybody",
    },
    Measure.NET_BENEFIT: {
        Reason.NOT_ABOVE_CONSTANT: "its net benefit is not above treating all and treating none",
        Reason.FIRST_CHAMPION: "it is the first champion, and its net benefit is above treating all and treating none",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and the challenger's net benefit"
        " is above treating all and treating none",
    },
}


# A sound model does what fits of 140 of the shipped rows do, mean over draws: of the rows of the rarer class it finds
# this share, and it takes so many of the others for them. So it beats the majority class by 30 % of the rarer class.
_FOUND = 0.55
_TAKEN_FOR_THEM = 0.25


def _gain_and_variance(rarer_share: float) -> tuple[float, float]:
    """A sound model's mean gain in correct answers a row on the majority class, and its variance."""
    gained, lost = _FOUND * rarer_share, _TAKEN_FOR_THEM * rarer_share
    return gained - lost, gained + lost - (gained - lost) ** 2


def chance_to_beat_majority(rows: int, rarer_share: float) -> float:
    """The probability that a sound model beats always guessing the majority class, by the normal approximation.

    `rarer_share` of the rows have the rarer outcome.
    """
    gain, variance = _gain_and_variance(rarer_share)
    # A tie is not enough: half a row less, as whole rows ask for.
    return NormalDist().cdf((gain * rows - 0.5) / math.sqrt(rows * variance))


def rows_to_beat_majority(rarer_share: float, chance: float = 0.95) -> int:
    """The fewest rows on which the chance is this high; `rarer_share` is above 0."""
    gain, variance = _gain_and_variance(rarer_share)
    spread = NormalDist().inv_cdf(chance) * math.sqrt(variance)
    return math.ceil(((spread + math.sqrt(spread**2 + 2 * gain)) / (2 * gain)) ** 2)


def _describe_luck(rows: int, majority_rows: int, holdout_share: float) -> str:
    """Tell how likely luck alone kept a sound model out; nothing where there were rows enough."""
    rarer_share = (rows - majority_rows) / rows
    needed = rows_to_beat_majority(rarer_share)
    if rows >= needed:
        return ""
    passed = f"{100 * chance_to_beat_majority(rows, rarer_share):.0f}"
    labels = 10 * math.ceil(needed / holdout_share / 10)
    return (
        f"; on {rows} rows luck decides: there a sound model beats it in {passed} of 100 cases, and in 95 on {needed},"
        f" as about {labels} labelled rows hold out"
    )


LOG_LOSS_VETO_P = 0.25
"""With the veto on, a challenger must also have the lower log loss at a one-sided p below this."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Demands beyond the rule; none by default."""

    log_loss_veto: bool = False
    minimum_gain: float = 0.0
    """At least so much better than the champion, in the measure's unit; of accuracy 0.01 is one point."""
    approve: bool = False
    """A challenger that won waits for a person's `models promote`."""
    measure: Measure = Measure.ACCURACY
    """The measure by which it must be better."""
    subgroup_margin: float | None = None
    """In no subgroup may it be worse than the champion by more than this, in the measure's unit; None asks none."""


@dataclass(frozen=True, slots=True)
class VerdictFigures:
    """What a verdict rests on; the field names are keys of a retraining's JSON."""

    challenger_scores: Scores | None
    """On the test set; None where its outputs are not even numbers."""
    champion_scores: Scores | None
    comparison: Comparison | None
    """None where there is nothing to compare."""
    majority_correct: int
    """What always guessing the more frequent class gets right on the test set."""
    measured: Measured | None
    """By the measure that decides; None as `challenger_scores`."""
    whole_rows: int
    whole_accuracy_difference: float | None
    """Challenger minus champion on the whole holdout, window or not."""
    consultations: int
    seen_rows: int
    """Holdout rows that the champion may have learned from: left out for both, where enough others are there."""
    unscorable_rows: int
    """Holdout rows that the champion can't score by today's rules: left out for both."""
    worst_subgroup: WorstSubgroup | None = None
    """Where the challenger does worst beside the champion; None where `subgroup_margin` is not asked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of the gate, and why."""

    decision: Decision
    reason: Reason
    sentence: str
    """The reason for people, with the figures in it."""
    figures: VerdictFigures


def decide(contest: Contest, options: GateOptions) -> Verdict:
    """Judge one contest. Ties keep the champion; a first champion must beat the best constant answer."""
    # On the whole holdout, as for the champion: what is no number for one patient is nothing to rely on.
    is_finite = bool(np.isfinite(contest.challenger).all())
    contest = without_broken_champion(contest)
    left_out = [0 if usable is None else int((~usable).sum()) for usable in (contest.unseen, contest.scorable)]
    contest = on_the_same_rows(contest)
    found = _figures(contest, is_finite, options, *left_out)
    decision, reason = _rule(contest, options, found)
    return Verdict(decision, reason, _sentence(contest, decision, reason, found), found)


def _figures(
    contest: Contest, is_finite: bool, options: GateOptions, seen_rows: int, unscorable_rows: int
) -> VerdictFigures:
    judged = only(contest, contest.in_window)
    challenger = champion = comparison = by_measure = worst = whole = None
    if is_finite:
        challenger = scores(judged.challenger, judged.outcomes, judged.challenger_threshold)
        by_measure = measured(options.measure, contest)
        gained = None if options.subgroup_margin is None else gains(options.measure, judged)
        worst = None if gained is None else worst_subgroup(gained, judged.groupings)
    if judged.champion is not None:
        champion = scores(judged.champion, judged.outcomes, judged.champion_threshold)
    if challenger is not None and judged.champion is not None:
        whole = gains(Measure.ACCURACY, contest)
        comparison = compare(
            correct(judged.challenger, judged.outcomes, judged.challenger_threshold),
            correct(judged.champion, judged.outcomes, judged.champion_threshold),
            log_losses(judged.challenger, judged.outcomes),
            log_losses(judged.champion, judged.outcomes),
        )
    return VerdictFigures(
        challenger_scores=challenger,
        champion_scores=champion,
        comparison=comparison,
        majority_correct=majority_correct(judged.outcomes),
        measured=by_measure,
        whole_rows=len(contest.outcomes),
        whole_accuracy_difference=None if whole is None else float(whole.mean()),
        consultations=contest.consultations,
        seen_rows=seen_rows,
        unscorable_rows=unscorable_rows,
        worst_subgroup=worst,
    )


def _rule(contest: Contest, options: GateOptions, found: VerdictFigures) -> tuple[Decision, Reason]:
    if found.challenger_scores is None or found.measured is None:
        return Decision.BLOCKED, Reason.NOT_FINITE
    if not contest.parity_passed:
        return Decision.BLOCKED, Reason.PARITY_FAILED
    if contest.too_few_unseen:
        return Decision.BLOCKED, Reason.TOO_FEW_UNSEEN
    if found.majority_correct == found.challenger_scores.rows:
        return Decision.BLOCKED, Reason.SINGLE_CLASS
    gain, gain_on_constant = found.measured.gain, found.measured.gain_on_constant
    if gain_on_constant < -TIE or (gain is None and gain_on_constant <= TIE):
        return Decision.NOT_BETTER, NOT_ABOVE[options.measure]
    if gain is not None and gain <= TIE:
        return Decision.NOT_BETTER, NOT_BETTER[options.measure]
    return _kept_out(contest, options, found, gain) or _won(contest, options.measure)


def _kept_out(
    contest: Contest, options: GateOptions, found: VerdictFigures, gain: float | None
) -> tuple[Decision, Reason] | None:
    """Look for an option, or a person, that keeps out a challenger that has won."""
    comparison, worst = found.comparison, found.worst_subgroup
    if gain is not None and gain < options.minimum_gain:
        return Decision.NOT_BETTER, Reason.BELOW_MINIMUM_GAIN
    asked = {
        Reason.LOG_LOSS_VETO: comparison and options.log_loss_veto and not comparison.log_loss_p < LOG_LOSS_VETO_P,
        Reason.SUBGROUP_WORSE: worst and worst.gain < -(options.subgroup_margin or 0.0) - TIE,
        Reason.ROLLED_BACK_BEFORE: contest.rolled_back_before,
        Reason.PINNED: contest.pinned,
        Reason.AWAITS_APPROVAL: options.approve,
    }
    return next(((Decision.BLOCKED, reason) for reason, blocks in asked.items() if blocks), None)


def _won(contest: Contest, measure: Measure) -> tuple[Decision, Reason]:
    if contest.champion is not None:
        return Decision.PROMOTED, BETTER[measure]
    if contest.champion_unloadable:
        return Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE
    return Decision.PROMOTED, Reason.FIRST_CHAMPION


def _sentence(contest: Contest, decision: Decision, reason: Reason, found: VerdictFigures) -> str:
    if found.measured is None:
        # Its outputs are no numbers, whatever the measure.
        return f"{decision}: {why(reason, Measure.ACCURACY)}"
    by_accuracy, worst = found.measured.measure is Measure.ACCURACY, found.worst_subgroup
    rows = contest.outcomes[contest.in_window]
    threshold = contest.challenger_threshold
    figures = _describe_accuracy(found) if by_accuracy else _describe(found.measured, rows, threshold)
    if found.champion_scores:
        figures += _left_out(found)
    if reason is Reason.LOG_LOSS_VETO and found.comparison is not None:
        lost, p = found.comparison.log_loss_difference, found.comparison.log_loss_p
        figures += f", log loss difference {lost:+.4f}, one-sided p {p:.2f}, below {LOG_LOSS_VETO_P} is asked"
    if reason is Reason.SUBGROUP_WORSE and worst is not None:
        gain = f"{100 * worst.gain:+.1f} points" if by_accuracy else f"{worst.gain:+.4f}"
        figures = f"{worst.feature} {worst.group}, {worst.rows} rows: {gain}; {figures}"
    sentence = f"{decision}: {why(reason, found.measured.measure)} ({figures})"
    # Without a champion rows wait until the next retraining, so it is told how likely that gives one.
    if reason is Reason.NOT_ABOVE_MAJORITY and contest.champion is None:
        sentence += _describe_luck(len(rows), found.majority_correct, contest.holdout_share)
    return sentence


def _left_out(found: VerdictFigures) -> str:
    rows = [f"{found.seen_rows} that the champion may have learned from"] if found.seen_rows else []
    rows += [f"{found.unscorable_rows} that the champion can't score"] if found.unscorable_rows else []
    return f", left out {' and '.join(rows)}" if rows else ""


def _describe_accuracy(found: VerdictFigures) -> str:
    assert found.challenger_scores is not None  # noqa: S101 (for the type checker: it was measured)
    parts = [f"correct of {found.challenger_scores.rows} holdout rows: challenger {found.challenger_scores.correct}"]
    if found.champion_scores:
        parts.append(f"champion {found.champion_scores.correct}")
    parts.append(f"majority class {found.majority_correct}")
    if found.comparison:
        low, high = found.comparison.interval_low, found.comparison.interval_high
        parts += [
            f"difference {100 * found.comparison.accuracy_difference:+.1f} points",
            f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
            f"McNemar p {found.comparison.mcnemar_p:.2f}",
        ]
    return ", ".join(parts)


def _describe(found: Measured, outcomes: Int8Array, threshold: float) -> str:
    """The figures of another measure; `outcomes` (n,) are the test set's, `threshold` is the challenger's."""
    where = f"{len(outcomes)} holdout rows, {int((outcomes == 1).sum())} with outcome 1"
    figure, constant = "log loss", "constant prevalence"
    if found.measure is Measure.NET_BENEFIT:
        figure, constant = f"net benefit at odds of the threshold {threshold:.3g}", "treating all or none"
    parts = [f"{figure} on {where}: challenger {found.challenger:.4f}"]
    if found.champion is not None:
        parts.append(f"champion {found.champion:.4f}")
    parts.append(f"{constant} {found.constant:.4f}")
    if found.gain is not None:
        parts += [
            f"gain {found.gain:+.4f}",
            f"95 % interval {found.interval_low:+.4f} to {found.interval_high:+.4f}",
            f"one-sided p {found.p:.2f}",
        ]
    return ", ".join(parts)
