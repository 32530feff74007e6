"""From probabilities to the figures of the tables. Pure."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.statistics.samples import sample_of
from pima.core.verdicts.verdict import performance_of

THRESHOLD = 0.5
BINS = 10


@dataclass(frozen=True, slots=True)
class Figures:
    """What one candidate got: means over its repetitions, save where a name says otherwise."""

    error: float
    worst_error: float
    auc: float
    log_loss: float
    brier: float
    calibration_error: float


def judge(probabilities: Float64Array, outcomes: Int8Array) -> Figures:
    """(repetitions, n) probabilities of the same n rows; each repetition's rows are pooled, then
    judged."""
    each = [performance_of(sample_of(row, outcomes, THRESHOLD)) for row in probabilities]
    errors = [1 - one.accuracy for one in each]
    return Figures(
        error=float(np.mean(errors)),
        worst_error=max(errors),
        auc=float(np.mean([one.auc for one in each])),
        log_loss=float(np.mean([one.log_loss for one in each])),
        brier=float(np.mean([one.brier for one in each])),
        calibration_error=float(
            np.mean([calibration_error(row, outcomes) for row in probabilities])
        ),
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of neighbouring probabilities."""

    rows: int
    mean_probability: float
    share_positive: float


def reliability(probabilities: Float64Array, outcomes: Int8Array, bins: int = BINS) -> list[Bin]:
    """Bins of equal count, by ascending probability; with fewer rows than bins some are left
    out."""
    in_order = np.argsort(probabilities, kind="stable")
    return [
        Bin(len(part), float(probabilities[part].mean()), float(outcomes[part].mean()))
        for part in np.array_split(in_order, bins)
        if len(part)
    ]


def calibration_error(probabilities: Float64Array, outcomes: Int8Array) -> float:
    """Expected calibration error: mean |probability - share of positives| over bins of equal count,
    by their rows."""
    distances = [
        one.rows * abs(one.mean_probability - one.share_positive)
        for one in reliability(probabilities, outcomes)
    ]
    return sum(distances) / len(outcomes)
