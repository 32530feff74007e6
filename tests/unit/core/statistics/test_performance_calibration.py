"""Calibration: SciPy's optimum and its curvature."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from pima.core.statistics.performance import (
    calibration_intercept,
    calibration_slope,
    observed_expected,
)
from pima.core.statistics.samples import sample_of
from tests.oracle.shapley import model, real_outcomes, real_rows

Z = norm.ppf(0.975)


@pytest.mark.parametrize("name", ["calibration_intercept", "calibration_slope"])
def test_calibration_is_what_scipy_finds_with_its_curvature(name: str) -> None:
    outcomes = real_outcomes()
    probabilities = model(real_rows()).round(2)
    found = {
        "calibration_intercept": calibration_intercept,
        "calibration_slope": calibration_slope,
    }[name](sample_of(probabilities, outcomes))
    bounded = probabilities.clip(1e-7, 1 - 1e-7)
    log_odds = np.log(bounded / (1 - bounded))

    def loss(parameters: np.ndarray) -> float:
        linear = parameters[0] + (parameters[1] if len(parameters) == 2 else 1) * log_odds
        return float(np.logaddexp(0, linear).sum() - linear[outcomes == 1].sum())

    start = np.array([0.0] if name == "calibration_intercept" else [0.0, 1.0])
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-6}).x
    step = 1e-3
    axes = np.eye(len(best)) * step
    curvature = np.array(
        [
            [
                (loss(best + a + b) - loss(best + a - b) - loss(best - a + b) + loss(best - a - b))
                / (4 * step**2)
                for a in axes
            ]
            for b in axes
        ]
    )
    deviation = np.linalg.inv(curvature)[-1, -1] ** 0.5
    assert found.value == pytest.approx(best[-1], abs=1e-4)
    assert (found.low, found.high) == (
        pytest.approx(best[-1] - Z * deviation, rel=1e-3),
        pytest.approx(best[-1] + Z * deviation, rel=1e-3),
    )


def test_observed_over_expected_has_an_interval_on_the_log_scale() -> None:
    found = observed_expected(30, 120, 24.0)
    error = math.sqrt((1 - 30 / 120) / 30)
    expected = np.exp(np.log(30 / 24) + error * np.array(norm.interval(0.95)))
    assert found.value == pytest.approx(1.25)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-6)
