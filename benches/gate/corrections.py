"""Half years in which rows are corrected after their prediction: how often that is taken for
hindsight, and whether hindsight is told. The rule is the real one (`pima.core.rows.hindsight`)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benches.gate.settled import (
    OUTCOMES_A_DAY,
    Clinic,
    outcomes_of,
    predictions,
    true_log_odds,
)
from pima.core.arrays import Float64Array
from pima.core.rows.hindsight import COUNTED_WEEKS, Corrections, by_risk

HORIZON = 30
FIRST_LOOK = 6
"""The first week with a retraining that has settled outcomes."""
SICKEST, OF_THE_SICKEST, OF_OTHERS = 0.1, 0.30, 0.02
"""Which share of rows is the riskiest in truth; honestly corrected are these shares of them and of
others, on any of the 30 days after the prediction."""
COMPLETED = 0.75
"""Of how many ones a value is completed, a day after their outcome is known, with hindsight."""


@dataclass(frozen=True, slots=True)
class HalfYears:
    """What becomes of some clinics in half a year of weekly retrainings."""

    told: np.ndarray
    """(clinics,), whether any of these tells that corrections follow the outcome."""
    errors: Float64Array
    """(clinics,), by how many standard errors at most more ones were corrected than expected."""


def half_years(clinic: Clinic, is_honest: bool, has_hindsight: bool, seed: int) -> HalfYears:
    """Clinics in which honest corrections happen, or hindsight, or both. An outcome 1 is known on
    any day within the horizon, a 0 at its end."""
    draw = np.random.default_rng([seed, 5])
    true = true_log_odds(clinic, 7 * COUNTED_WEEKS, draw)
    outcomes = outcomes_of(true, draw)
    _, predicted = predictions(clinic, true, draw)
    is_sick = true >= np.quantile(true, 1 - SICKEST, axis=1, keepdims=True)
    share = np.where(is_sick, OF_THE_SICKEST, OF_OTHERS) * is_honest
    honest = np.where(draw.random(true.shape) < share, _any_day(true, draw), np.inf)
    is_completed = (outcomes == 1) & (draw.random(true.shape) < COMPLETED * has_hindsight)
    completed = np.where(is_completed, _any_day(true, draw) + 1, np.inf)
    rows = zip(outcomes, predicted, np.minimum(honest, completed), strict=True)
    found = [_half_year(*each) for each in rows]
    return HalfYears(*map(np.array, zip(*found, strict=True)))


def _any_day(true: Float64Array, draw: np.random.Generator) -> np.ndarray:
    return draw.integers(1, HORIZON + 1, true.shape)


def _half_year(
    outcomes: np.ndarray, predicted: Float64Array, corrected_after: Float64Array
) -> tuple[bool, float]:
    day = np.arange(len(outcomes)) // OUTCOMES_A_DAY
    rows = pd.DataFrame({"outcome": outcomes, "probability": predicted})
    most = 0.0
    for week in range(FIRST_LOOK, COUNTED_WEEKS + 1):
        watched = 7 * week - day
        looked_at = rows.assign(
            corrected=corrected_after <= watched, days=np.minimum(corrected_after, watched)
        )
        found = by_risk(looked_at[watched >= HORIZON])
        most = max(most, _errors(found))
        if found.follow_outcome:
            return True, most
    return False, most


def _errors(found: Corrections) -> float:
    return (found.ones - found.expected) / max(found.variance, 1e-9) ** 0.5
