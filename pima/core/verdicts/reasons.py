"""The gate's reasons for its decisions: as codes that scripts can rely on, and as sentences for
people.

The reasons why a row is rejected are in `pima.core.rows.validation`.
"""

from enum import StrEnum

from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME
from pima.core.verdicts.contest import Contest
from pima.core.verdicts.persons import repeated
from pima.core.verdicts.verdict import AgainstScore, Measure, Measured, VerdictFigures


class Decision(StrEnum):
    """The verdict's word in the ledger."""

    PROMOTED = "promoted"
    NOT_BETTER = "not_better"
    BLOCKED = "blocked"
    """A rule forbids a promotion whatever the score, or leaves it to a person; the reason code says
    which."""


class Reason(StrEnum):
    """The reason, as a code that scripts can rely on; the rules are tried in this order, the
    promotions last."""

    NOT_FINITE = "not_finite"
    PARITY_FAILED = "parity_failed"
    TOO_FEW_UNSEEN = "too_few_unseen"
    SINGLE_CLASS = "single_class"
    NOT_ABOVE_MAJORITY = "not_above_majority"
    NOT_ABOVE_CONSTANT = "not_above_constant"
    """The counterpart of `not_above_majority` for log loss and net benefit."""
    NOT_MORE_CORRECT = "not_more_correct"
    NOT_LOWER_LOG_LOSS = "not_lower_log_loss"
    NOT_MORE_NET_BENEFIT = "not_more_net_benefit"
    BELOW_MINIMUM_GAIN = "below_minimum_gain"
    TOO_FEW_WITH_SCORE = "too_few_with_score"
    NOT_BETTER_THAN_SCORE = "not_better_than_score"
    LOG_LOSS_VETO = "log_loss_veto"
    SUBGROUP_WORSE = "subgroup_worse"
    ROLLED_BACK_BEFORE = "rolled_back_before"
    SUSPENDED = "suspended"
    PINNED = "pinned"
    AWAITS_APPROVAL = "awaits_approval"
    MORE_CORRECT = "more_correct"
    LOWER_LOG_LOSS = "lower_log_loss"
    MORE_NET_BENEFIT = "more_net_benefit"
    FIRST_CHAMPION = "first_champion"
    CHAMPION_UNLOADABLE = "champion_unloadable"


# By measure, the codes of the three rules that use it.
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


LOG_LOSS_VETO_P = 0.25
"""The veto, if on, demands that the challenger has the lower log loss at a one-sided p below
this."""


FIRST_LOOK_P = 0.1
"""A first champion that must beat the score in use must be better at a one-sided p below this, if
this is the first look at the holdout."""
LATER_LOOK_P = 0.005
"""And below this at each later look: of models that are no better, half would be below the other
one at some look of a year."""
FEWEST_WITH_SCORE = 100
"""Rows of which the score must be known for that."""


def asked_p(look: int) -> float:
    """The p below which a first champion must beat the score, at this look at the holdout, from 1
    on."""
    if look == 1:
        return FIRST_LOOK_P
    return LATER_LOOK_P


def why(reason: Reason, measure: Measure) -> str:
    """Word a reason under this measure for people."""
    better = _WHY[BETTER[measure]]
    if reason is Reason.BELOW_MINIMUM_GAIN:
        return f"{better}, but by less than gate.minimum_gain"
    if reason is Reason.LOG_LOSS_VETO:
        return f"{better}, but its log loss is not as clearly lower as gate.log_loss_veto asks"
    return _WHY[reason]


_WHY = {
    Reason.NOT_FINITE: "the challenger gave outputs that are not finite numbers",
    Reason.PARITY_FAILED: "its compiled form disagrees with Keras",
    Reason.TOO_FEW_UNSEEN: (
        "too few holdout rows are left that the champion can score and has not learned from, since "
        "holdout.share, the rows' keys or the features have changed, so a person decides (models "
        "promote)"
    ),
    Reason.SINGLE_CLASS: "the test set holds one class only, on which nothing can be judged",
    Reason.NOT_ABOVE_MAJORITY: "it does not beat always guessing the majority class",
    Reason.NOT_ABOVE_CONSTANT: "it does not beat the best constant answer",
    Reason.NOT_MORE_CORRECT: "it is not right more often than the champion",
    Reason.NOT_LOWER_LOG_LOSS: "its log loss is not lower than the champion's",
    Reason.NOT_MORE_NET_BENEFIT: "its net benefit is not above the champion's",
    Reason.NOT_BETTER_THAN_SCORE: "it is not clearly better than the score that "
    "gate.first_must_beat names",
    Reason.TOO_FEW_WITH_SCORE: "it must beat the score that gate.first_must_beat names, which is "
    "known of too few rows",
    Reason.MORE_CORRECT: "it is right more often than the champion",
    Reason.LOWER_LOG_LOSS: "its log loss is lower than the champion's",
    Reason.MORE_NET_BENEFIT: "its net benefit is above the champion's",
    Reason.SUBGROUP_WORSE: (
        "it won, but in a subgroup it is worse than the champion by more than gate.subgroup_margin"
    ),
    Reason.ROLLED_BACK_BEFORE: "it won, but a person rolled back what these data and settings gave",
    Reason.SUSPENDED: "it won, but a person has suspended the champion (models promote)",
    Reason.PINNED: "it won, but the champion is pinned (models unpin)",
    Reason.AWAITS_APPROVAL: "it won and waits for a person's approval (models promote)",
    Reason.FIRST_CHAMPION: "it is the first champion and beats the best constant answer",
    Reason.CHAMPION_UNLOADABLE: (
        "the champion can't be loaded or gives no numbers, and the challenger beats the best "
        "constant answer"
    ),
}


def verdict_sentence(
    contest: Contest, decision: Decision, reason: Reason, found: VerdictFigures
) -> str:
    """Word a decision and its reason, with the figures that they rest on."""
    if found.measured is None:
        # The challenger's outputs are not numbers, so the measure does not matter.
        return f"{decision}: {why(reason, Measure.ACCURACY)}"
    parts = [*_of_the_measure(contest, found, found.measured), *_left_out(found)]
    if reason is Reason.LOG_LOSS_VETO and found.comparison is not None:
        lost = found.comparison.log_loss_difference
        p = found.comparison.log_loss_p
        parts.append(
            f"log loss difference {lost:+.4f}, one-sided {_p(p)}, below {LOG_LOSS_VETO_P} is asked"
        )
    if found.against_score is not None:
        parts.append(_against_score(contest, found, found.against_score))
    persons = repeated(contest.on_the_test_set().persons)
    if persons:
        parts.append(f"intervals and p by {persons} persons, not by rows")
    figures = ", ".join(parts)
    worst = found.worst_subgroup
    if reason is Reason.SUBGROUP_WORSE and worst is not None:
        gain = f"{worst.gain:+.4f}"
        if found.measured.measure is Measure.ACCURACY:
            gain = f"{100 * worst.gain:+.1f} points"
        figures = f"{worst.feature} {worst.group}, {worst.rows} rows: {gain}; {figures}"
    return f"{decision}: {why(reason, found.measured.measure)} ({figures})"


def _of_the_measure(contest: Contest, found: VerdictFigures, measured: Measured) -> list[str]:
    if measured.measure is not Measure.ACCURACY:
        return _measured(contest.on_the_test_set(), measured)
    parts = []
    if found.challenger_scores:
        rows = found.challenger_scores.rows
        correct = found.challenger_scores.correct
        parts.append(f"correct of {rows} holdout rows: challenger {correct}")
    if found.champion_scores:
        parts.append(f"champion {found.champion_scores.correct}")
    parts.append(f"majority class {found.majority_correct}")
    if found.comparison:
        low = found.comparison.interval_low
        high = found.comparison.interval_high
        parts += [
            f"difference {100 * found.comparison.accuracy_difference:+.1f} points",
            f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
            f"McNemar {_p(found.comparison.mcnemar_p)}",
        ]
    return parts


def _measured(judged: Contest, found: Measured) -> list[str]:
    """The figures of another measure than accuracy."""
    rows = len(judged.outcomes)
    figure = "log loss"
    constant = "constant prevalence"
    if found.measure is Measure.NET_BENEFIT:
        figure = f"net benefit at odds of the threshold {judged.challenger.threshold:.3g}"
        constant = "treating all or none"
    on = f"{rows} holdout rows, {judged.positive} with outcome 1"
    parts = [f"{figure} on {on}: challenger {found.challenger:.4f}"]
    if found.champion is not None:
        parts.append(f"champion {found.champion:.4f}")
    parts.append(f"{constant} {found.constant:.4f}")
    if found.p is not None:
        parts += [
            f"gain {found.gain:+.4f}",
            f"95 % interval {found.interval_low:+.4f} to {found.interval_high:+.4f}",
            f"one-sided {_p(found.p)}",
        ]
    return parts


def _p(value: float, decimals: int = 2) -> str:
    least = 10**-decimals
    if value < least:
        # No evidence is beyond doubt: it would read 0.00.
        return f"p below {least:g}"
    return f"p {value:.{decimals}f}"


def _against_score(contest: Contest, found: VerdictFigures, beside: AgainstScore) -> str:
    told = f"beside {beside.name} on {beside.rows} rows, {beside.positive} with outcome 1"
    if beside.p is None or beside.log_loss_p is None:
        return (
            f"{told}, where {FEWEST_WITH_SCORE} and {FEWEST_OF_EACH_OUTCOME} of each outcome are "
            "needed"
        )
    if contest.circumstances.score_as_loaded:
        told += ", all with the score as loaded, which may be later than the outcome"
    figure = beside.measure.replace("_", " ")
    look = found.consultations
    return (
        f"{told}: gain in {figure} {beside.gain:+.4f}, one-sided {_p(beside.p, 4)}, below "
        f"{asked_p(look)} is asked at look {look} at this holdout, of a lower log loss "
        f"{_p(beside.log_loss_p)}, below {LOG_LOSS_VETO_P} is asked with gate.log_loss_veto"
    )


def _left_out(found: VerdictFigures) -> list[str]:
    """What was left out of the comparison, if there was one."""
    left_out = []
    if found.champion_scores and found.seen_rows:
        left_out.append(f"{found.seen_rows} that the champion may have learned from")
    if found.champion_scores and found.unscorable_rows:
        left_out.append(f"{found.unscorable_rows} that the champion can't score")
    return [f"left out {' and '.join(left_out)}"] if left_out else []
