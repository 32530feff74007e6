"""What stands on top, week by week, where each week has another champion: do the intervals hold
what is true? They are the real ones (`pima.watch.realised.on_top`), of counts as `served_days` has
them."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benches.gate.decay import counted
from benches.gate.settled import (
    Clinic,
    distribution,
    outcomes_of,
    predictions,
    probability,
    true_log_odds,
)
from pima.core.arrays import BoolArray, Float64Array
from pima.core.outcomes.followed_up import FollowUp
from pima.core.outcomes.realised import LATELY, ON_TOP, WEEKS_ON_TOP, CameTrue
from pima.store.rows.settled import SettledOutcomes
from pima.store.rows.settling import start_of_week
from pima.watch.realised import on_top

WEEKS = 52
WINDOWS = (WEEKS_ON_TOP, LATELY)
THRESHOLDS = {0.07: 0.15, 0.35: 0.4}
"""By prevalence."""
_FOLLOWED_UP = FollowUp(least=0.9)
_PATIENTS = np.array([NormalDist().inv_cdf((each + 0.5) / 1_001) for each in range(1_001)])
"""Stand for all: their true log odds, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Looks:
    """At what stood on top at the end of each week, (clinics, weeks, windows)."""

    ratios: Float64Array
    """Observed / expected; NaN where nothing stood there."""
    true_ratios: Float64Array
    has_interval: BoolArray
    """Of each figure of ON_TOP, (clinics, weeks, windows, figures)."""
    misses: BoolArray
    """Whether the truth lies outside, likewise."""


def looks_at(clinic: Clinic, seed: int) -> Looks:
    """Each of some clinics at the end of each week of a year."""
    draw = np.random.default_rng([seed, 8])
    true = true_log_odds(clinic, 7 * WEEKS, draw)
    outcomes = outcomes_of(true, draw)
    mean, deviation = distribution(clinic)
    patients = np.broadcast_to(mean + deviation * _PATIENTS, (len(true), len(_PATIENTS)))
    weeks = np.split(true, WEEKS, axis=1)
    said = [predictions(clinic, np.hstack([week, patients]), draw)[1] for week in weeks]
    a_week = 7 * clinic.a_day
    predicted = np.hstack([each[:, :a_week] for each in said])
    of_patients = np.stack([each[:, a_week:] for each in said], axis=1)
    years = map(_year, [clinic] * len(true), predicted, outcomes, of_patients)
    return Looks(*(np.array(each) for each in zip(*years, strict=True)))


def _year(
    clinic: Clinic, predicted: Float64Array, outcomes: Float64Array, of_patients: Float64Array
) -> tuple[Float64Array, Float64Array, BoolArray, BoolArray]:
    """Of one clinic: what its versions said of its rows (n,), and of all patients (weeks, n)."""
    threshold = THRESHOLDS[clinic.prevalence]
    week_of_row = np.repeat(np.arange(WEEKS), 7 * clinic.a_day)
    served = counted(week_of_row, predicted, outcomes, threshold)
    settled = SettledOutcomes([], [], None, _FOLLOWED_UP, served)
    mean, deviation = distribution(clinic)
    likely = probability(mean + deviation * _PATIENTS)
    ratios = np.full((WEEKS, len(WINDOWS)), np.nan)
    true_ratios = ratios.copy()
    has_interval = np.zeros((*ratios.shape, len(ON_TOP)), bool)
    misses = has_interval.copy()
    for week in range(WEEKS):
        top = on_top(settled, start_of_week(week + 1), {})
        assert top is not None
        for place, shown in enumerate((top.every, top.lately)):
            if shown is not None:
                since = max(week + 1 - WINDOWS[place], 0)
                true = _true(of_patients[since : week + 1], likely, threshold)
                ratios[week, place] = shown.figures["observed_expected"].value
                true_ratios[week, place] = true["observed_expected"]
                has_interval[week, place], misses[week, place] = _beside(shown, true)
    return ratios, true_ratios, has_interval, misses


def _beside(shown: CameTrue, true: dict[str, float]) -> tuple[BoolArray, BoolArray]:
    figures = [shown.figures[name] for name in ON_TOP]
    low = np.array([each.low for each in figures], dtype=float)
    high = np.array([each.high for each in figures], dtype=float)
    truth = np.array([true[name] for name in ON_TOP])
    return ~np.isnan(low), (truth < low) | (truth > high)


def _true(said: Float64Array, likely: Float64Array, threshold: float) -> dict[str, float]:
    """The figures of what versions say of all patients (versions, n), who are so `likely` (n,) to
    have outcome 1."""
    cases = np.tile(likely, len(said))
    said = said.ravel()
    is_called = said >= threshold
    ordered = cases[np.argsort(said)]
    below = np.cumsum(1 - ordered) - (1 - ordered) / 2
    return {
        "auroc": float(ordered @ below / cases.sum() / (1 - cases).sum()),
        "observed_expected": float(cases.sum() / said.sum()),
        "sensitivity": float(cases[is_called].sum() / cases.sum()),
        "positive_predictive_value": float(cases[is_called].mean()),
        "negative_predictive_value": float(1 - cases[~is_called].mean()),
    }
