"""Logistic regression by Newton's method on the likelihood, which has one peak.

Matrix products are fine here: a fit ends where one more step would change nothing that anybody
sees. Where rows are compared with each other they are not, since equal rows may get different last
bits.
"""

import numpy as np

from pima.core.arrays import BoolArray, Float64Array

_MOST_STEPS = 100
_NEAR = 1e-12
"""The squared step, in standard deviations of what is fitted, at which a fit ends: the error left
is far smaller."""


def fit_logistic(
    columns: Float64Array,
    is_case: BoolArray,
    start: Float64Array,
    offset: Float64Array | float = 0.0,
    penalty: Float64Array | float = 0.0,
) -> tuple[Float64Array, Float64Array | None]:
    """Fit the log odds of rows (n, k) beside an offset of each, under a penalty of an L2 strength
    for each coefficient, beside a summed loss. Returns the coefficients (k,), and their covariance
    (k, k), or None if these are not the best ones."""

    def cost(known: Float64Array) -> float:
        loss = log_loss(offset + columns @ known, is_case)
        return loss + float((penalty * known**2).sum()) / 2

    known = start
    for _ in range(_MOST_STEPS):
        expected = logistic(offset + columns @ known)
        weights = expected * (1 - expected)
        gradient = columns.T @ (is_case - expected) - penalty * known
        information = columns.T @ (weights[:, None] * columns) + penalty * np.eye(len(known))
        try:
            covariance = np.asarray(np.linalg.inv(information), np.float64)
        except np.linalg.LinAlgError:
            break
        step = covariance @ gradient
        if not covariance[-1, -1] > 0:
            break
        if step @ gradient < _NEAR:
            return known, covariance
        # A step is halved until the cost does not rise. After so many halvings only rounding is
        # left.
        least = cost(known)
        shorter = (known + step / 2**halvings for halvings in range(40))
        known = next((each for each in shorter if cost(each) <= least), known + step)
    return known, None


def log_loss(log_odds: Float64Array, is_case: BoolArray) -> float:
    """The summed log loss of rows (n,)."""
    # Equal to np.logaddexp(0, log_odds), in a third of the time.
    of_all = np.maximum(log_odds, 0) + np.log1p(np.exp(-np.abs(log_odds)))
    return float(of_all.sum() - log_odds[is_case].sum())


def logistic(log_odds: Float64Array) -> Float64Array:
    """Turn log odds (n,) into probabilities."""
    # Written as a hyperbolic tangent, it never overflows.
    return 0.5 + 0.5 * np.tanh(log_odds / 2)
