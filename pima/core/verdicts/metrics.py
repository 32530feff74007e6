"""Metrics: how good predictions are, how far apart two models are on the same rows, and how much of
that may be luck.

Probabilities are float64 (n,), outcomes 0 or 1 (n,). Comparisons are paired: on most rows both
models are right or both are wrong, and such rows do not show which is better.
"""

import math

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.verdicts.persons import Persons, widening
from pima.core.verdicts.verdict import Performance

# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; this caps it at
# 16 nats.
_SMALLEST_PROBABILITY = 1e-7


def performance_of(
    probabilities: Float64Array, outcomes: Int8Array, threshold: float
) -> Performance:
    """Compute all figures; probabilities of `threshold` and above predict 1."""
    right = correct(probabilities, outcomes, threshold)
    return Performance(
        rows=len(outcomes),
        correct=int(right.sum()),
        accuracy=float(right.mean()),
        log_loss=float(log_losses(probabilities, outcomes).mean()),
        brier=float(squared_errors(probabilities, outcomes).mean()),
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


def log_losses(probabilities: Float64Array, outcomes: Int8Array | BoolArray) -> Float64Array:
    """The loss of each row, (n,)."""
    within = bounded(probabilities)
    return -np.log(np.where(outcomes == 1, within, 1 - within))


def squared_errors(probabilities: Float64Array, outcomes: Int8Array | BoolArray) -> Float64Array:
    """Square how far each probability is from the outcome, (n,); the mean is the Brier score."""
    return (probabilities - outcomes) ** 2


def bounded(probabilities: Float64Array) -> Float64Array:
    """Clip probabilities (n,) so that their logarithms are finite."""
    return np.clip(probabilities, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)


def net_benefits(
    probabilities: Float64Array,
    outcomes: Int8Array | BoolArray,
    threshold: Float64Array | float,
    cost: Float64Array | float,
) -> Float64Array:
    """Value each row, (n,): 1 for a found case, minus `cost` for a false alarm, else 0. The mean is
    the net benefit."""
    predicted = probabilities >= threshold
    return np.where(predicted, np.where(outcomes == 1, 1.0, -cost), 0.0)


def odds(threshold: Float64Array | float) -> Float64Array | float:
    """The cost of a false alarm, in found cases, for someone who acts at this probability or above:
    t / (1 - t)."""
    within: Float64Array = np.minimum(threshold, 1 - _SMALLEST_PROBABILITY)
    return within / (1 - within)


def auc(probabilities: Float64Array, outcomes: Int8Array) -> float | None:
    """The share of (positive, negative) pairs in the right order, ties counting half
    (Mann-Whitney)."""
    is_case = outcomes == 1
    if is_case.all() or not is_case.any():
        return None
    return float(placements(probabilities, is_case)[is_case].mean())


def placements(probabilities: Float64Array, is_case: BoolArray) -> Float64Array:
    """For each row, (n,), the share of the other class that it is in the right order with; ties
    count half."""
    _, step = np.unique(probabilities, return_inverse=True)
    cases = np.bincount(step, is_case)
    others = np.bincount(step, ~is_case)
    of_cases = (np.cumsum(others) - others / 2) / others.sum()
    of_others = 1 - (np.cumsum(cases) - cases / 2) / cases.sum()
    found: Float64Array = np.where(is_case, of_cases[step], of_others[step])
    return found


def majority_correct(outcomes: Int8Array) -> int:
    """Count the rows on which always predicting the more frequent class is right."""
    positive = int((outcomes == 1).sum())
    return max(positive, len(outcomes) - positive)


Z_95_PERCENT = 1.959964


def paired_interval(won: float, lost: float, rows: float) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same rows.

    Half a row more in each of the four cells keeps its coverage even if few or no rows are
    discordant.
    """
    rows_ = rows + 2
    won_ = won + 0.5
    lost_ = lost + 0.5
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


def normal_interval(differences: Float64Array, persons: Persons) -> tuple[float, float]:
    """95 % interval of the mean of `differences` (n,), n >= 1, by the normal approximation."""
    mean = float(differences.mean())
    margin = Z_95_PERCENT * deviation_of(differences, persons) / math.sqrt(len(differences))
    return mean - margin, mean + margin


def lower_p(differences: Float64Array, persons: Persons = None) -> float:
    """One-sided p that the mean of `differences` (n,) is below 0, by the normal approximation; 1
    without any spread."""
    deviation = deviation_of(differences, persons)
    if deviation == 0:
        return 1.0
    z = float(differences.mean()) / (deviation / math.sqrt(len(differences)))
    return 0.5 * math.erfc(-z / math.sqrt(2))


def deviation_of(values: Float64Array, persons: Persons) -> float:
    """The standard deviation of values (n,), as far as persons spread their mean; 0 of one."""
    if len(values) < 2:
        return 0.0
    return float(values.std(ddof=1)) * widening(values, persons)
