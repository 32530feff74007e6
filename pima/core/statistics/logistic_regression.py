"""Logistic regression by Newton's method on the likelihood, which has one peak; plain, and with an
L2 penalty whose strength is chosen by cross-validation.

Matrix products are fine in a fit: it ends where one more step would change nothing that anybody
sees. Where rows are compared with each other they are not, since equal rows may get different last
bits.
"""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array

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
        log_odds = offset + columns @ known
        # Equal to np.logaddexp(0, log_odds), in a third of the time.
        of_all = np.maximum(log_odds, 0) + np.log1p(np.exp(-np.abs(log_odds)))
        loss = float(of_all.sum() - log_odds[is_case].sum())
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


def logistic(log_odds: Float64Array) -> Float64Array:
    """Turn log odds (n,) into probabilities."""
    # Written as a hyperbolic tangent, it never overflows.
    return 0.5 + 0.5 * np.tanh(log_odds / 2)


STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""The L2 strengths to choose from, the strongest first; beside a summed loss, so each is a prior
that does not depend on the number of rows."""


def choose_strength(
    inputs: Sequence[Float32Array],
    outcomes: Int8Array,
    folds: Int64Array,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[float, Float64Array]:
    """Choose the strength with the lowest loss on rows, each judged by a fit on the other folds;
    `folds` (n,) has the number of each row's fold. For each fold there are the inputs, (n, inputs),
    to take where it is left out. A tie goes to the first.

    Returns the loss of each row under the strength, too: (n,), fold by fold."""
    of_folds = [
        _losses(inputs[fold], outcomes, folds == fold, strengths) for fold in np.unique(folds)
    ]
    losses = np.concatenate(of_folds, axis=1)
    best = int(losses.mean(axis=1).argmin())
    return strengths[best], losses[best]


def _losses(
    inputs: Float32Array, outcomes: Int8Array, left_out: BoolArray, strengths: Sequence[float]
) -> Float64Array:
    losses = []
    fitted = None
    for strength in strengths:
        # Begun at the fit of the strength before, a fit takes half the time.
        fitted = fit_penalised(inputs[~left_out], outcomes[~left_out], strength, fitted)
        log_odds = _log_odds(fitted, inputs[left_out])
        losses.append(np.logaddexp(0, log_odds) - outcomes[left_out] * log_odds)
    return np.array(losses)


def fit_penalised(
    inputs: Float32Array,
    outcomes: Int8Array,
    strength: float,
    start: Float64Array | None = None,
) -> Float64Array:
    """Fit on rows (n, inputs) of both outcomes. Returns the intercept, which no penalty holds, and
    then the weights: (1 + inputs,)."""
    columns = np.column_stack([np.ones(len(inputs)), inputs])
    penalty = np.full(columns.shape[1], strength)
    penalty[0] = 0.0
    begin = np.zeros(len(penalty)) if start is None else start
    return fit_logistic(columns, outcomes == 1, begin, penalty=penalty)[0]


def predict(coefficients: Float64Array, inputs: Float32Array) -> Float64Array:
    """The probabilities of outcome 1, (n,), by the fitted coefficients."""
    return logistic(_log_odds(coefficients, inputs))


def _log_odds(coefficients: Float64Array, inputs: Float32Array) -> Float64Array:
    # A matrix product may give equal rows different last bits, and so break a tie.
    return coefficients[0] + (inputs * coefficients[1:]).sum(axis=1)
