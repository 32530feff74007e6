"""The gate's reasons for its decisions: as codes that scripts can rely on, and as sentences for
people.

The reasons why a row is rejected are in `pima.core.rows.validation`.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME
from pima.core.statistics.estimates import repeated
from pima.core.verdicts.contest import Contest
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
    better = _WHY[BY_MEASURE[measure].better]
    if reason is Reason.BELOW_MINIMUM_GAIN:
        return f"{better}, but by less than gate.minimum_gain"
    if reason is Reason.LOG_LOSS_VETO:
        return f"{better}, but its log loss is not as clearly lower as gate.log_loss_veto asks"
    return _WHY[reason]


_WHY = {
    "not_finite": "the challenger gave outputs that are not finite numbers",
    "parity_failed": "its compiled form disagrees with Keras",
    "too_few_unseen": (
        "too few holdout rows are left that the champion can score and has not learned from, since "
        "holdout.share, the rows' keys or the features have changed, so a person decides (models "
        "promote)"
    ),
    "single_class": "the test set holds one class only, on which nothing can be judged",
    "not_above_majority": "it does not beat always guessing the majority class",
    "not_above_constant": "it does not beat the best constant answer",
    "not_more_correct": "it is not right more often than the champion",
    "not_lower_log_loss": "its log loss is not lower than the champion's",
    "not_more_net_benefit": "its net benefit is not above the champion's",
    "not_better_than_score": "it is not clearly better than the score that "
    "gate.first_must_beat names",
    "too_few_with_score": "it must beat the score that gate.first_must_beat names, which is "
    "known of too few rows",
    "more_correct": "it is right more often than the champion",
    "lower_log_loss": "its log loss is lower than the champion's",
    "more_net_benefit": "its net benefit is above the champion's",
    "subgroup_worse": (
        "it won, but in a subgroup it is worse than the champion by more than gate.subgroup_margin"
    ),
    "rolled_back_before": "it won, but a person rolled back what these data and settings gave",
    "suspended": "it won, but a person has suspended the champion (models promote)",
    "pinned": "it won, but the champion is pinned (models unpin)",
    "awaits_approval": "it won and waits for a person's approval (models promote)",
    "first_champion": "it is the first champion and beats the best constant answer",
    "champion_unloadable": (
        "the champion can't be loaded or gives no numbers, and the challenger beats the best "
        "constant answer"
    ),
}


class OfMeasure(NamedTuple):
    """What the gate says by a measure: the codes of the three rules that use it, the figures of
    challenger, champion and best constant answer, and the gain."""

    not_above: Reason
    not_better: Reason
    better: Reason
    challenger: str
    champion: str
    constant: str
    gain: str = "gain {0:+.4f}, 95 % interval {1:+.4f} to {2:+.4f}, one-sided"


BY_MEASURE = {
    Measure.ACCURACY: OfMeasure(
        Reason.NOT_ABOVE_MAJORITY,
        Reason.NOT_MORE_CORRECT,
        Reason.MORE_CORRECT,
        "correct of {rows} holdout rows: challenger {0:.0f}",
        "champion {:.0f}",
        "majority class {:.0f}",
        "difference {0:+.1f} points, 95 % interval {1:+.1f} to {2:+.1f}, McNemar",
    ),
    Measure.LOG_LOSS: OfMeasure(
        Reason.NOT_ABOVE_CONSTANT,
        Reason.NOT_LOWER_LOG_LOSS,
        Reason.LOWER_LOG_LOSS,
        "log loss on {rows} holdout rows, {positive} with outcome 1: challenger {0:.4f}",
        "champion {:.4f}",
        "constant prevalence {:.4f}",
    ),
    Measure.NET_BENEFIT: OfMeasure(
        Reason.NOT_ABOVE_CONSTANT,
        Reason.NOT_MORE_NET_BENEFIT,
        Reason.MORE_NET_BENEFIT,
        "net benefit at odds of the threshold {threshold:.3g} on {rows} holdout rows, {positive} "
        "with outcome 1: challenger {0:.4f}",
        "champion {:.4f}",
        "treating all or none {:.4f}",
    ),
}


def verdict_sentence(
    contest: Contest, decision: Decision, reason: Reason, found: VerdictFigures
) -> str:
    """Word a decision and its reason, with the figures that they rest on."""
    measured = found.measured
    if measured is None:
        # The challenger's outputs are not numbers, so the measure does not matter.
        return f"{decision}: {why(reason, Measure.ACCURACY)}"
    judged = contest.on_the_test_set()
    parts = [*_compared(judged, measured), *_left_out(found)]
    if reason is Reason.LOG_LOSS_VETO and found.comparison is not None:
        parts.append(
            f"log loss difference {found.comparison.log_loss_difference:+.4f}, one-sided "
            f"{_p(found.comparison.log_loss_p)}, below {LOG_LOSS_VETO_P} is asked"
        )
    if found.against_score is not None:
        parts.append(_against_score(contest, found.consultations, found.against_score))
    if persons := repeated(judged.persons):
        parts.append(f"intervals and p by {persons} persons, not by rows")
    figures = ", ".join(parts)
    worst = found.worst_subgroup
    if reason is Reason.SUBGROUP_WORSE and worst is not None:
        gain = f"{worst.gain:+.4f}"
        if measured.measure is Measure.ACCURACY:
            gain = f"{100 * worst.gain:+.1f} points"
        figures = f"{worst.feature} {worst.group}, {worst.rows} rows: {gain}; {figures}"
    return f"{decision}: {why(reason, measured.measure)} ({figures})"


def _compared(judged: Contest, measured: Measured) -> Iterator[str]:
    """The figures of the measure, accuracy in rows and points."""
    rows = len(judged.outcomes)
    of_measure = BY_MEASURE[measured.measure]
    times = points = 1
    if measured.measure is Measure.ACCURACY:
        times = rows
        points = 100
    yield of_measure.challenger.format(
        times * measured.challenger,
        rows=rows,
        positive=judged.positive,
        threshold=judged.challenger.threshold,
    )
    if measured.champion is not None:
        yield of_measure.champion.format(times * measured.champion)
    yield of_measure.constant.format(times * measured.constant)
    if measured.p is not None:
        gained = (measured.gain, measured.interval_low, measured.interval_high)
        told = of_measure.gain.format(*(points * (each or 0.0) for each in gained))
        yield f"{told} {_p(measured.p)}"


def _p(value: float, decimals: int = 2) -> str:
    least = 10**-decimals
    if value < least:
        # No evidence is beyond doubt: it would read 0.00.
        return f"p below {least:g}"
    return f"p {value:.{decimals}f}"


def _against_score(contest: Contest, look: int, beside: AgainstScore) -> str:
    told = f"beside {beside.name} on {beside.rows} rows, {beside.positive} with outcome 1"
    if beside.p is None or beside.log_loss_p is None:
        return (
            f"{told}, where {FEWEST_WITH_SCORE} and {FEWEST_OF_EACH_OUTCOME} of each outcome are "
            "needed"
        )
    if contest.circumstances.score_as_loaded:
        told += ", all with the score as loaded, which may be later than the outcome"
    figure = beside.measure.replace("_", " ")
    return (
        f"{told}: gain in {figure} {beside.gain:+.4f}, one-sided {_p(beside.p, 4)}, below "
        f"{asked_p(look)} is asked at look {look} at this holdout, of a lower log loss "
        f"{_p(beside.log_loss_p)}, below {LOG_LOSS_VETO_P} is asked with gate.log_loss_veto"
    )


def _left_out(found: VerdictFigures) -> list[str]:
    """What was left out of the comparison, if there was one."""
    if found.champion_scores is None:
        return []
    counts = (
        (found.seen_rows, "that the champion may have learned from"),
        (found.unscorable_rows, "that the champion can't score"),
    )
    left_out = " and ".join(f"{rows} {words}" for rows, words in counts if rows)
    return [f"left out {left_out}"] if left_out else []
