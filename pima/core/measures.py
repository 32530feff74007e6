"""What "better" means to the gate, and how much better a challenger is: than the champion, and than constant answers.

Accuracy is the rule that the gate has always had. Where few patients have the outcome a perfect model is often right on
no more rows than the majority class; log loss (of the probabilities) and net benefit (of the classes) then still tell
a good model from none. Net benefit is that of Vickers and Elkin 2006 (Medical Decision Making 26:565): a false alarm
costs what the threshold says, its odds, in units of a found case.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.comparison import mcnemar_p, normal_interval, paired_interval, upper_p
from pima.core.contest import Contest, only
from pima.core.metrics import correct, log_losses, net_benefits, odds


class Measure(StrEnum):
    """By what a challenger must be better; the values of the setting gate.measure."""

    ACCURACY = "accuracy"
    LOG_LOSS = "log_loss"
    NET_BENEFIT = "net_benefit"
    """Of both models' classes at one threshold, the challenger's, whose odds are what a false alarm costs: the same
    model at another threshold is no gain."""


TIE = 1e-12
"""Differences up to this are the rounding of a mean; the smallest real one of accuracy is 1 / rows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of the measure that decides, on the test set; gains are above 0 where the challenger is better."""

    measure: Measure
    challenger: float
    """Its accuracy, log loss in nats (lower is better), or net benefit a row."""
    champion: float | None
    """None where there is none to compare with, as `gain` and all below it."""
    constant: float
    """Of the best answer that is the same for all rows: the majority class, the test set's own prevalence (the
    strictest constant there is, since it knows these outcomes), or treating all or none."""
    gain_on_constant: float
    gain: float | None
    """On the champion, in the measure's unit."""
    interval_low: float | None
    """95 % interval of the gain: of accuracy Agresti and Min's, else by the normal approximation, all paired."""
    interval_high: float | None
    p: float | None
    """Of accuracy McNemar's exact two-sided one; else one-sided, by the normal approximation: how often a challenger
    that is no better would look at least this good."""
    whole_gain: float | None
    """The gain on the whole holdout."""


def measured(measure: Measure, contest: Contest) -> Measured:
    """All figures of a contest whose probabilities are finite numbers."""
    judged = only(contest, contest.in_window)
    challenger, constant = _challenger_worths(measure, judged), _constant_worths(measure, judged)
    champion = _champion_worths(measure, judged)
    low = high = p = whole_gain = None
    if champion is not None:
        low, high, p = _uncertainty(measure, challenger - champion)
        whole = _champion_worths(measure, contest)
        whole_gain = None if whole is None else float((_challenger_worths(measure, contest) - whole).mean())
    return Measured(
        measure=measure,
        challenger=_figure(measure, challenger),
        champion=None if champion is None else _figure(measure, champion),
        constant=_figure(measure, constant),
        gain_on_constant=float((challenger - constant).mean()),
        gain=None if champion is None else float((challenger - champion).mean()),
        interval_low=low,
        interval_high=high,
        p=p,
        whole_gain=whole_gain,
    )


def gains(measure: Measure, contest: Contest) -> Float64Array | None:
    """Row by row, (n,), how much better the challenger is than the champion; None where there is none."""
    champion = _champion_worths(measure, contest)
    return None if champion is None else _challenger_worths(measure, contest) - champion


def _challenger_worths(measure: Measure, contest: Contest) -> Float64Array:
    return _worths(measure, contest, contest.challenger, contest.challenger_threshold)


def _champion_worths(measure: Measure, contest: Contest) -> Float64Array | None:
    if contest.champion is None:
        return None
    # At its own threshold the champion would lose to the same model as soon as the setting is another one.
    asked = contest.challenger_threshold if measure is Measure.NET_BENEFIT else contest.champion_threshold
    return _worths(measure, contest, contest.champion, asked)


def _worths(measure: Measure, contest: Contest, probabilities: Float64Array, threshold: float) -> Float64Array:
    """What each answer is worth, (n,): the higher, the better."""
    if measure is Measure.LOG_LOSS:
        return -log_losses(probabilities, contest.outcomes)
    if measure is Measure.NET_BENEFIT:
        cost = odds(contest.challenger_threshold)
        return net_benefits(probabilities, contest.outcomes, threshold, cost)
    return correct(probabilities, contest.outcomes, threshold).astype(np.float64)


def _constant_worths(measure: Measure, contest: Contest) -> Float64Array:
    """Of the best answer that is the same for all rows, (n,)."""
    rows, outcomes = len(contest.outcomes), contest.outcomes
    answers = [0.0, 1.0]
    if measure is Measure.LOG_LOSS:
        answers = [float((outcomes == 1).mean())]
    # Whatever the thresholds are, 0 is below them and 1 is not.
    worths = [_worths(measure, contest, np.full(rows, answer), 0.5) for answer in answers]
    return max(worths, key=lambda each: float(each.mean()))


def _figure(measure: Measure, worths: Float64Array) -> float:
    mean = float(worths.mean())
    return -mean if measure is Measure.LOG_LOSS else mean


def _uncertainty(measure: Measure, gains: Float64Array) -> tuple[float, float, float]:
    """The 95 % interval of the mean gain, and its p."""
    if measure is Measure.ACCURACY:
        won, lost = int((gains > 0).sum()), int((gains < 0).sum())
        return *paired_interval(won, lost, len(gains)), mcnemar_p(won, lost)
    return *normal_interval(gains), upper_p(gains)


def told(found: Measured, outcomes: Int8Array, threshold: float) -> str:
    """The figures for people; `outcomes` (n,) are the test set's, `threshold` is the challenger's."""
    where = f"{len(outcomes)} holdout rows, {int((outcomes == 1).sum())} with outcome 1"
    if found.measure is Measure.LOG_LOSS:
        parts = [f"log loss on {where}: challenger {found.challenger:.4f}"]
        constant = "constant prevalence"
    else:
        parts = [f"net benefit at odds of the threshold {threshold:.3g} on {where}: challenger {found.challenger:.4f}"]
        constant = "treating all or none"
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
