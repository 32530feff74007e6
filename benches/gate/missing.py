"""An input for each feature with missing values, 1 where it is missing: what it gains where missing
values tell something, and what it costs where they don't. Straight lines stand for the network."""

from dataclasses import dataclass

import numpy as np

from benches.gate.drift import HISTORY, HORIZON, INPUTS, fit_line, lost
from benches.gate.settled import Clinic, distribution
from pima.core.arrays import BoolArray, Float64Array
from pima.core.statistics.logistic_regression import logistic

SHARES = (0.05, 0.30, 0.49)
"""Of values that are missing, in as many inputs."""
TELLS = 0.5
"""What one that is missing adds to the log odds, where it tells something."""
_FRESH = 20_000


@dataclass(frozen=True, slots=True)
class Clinics:
    """Calm ones with missing values."""

    clinic: Clinic
    tells: float


def gained(clinics: Clinics, seed: int) -> float:
    """By how much the log loss on fresh patients is lower with the inputs than without, in nats."""
    draw = np.random.default_rng([seed, 9])
    mean, deviation = distribution(clinics.clinic)
    direction = draw.normal(size=INPUTS)
    weights = deviation * direction / np.linalg.norm(direction)
    days = 7 * int(draw.integers(HISTORY[0], HISTORY[1] + 1)) - HORIZON
    found = []
    learned = _rows(days * clinics.clinic.a_day * 7 // 10, draw)
    fresh = _rows(_FRESH, draw)
    true, likely = (
        mean + measured @ weights + clinics.tells * (missing - SHARES).sum(axis=1)
        for measured, missing in (fresh, learned)
    )
    outcomes = (draw.random(len(likely)) < logistic(likely)).astype(np.float64)
    for indicated in (False, True):
        line = fit_line(_columns(*learned, indicated), outcomes)
        found.append(lost(_columns(*fresh, indicated) @ line, true))
    return found[0] - found[1]


def _rows(rows: int, draw: np.random.Generator) -> tuple[Float64Array, BoolArray]:
    """Measurements as they truly are, (n, inputs), and which of the first are missing."""
    measured = draw.normal(size=(rows, INPUTS))
    return measured, draw.random((rows, len(SHARES))) < SHARES


def _columns(measured: Float64Array, missing: BoolArray, indicated: bool) -> Float64Array:
    known = measured.copy()
    known[:, : len(SHARES)][missing] = 0
    columns = [np.ones((len(known), 1)), known]
    if indicated:
        columns.append((missing - SHARES) / np.sqrt(np.multiply(SHARES, np.subtract(1, SHARES))))
    return np.concatenate(columns, axis=1)
