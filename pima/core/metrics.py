"""Metrics: how good predictions are, how far apart two models are on the same rows, and how much of
that may be luck.

Probabilities are float64 (n,), outcomes 0 or 1 (n,). Comparisons are paired: on most rows both
models are right or both are wrong, and such rows do not show which is better.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array

# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; this caps it at
# 16 nats.
_SMALLEST_PROBABILITY = 1e-7


class Measure(StrEnum):
    """The measure by which a challenger must be better; the values of the setting gate.measure.

    `pima.core.gate` applies it, `pima.core.reasons` puts it into words.
    """

    ACCURACY = "accuracy"
    LOG_LOSS = "log_loss"
    NET_BENEFIT = "net_benefit"
    """Both models' classes are taken at one threshold, the challenger's, whose odds are the cost of
    a false alarm: the same model at another threshold is no gain."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one model version on one set of rows."""

    rows: int
    correct: int
    """Predictions whose class is the outcome: an integer, so that 'better' needs no rounding."""
    accuracy: float
    log_loss: float
    """Mean negative log likelihood, natural logarithm; lower is better."""
    brier: float
    """Mean squared difference of probability and outcome; lower is better."""
    auc: float | None
    """Area under the ROC curve; None if only one class is present."""
    sensitivity: float | None
    """The share of rows with outcome 1 that are predicted 1; None if there are none."""
    specificity: float | None
    """The share of rows with outcome 0 that are predicted 0; None if there are none."""


def scores(probabilities: Float64Array, outcomes: Int8Array, threshold: float) -> Scores:
    """Compute all scores; probabilities of `threshold` and above predict 1."""
    right = correct(probabilities, outcomes, threshold)
    return Scores(
        rows=len(outcomes),
        correct=int(right.sum()),
        accuracy=float(right.mean()),
        log_loss=float(log_losses(probabilities, outcomes).mean()),
        brier=float(((probabilities - outcomes) ** 2).mean()),
        auc=auc(probabilities, outcomes),
        sensitivity=_share(right[outcomes == 1]),
        specificity=_share(right[outcomes != 1]),
    )


def _share(right: BoolArray) -> float | None:
    return float(right.mean()) if len(right) else None


def correct(probabilities: Float64Array, outcomes: Int8Array, threshold: float) -> BoolArray:
    """Find the rows, (n,), whose predicted class is the outcome."""
    right: BoolArray = (probabilities >= threshold) == (outcomes == 1)
    return right


def log_losses(probabilities: Float64Array, outcomes: Int8Array) -> Float64Array:
    """The loss of each row, (n,)."""
    within = bounded(probabilities)
    return -np.log(np.where(outcomes == 1, within, 1 - within))


def bounded(probabilities: Float64Array) -> Float64Array:
    """Clip probabilities (n,) so that their logarithms are finite."""
    return np.clip(probabilities, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)


def net_benefits(
    probabilities: Float64Array, outcomes: Int8Array, threshold: float, cost: float
) -> Float64Array:
    """Value each row, (n,): 1 for a found case, minus `cost` for a false alarm, else 0. The mean is
    the net benefit."""
    predicted = probabilities >= threshold
    return np.where(predicted, np.where(outcomes == 1, 1.0, -cost), 0.0)


def odds(threshold: float) -> float:
    """The cost of a false alarm, in found cases, for someone who acts at this probability or above:
    t / (1 - t)."""
    bounded = min(threshold, 1 - _SMALLEST_PROBABILITY)
    return bounded / (1 - bounded)


def auc(probabilities: Float64Array, outcomes: Int8Array) -> float | None:
    """The share of (positive, negative) pairs in the right order, ties counting half
    (Mann-Whitney)."""
    positive = int((outcomes == 1).sum())
    negative = len(outcomes) - positive
    if not positive or not negative:
        return None
    _, group, sizes = np.unique(probabilities, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = mean_rank[group][outcomes == 1].sum()
    return float((rank_sum - positive * (positive + 1) / 2) / (positive * negative))


def majority_correct(outcomes: Int8Array) -> int:
    """Count the rows on which always predicting the more frequent class is right."""
    positive = int((outcomes == 1).sum())
    return max(positive, len(outcomes) - positive)


Z_95_PERCENT = 1.959964


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Challenger against champion; differences are challenger minus champion."""

    only_challenger_correct: int
    """Rows on which the challenger is right and the champion wrong."""
    only_champion_correct: int
    accuracy_difference: float
    interval_low: float
    """95 % interval of the accuracy difference: Agresti and Min 2005, Wald with half a row in each
    cell."""
    interval_high: float
    mcnemar_p: float
    """Exact two-sided: how often fair coins would split the discordant rows at least this
    unevenly."""
    minimum_detectable_difference: float
    """2.49 * sqrt(d / n) with d the share of discordant rows: smaller true differences are mostly
    missed. 2.49 is z(0.95) + z(0.80), rounded up: what a one-sided test at 5 % would find four
    times in five."""
    log_loss_difference: float
    """Below 0 if the challenger is better."""
    log_loss_p: float
    """One-sided, normal approximation: how often a challenger that is no better would look at least
    this good."""


def compare(
    challenger_right: BoolArray,
    champion_right: BoolArray,
    challenger_loss: Float64Array,
    champion_loss: Float64Array,
) -> PairedComparison:
    """Compare two models by four arrays (n,) over the same rows in the same order, n >= 1."""
    rows = len(challenger_right)
    won = int((challenger_right & ~champion_right).sum())
    lost = int((champion_right & ~challenger_right).sum())
    low, high = paired_interval(won, lost, rows)
    losses = challenger_loss - champion_loss
    return PairedComparison(
        only_challenger_correct=won,
        only_champion_correct=lost,
        accuracy_difference=(won - lost) / rows,
        interval_low=low,
        interval_high=high,
        mcnemar_p=mcnemar_p(won, lost),
        minimum_detectable_difference=2.49 * math.sqrt((won + lost) / rows / rows),
        log_loss_difference=float(losses.mean()),
        log_loss_p=lower_p(losses),
    )


def paired_interval(won: int, lost: int, rows: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same rows.

    Half a row more in each of the four cells keeps its coverage even if few or no rows are
    discordant.
    """
    rows_, won_, lost_ = rows + 2, won + 0.5, lost + 0.5
    difference = (won_ - lost_) / rows_
    deviation = math.sqrt(won_ + lost_ - (won_ - lost_) ** 2 / rows_) / rows_
    return max(-1.0, difference - Z_95_PERCENT * deviation), min(
        1.0, difference + Z_95_PERCENT * deviation
    )


def mcnemar_p(won: int, lost: int) -> float:
    """Exact two-sided McNemar test: the binomial tail of the smaller count among the discordant
    rows, doubled."""
    discordant = won + lost
    logarithms = (
        math.lgamma(discordant + 1) - math.lgamma(k + 1) - math.lgamma(discordant - k + 1)
        for k in range(min(won, lost) + 1)
    )
    tail = math.fsum(math.exp(logarithm - discordant * math.log(2)) for logarithm in logarithms)
    return min(1.0, 2 * tail)


def normal_interval(differences: Float64Array) -> tuple[float, float]:
    """95 % interval of the mean of `differences` (n,), n >= 1, by the normal approximation."""
    mean = float(differences.mean())
    margin = Z_95_PERCENT * _deviation(differences) / math.sqrt(len(differences))
    return mean - margin, mean + margin


def lower_p(differences: Float64Array) -> float:
    """One-sided p that the mean of `differences` (n,) is below 0, by the normal approximation; 1
    without any spread."""
    deviation = _deviation(differences)
    if deviation == 0:
        return 1.0
    z = float(differences.mean()) / (deviation / math.sqrt(len(differences)))
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _deviation(differences: Float64Array) -> float:
    return float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
