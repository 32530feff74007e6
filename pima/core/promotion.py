"""The gate: a challenger becomes champion only if its test accuracy is better.

'Better' is strictly more correct predictions than the champion on the same holdout rows, both scored now.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.comparison import Comparison, compare
from pima.core.luck import told_of_luck
from pima.core.metrics import Scores, correct, log_losses, majority_correct, scores

LOG_LOSS_VETO_P = 0.25
"""With the veto on, a challenger must also have the lower log loss at this one-sided p."""


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
    NOT_MORE_CORRECT = "not_more_correct"
    BELOW_MINIMUM_GAIN = "below_minimum_gain"
    LOG_LOSS_VETO = "log_loss_veto"
    ROLLED_BACK_BEFORE = "rolled_back_before"
    PINNED = "pinned"
    AWAITS_APPROVAL = "awaits_approval"
    MORE_CORRECT = "more_correct"
    FIRST_CHAMPION = "first_champion"
    CHAMPION_UNLOADABLE = "champion_unloadable"


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What an operator may ask for beyond the rule; all off by default."""

    log_loss_veto: bool = False
    minimum_gain: float = 0.0
    """At least this much more accuracy than the champion's, as a share: 0.01 is one point."""
    approve: bool = False
    """A challenger that won waits for a person's `models promote`."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything the rule looks at; the rows are the whole holdout, in one order for all arrays."""

    outcomes: Int8Array
    """(n,)"""
    in_window: BoolArray
    """(n,), which of them are the test set: on these the verdict is given."""
    challenger: Float64Array
    """(n,) probabilities of the challenger, from its stored, compiled bytes."""
    challenger_threshold: float
    champion: Float64Array | None
    """(n,) probabilities of the champion now; None where there is none or its bytes can't be loaded."""
    champion_threshold: float
    champion_unloadable: bool
    """There is a champion, but its bytes are not what was stored."""
    parity_passed: bool
    """The compiled form agrees with Keras."""
    pinned: bool
    """A person holds the champion where it is."""
    rolled_back_before: bool
    """A person took back what these very data and settings gave."""
    consultations: int = 1
    """How often the holdout has been asked for a verdict, this time included: each look spends some of its worth."""
    unseen: BoolArray | None = None
    """(n,), which of them the champion can't have learned from, where it was fitted under another share of the holdout;
    None: any of them."""
    scorable: BoolArray | None = None
    """(n,), which of them the champion can score by today's rules, where it takes features that were retired since;
    None: all of them."""
    too_few_unseen: bool = False
    """Those that are both are too few to compare the two on."""
    holdout_share: float = 0.30
    """Of the labelled rows, how many are held out."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided and why."""

    decision: Decision
    reason: Reason
    sentence: str
    """The reason for people, with the figures in it."""
    challenger: Scores | None
    """On the test set; None where its outputs are not even numbers."""
    champion: Scores | None
    comparison: Comparison | None
    """None where there is nothing to compare."""
    majority_correct: int
    """What always guessing the more frequent class gets right on the test set."""
    whole_rows: int
    whole_accuracy_difference: float | None
    """Challenger minus champion on the whole holdout, window or not."""
    consultations: int
    seen_rows: int
    """Holdout rows that the champion may have learned from: left out for both, where enough others are there."""
    unscorable_rows: int
    """Holdout rows that the champion can't score by today's rules: left out for both."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the models got on the test set; None as in Verdict."""

    challenger: Scores | None
    champion: Scores | None
    comparison: Comparison | None
    majority_correct: int
    seen_rows: int


def decide(contest: Contest, options: GateOptions) -> Verdict:
    """Judge one contest. Ties keep the champion; a first champion must beat always guessing the majority class."""
    # On the whole holdout, as for the champion: what is no number for one patient is nothing to rely on.
    is_finite = bool(np.isfinite(contest.challenger).all())
    contest = _without_broken_champion(contest)
    seen_rows, unscorable_rows = _left_out(contest.unseen), _left_out(contest.scorable)
    contest = _on_the_same_rows(contest)
    found = _figures(contest, is_finite, seen_rows)
    decision, reason = _rule(contest, options, found)
    return Verdict(
        decision=decision,
        reason=reason,
        sentence=_sentence(decision, reason, found) + _luck(contest, reason, found),
        challenger=found.challenger,
        champion=found.champion,
        comparison=found.comparison,
        majority_correct=found.majority_correct,
        whole_rows=len(contest.outcomes),
        whole_accuracy_difference=_accuracy_difference(contest) if found.comparison else None,
        consultations=contest.consultations,
        seen_rows=seen_rows,
        unscorable_rows=unscorable_rows,
    )


def _left_out(usable: BoolArray | None) -> int:
    return 0 if usable is None else int((~usable).sum())


def _without_broken_champion(contest: Contest) -> Contest:
    """A champion that answers with NaN is as good as one that can't be loaded."""
    if contest.champion is None or np.isfinite(contest.champion).all():
        return contest
    return replace(contest, champion=None, champion_unloadable=True, unseen=None, scorable=None, too_few_unseen=False)


def _on_the_same_rows(contest: Contest) -> Contest:
    """Both on the very same rows; where too few are left for that, the challenger alone, on all of them."""
    if contest.too_few_unseen:
        return replace(contest, champion=None)
    usable = in_all(contest.unseen, contest.scorable)
    return contest if usable is None else _only(contest, usable)


def in_all(*masks: BoolArray | None) -> BoolArray | None:
    """Which rows are in every mask that is given, (n,); None where none is."""
    given = [mask for mask in masks if mask is not None]
    return np.logical_and.reduce(given) if given else None


def _only(contest: Contest, rows: BoolArray) -> Contest:
    return replace(
        contest,
        outcomes=contest.outcomes[rows],
        in_window=contest.in_window[rows],
        challenger=contest.challenger[rows],
        champion=None if contest.champion is None else contest.champion[rows],
        unseen=None,
        scorable=None,
    )


def _figures(contest: Contest, is_finite: bool, seen_rows: int) -> _Figures:
    judged = _only(contest, contest.in_window)
    challenger = champion = comparison = None
    if is_finite:
        challenger = scores(judged.challenger, judged.outcomes, judged.challenger_threshold)
    if judged.champion is not None:
        champion = scores(judged.champion, judged.outcomes, judged.champion_threshold)
    if challenger is not None and judged.champion is not None:
        comparison = compare(
            *_right(judged),
            log_losses(judged.challenger, judged.outcomes),
            log_losses(judged.champion, judged.outcomes),
        )
    return _Figures(challenger, champion, comparison, majority_correct(judged.outcomes), seen_rows)


def _right(contest: Contest) -> tuple[BoolArray, BoolArray]:
    """Row by row, whether challenger and champion are right."""
    assert contest.champion is not None  # noqa: S101 (for the type checker: the callers have looked)
    return (
        correct(contest.challenger, contest.outcomes, contest.challenger_threshold),
        correct(contest.champion, contest.outcomes, contest.champion_threshold),
    )


def _accuracy_difference(contest: Contest) -> float:
    challenger, champion = _right(contest)
    return (int(challenger.sum()) - int(champion.sum())) / len(challenger)


def _rule(contest: Contest, options: GateOptions, found: _Figures) -> tuple[Decision, Reason]:
    challenger, champion, majority = found.challenger, found.champion, found.majority_correct
    if challenger is None:
        return Decision.BLOCKED, Reason.NOT_FINITE
    if not contest.parity_passed:
        return Decision.BLOCKED, Reason.PARITY_FAILED
    if contest.too_few_unseen:
        return Decision.BLOCKED, Reason.TOO_FEW_UNSEEN
    if majority == challenger.rows:
        return Decision.BLOCKED, Reason.SINGLE_CLASS
    if challenger.correct < majority or (champion is None and challenger.correct == majority):
        return Decision.NOT_BETTER, Reason.NOT_ABOVE_MAJORITY
    if champion is not None and challenger.correct <= champion.correct:
        return Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT
    return _kept_out(contest, options, found.comparison) or _won(contest)


def _kept_out(contest: Contest, options: GateOptions, comparison: Comparison | None) -> tuple[Decision, Reason] | None:
    """What an option or a person may still say against a challenger that has won."""
    if comparison and comparison.accuracy_difference < options.minimum_gain:
        return Decision.NOT_BETTER, Reason.BELOW_MINIMUM_GAIN
    if comparison and options.log_loss_veto and not comparison.log_loss_p < LOG_LOSS_VETO_P:
        return Decision.BLOCKED, Reason.LOG_LOSS_VETO
    if contest.rolled_back_before:
        return Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE
    if contest.pinned:
        return Decision.BLOCKED, Reason.PINNED
    if options.approve:
        return Decision.BLOCKED, Reason.AWAITS_APPROVAL
    return None


def _won(contest: Contest) -> tuple[Decision, Reason]:
    if contest.champion is not None:
        return Decision.PROMOTED, Reason.MORE_CORRECT
    if contest.champion_unloadable:
        return Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE
    return Decision.PROMOTED, Reason.FIRST_CHAMPION


_WHY = {
    Reason.NOT_FINITE: "the challenger gave outputs that are not finite numbers",
    Reason.PARITY_FAILED: "its compiled form disagrees with Keras",
    Reason.TOO_FEW_UNSEEN: "too few holdout rows are left that the champion, fitted under another holdout.share or on"
    " features retired since, can't have learned from and can score, so a person decides (models promote)",
    Reason.SINGLE_CLASS: "the test set holds one class only, on which nothing can be judged",
    Reason.NOT_ABOVE_MAJORITY: "it does not beat always guessing the majority class",
    Reason.NOT_MORE_CORRECT: "it is not right more often than the champion",
    Reason.BELOW_MINIMUM_GAIN: "it is right more often than the champion, but by less than gate.minimum_gain",
    Reason.LOG_LOSS_VETO: "it is right more often than the champion, but its log loss is not clearly lower",
    Reason.ROLLED_BACK_BEFORE: "it won, but a person rolled back what these data and settings gave",
    Reason.PINNED: "it won, but the champion is pinned (models unpin)",
    Reason.AWAITS_APPROVAL: "it won and waits for a person's approval (models promote)",
    Reason.MORE_CORRECT: "it is right more often than the champion",
    Reason.FIRST_CHAMPION: "it is the first champion and beats the majority class",
    Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and it beats the majority class",
}


def _sentence(decision: Decision, reason: Reason, found: _Figures) -> str:
    if found.challenger is None:
        return f"{decision}: {_WHY[reason]}"
    figures = [f"correct of {found.challenger.rows} holdout rows: challenger {found.challenger.correct}"]
    if found.champion:
        figures.append(f"champion {found.champion.correct}")
    figures.append(f"majority class {found.majority_correct}")
    if found.comparison:
        low, high = found.comparison.interval_low, found.comparison.interval_high
        figures += [
            f"difference {100 * found.comparison.accuracy_difference:+.1f} points",
            f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
            f"McNemar p {found.comparison.mcnemar_p:.2f}",
        ]
    if found.seen_rows and found.champion:
        figures.append(f"left out {found.seen_rows} that the champion may have learned from")
    return f"{decision}: {_WHY[reason]} ({', '.join(figures)})"


def _luck(contest: Contest, reason: Reason, found: _Figures) -> str:
    """Without a champion rows wait until the next retraining, so it is told how likely that gives one."""
    if reason is not Reason.NOT_ABOVE_MAJORITY or contest.champion is not None:
        return ""
    told = told_of_luck(len(contest.outcomes[contest.in_window]), found.majority_correct, contest.holdout_share)
    return f"; {told}" if told else ""
