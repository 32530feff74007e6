"""Clinics whose models slowly get worse, and calm ones: how often slow decay is told. The rule is
the real one (`pima.core.outcomes.decay`), on counts as `served_days` has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benches.gate.settled import (
    CLINICS_AT_ONCE,
    DAYS_OF_A_VERSION,
    Clinic,
    distribution,
    outcomes_of,
    predictions,
    true_log_odds,
)
from pima.core.arrays import Float64Array, Int8Array, Int64Array
from pima.core.outcomes.decay import BAR, BEFORE, NEWEST, figure_of_decay
from pima.core.outcomes.served import Served

WEEKS = 52
"""How long a calm clinic is looked at once there are weeks to compare."""
FIRST_LOOK = 2 * NEWEST
TOLD_BY = NEWEST + BEFORE
FALLS_TO = 0.62
_MOST = 138
"""The last bin of log odds."""
_BINS = 2 * _MOST + 1
_STEP = 0.02


@dataclass(frozen=True, slots=True)
class Decay:
    """A clinic whose AUROC falls along a line from the first week on, or at once `NEWEST` weeks
    before it is looked at for the last time."""

    clinic: Clinic
    to: float = FALLS_TO
    is_sudden: bool = False


def calm_looks(clinic: Clinic, seed: int, tried: Sequence[float] = (BAR,)) -> Float64Array:
    """The week at whose end each of some calm clinics alarms first in a year of weekly looks,
    infinite where none does: (tried, clinics)."""
    draw = np.random.default_rng([seed, 6])
    return _first_alarms(clinic, [clinic.auroc] * (FIRST_LOOK + WEEKS - 1), draw, tried)


def weeks_until_told(decay: Decay, seed: int, tried: Sequence[float] = (BAR,)) -> Float64Array:
    """The same of clinics that get worse until week `TOLD_BY`: (tried, clinics)."""
    draw = np.random.default_rng([seed, 7])
    areas = np.linspace(decay.clinic.auroc, decay.to, TOLD_BY)
    if decay.is_sudden:
        areas = np.repeat([decay.clinic.auroc, decay.to], [BEFORE, NEWEST])
    return _first_alarms(decay.clinic, areas.tolist(), draw, tried)


def _first_alarms(
    clinic: Clinic, areas: Sequence[float], draw: np.random.Generator, tried: Sequence[float]
) -> Float64Array:
    """Of clinics that have an AUROC in each week."""
    first = np.full((len(tried), CLINICS_AT_ONCE), np.inf)
    for number, served in enumerate(_lives(clinic, areas, draw)):
        for week in range(FIRST_LOOK, len(areas) + 1):
            for figure in figure_of_decay(served, week - 1):
                below = (
                    ((figure.reference or 0) - (figure.value or 0)) / (figure.allowed or 1) * BAR
                )
                is_told = np.array([below > bar for bar in tried])
                first[is_told, number] = np.minimum(first[is_told, number], week)
    return first


def _lives(clinic: Clinic, areas: Sequence[float], draw: np.random.Generator) -> Iterator[Served]:
    """The counts of each of some clinics, by weeks from 0 on and bins of the log odds."""
    a_week = 7 * clinic.a_day
    true = true_log_odds(clinic, 7 * len(areas), draw)
    mean, deviation = distribution(clinic)
    means, deviations = np.transpose([_distribution_at(clinic, each) for each in areas])
    spread = np.repeat(deviations / deviation, a_week)
    outcomes = outcomes_of(np.repeat(means, a_week) + spread * (true - mean), draw)
    a_version = DAYS_OF_A_VERSION * clinic.a_day
    predicted = np.concatenate(
        [
            predictions(clinic, true[:, begin : begin + a_version], draw)[1]
            for begin in range(0, true.shape[1], a_version)
        ],
        axis=1,
    )
    weeks = np.repeat(np.arange(len(areas)), a_week)
    for said, ones in zip(predicted, outcomes, strict=True):
        yield counted(weeks, said, ones)


def counted(
    weeks: Int64Array, predicted: Float64Array, ones: Int8Array, threshold: float = 0.5
) -> Served:
    """The counts of rows (n,) whose outcomes are there in these weeks, each of them the week of a
    version."""
    bins = np.round(10 * np.log(predicted / (1 - predicted))).clip(-_MOST, _MOST).astype(int)
    cells = 2 * (weeks * _BINS + bins + _MOST) + (predicted >= threshold)
    there, place = np.unique(cells, return_inverse=True)
    week, its_bin = np.divmod(there // 2, _BINS)
    nothing = np.zeros(len(there), dtype=np.int64)
    return Served(
        model_version=week + 1,
        day=7 * week - 3,  # week 0 begins three days before 1970
        predicted_in=nothing,
        predicted_class=there % 2,
        bin=its_bin - _MOST,
        outcomes=np.bincount(place),
        ones=np.bincount(place, weights=ones).astype(np.int64),
        expected=np.bincount(place, weights=predicted),
        missing=nothing,
        expected_missing=nothing.astype(np.float64),
        acted=nothing,
    )


def _distribution_at(clinic: Clinic, auroc: float) -> tuple[float, float]:
    """The mean and standard deviation of the true log odds, between those of a few AUROCs."""
    if auroc == clinic.auroc:
        return distribution(clinic)
    known = sorted({clinic.auroc, *(clinic.auroc - _STEP * n for n in range(1, 9))})
    found = np.transpose([distribution(replace(clinic, auroc=round(each, 2))) for each in known])
    mean, deviation = (float(np.interp(auroc, known, each)) for each in found)
    return mean, deviation
