"""How good predictions were. Probabilities are float64 (n,), outcomes 0 or 1 (n,)."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array

# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; this caps it at 16 nats.
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model version got on one set of rows."""

    rows: int
    correct: int
    """Predictions whose class is the outcome: an integer, so that 'better' has no rounding in it."""
    accuracy: float
    log_loss: float
    """Mean negative log likelihood, natural logarithm; lower is better."""
    brier: float
    """Mean squared difference of probability and outcome; lower is better."""
    auc: float | None
    """Area under the ROC curve; None where only one class is present."""
    sensitivity: float | None
    """Of the rows with outcome 1, how many are predicted 1; None where there are none."""
    specificity: float | None
    """Of the rows with outcome 0, how many are predicted 0; None where there are none."""


def scores(probabilities: Float64Array, outcomes: Int8Array, threshold: float) -> Scores:
    """All figures at once; `threshold` and above predicts 1."""
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
    """Row by row, whether the predicted class is the outcome, (n,)."""
    right: BoolArray = (probabilities >= threshold) == (outcomes == 1)
    return right


def log_losses(probabilities: Float64Array, outcomes: Int8Array) -> Float64Array:
    """The loss of each row, (n,)."""
    within = bounded(probabilities)
    return -np.log(np.where(outcomes == 1, within, 1 - within))


def bounded(probabilities: Float64Array) -> Float64Array:
    """Probabilities (n,) whose logarithms are finite."""
    return np.clip(probabilities, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)


def net_benefits(probabilities: Float64Array, outcomes: Int8Array, threshold: float, cost: float) -> Float64Array:
    """Row by row, (n,): 1 for a found case, minus `cost` for a false alarm, else 0. Their mean is the net benefit."""
    predicted = probabilities >= threshold
    return np.where(predicted, np.where(outcomes == 1, 1.0, -cost), 0.0)


def odds(threshold: float) -> float:
    """How many cases a false alarm is worth to whoever acts from this probability on: t / (1 - t)."""
    bounded = min(threshold, 1 - _SMALLEST_PROBABILITY)
    return bounded / (1 - bounded)


def auc(probabilities: Float64Array, outcomes: Int8Array) -> float | None:
    """The share of (positive, negative) pairs that are ordered rightly, ties counting half (Mann-Whitney)."""
    positive = int((outcomes == 1).sum())
    negative = len(outcomes) - positive
    if not positive or not negative:
        return None
    _, group, sizes = np.unique(probabilities, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = mean_rank[group][outcomes == 1].sum()
    return float((rank_sum - positive * (positive + 1) / 2) / (positive * negative))


def majority_correct(outcomes: Int8Array) -> int:
    """What always predicting the more frequent class gets right on these rows."""
    positive = int((outcomes == 1).sum())
    return max(positive, len(outcomes) - positive)
