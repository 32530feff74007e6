"""Two models on the same rows: how far apart they are, and how much of that may be luck.

Everything is paired: on most rows both are right or both are wrong, and those rows say nothing about which is better.
"""

import math
from dataclasses import dataclass

from pima.core.arrays import BoolArray, Float64Array

_Z_95_PERCENT = 1.959964
# z(0.95) + z(0.80), rounded up: the difference that a one-sided test at 5 % would find four times in five.
_Z_DETECTABLE = 2.49


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger against champion; differences are challenger minus champion."""

    only_challenger_correct: int
    """Rows on which the challenger is right and the champion wrong."""
    only_champion_correct: int
    accuracy_difference: float
    interval_low: float
    """95 % interval of the accuracy difference: Agresti and Min 2005, Wald with half a row in each cell."""
    interval_high: float
    mcnemar_p: float
    """Exact two-sided: how often fair coins would split the discordant rows at least this unevenly."""
    minimum_detectable_difference: float
    """2.49 * sqrt(d / n) with d the share of discordant rows: smaller true differences are mostly missed."""
    log_loss_difference: float
    """Below 0 where the challenger is better."""
    log_loss_p: float
    """One-sided, normal approximation: how often a challenger that is no better would look at least this good."""


def compare(
    challenger_right: BoolArray, champion_right: BoolArray, challenger_loss: Float64Array, champion_loss: Float64Array
) -> Comparison:
    """All figures; four arrays (n,) over the same rows in the same order, n >= 1."""
    rows = len(challenger_right)
    won = int((challenger_right & ~champion_right).sum())
    lost = int((champion_right & ~challenger_right).sum())
    low, high = paired_interval(won, lost, rows)
    losses = challenger_loss - champion_loss
    return Comparison(
        only_challenger_correct=won,
        only_champion_correct=lost,
        accuracy_difference=(won - lost) / rows,
        interval_low=low,
        interval_high=high,
        mcnemar_p=mcnemar_p(won, lost),
        minimum_detectable_difference=_Z_DETECTABLE * math.sqrt((won + lost) / rows / rows),
        log_loss_difference=float(losses.mean()),
        log_loss_p=lower_p(losses),
    )


def paired_interval(won: int, lost: int, rows: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same rows.

    Half a row more in each of the four cells keeps its coverage where few rows are discordant, or none.
    """
    rows_, won_, lost_ = rows + 2, won + 0.5, lost + 0.5
    difference = (won_ - lost_) / rows_
    deviation = math.sqrt(won_ + lost_ - (won_ - lost_) ** 2 / rows_) / rows_
    return max(-1.0, difference - _Z_95_PERCENT * deviation), min(1.0, difference + _Z_95_PERCENT * deviation)


def mcnemar_p(won: int, lost: int) -> float:
    """Exact two-sided McNemar test: the binomial tail of the smaller count among the discordant rows, doubled."""
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
    margin = _Z_95_PERCENT * _deviation(differences) / math.sqrt(len(differences))
    return mean - margin, mean + margin


def upper_p(differences: Float64Array) -> float:
    """One-sided p that the mean of `differences` (n,) is above 0, as `lower_p`."""
    return lower_p(-differences)


def lower_p(differences: Float64Array) -> float:
    """One-sided p that the mean of `differences` (n,) is below 0, by the normal approximation; 1 without any spread."""
    deviation = _deviation(differences)
    if deviation == 0:
        return 1.0
    z = float(differences.mean()) / (deviation / math.sqrt(len(differences)))
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _deviation(differences: Float64Array) -> float:
    return float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
