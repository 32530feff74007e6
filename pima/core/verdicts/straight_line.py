"""A straight line: logistic regression with L2, the plainest model that a network is compared with.

The log odds are an intercept and a weight for each input. The fit is Newton's method on penalised
likelihood, which has one peak; its step is halved until it does not miss it.
"""

import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.verdicts.figures import logistic

STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""The L2 strengths to choose from, the strongest first; beside a summed loss, so each is a prior
that does not depend on the number of rows."""
_MOST_STEPS = 100
_NEAR = 1e-12
"""How little one more step may lower the mean loss, for the fit to end."""


def choose_strength(inputs: Float32Array, outcomes: Int8Array, folds: Int64Array) -> float:
    """Choose the strength with the lowest loss on rows (n, inputs), each judged by a fit on the
    other folds; `folds` (n,) says which is whose. A tie goes to the stronger."""
    return min(STRENGTHS, key=lambda strength: _loss_out_of_fold(inputs, outcomes, folds, strength))


def _loss_out_of_fold(
    inputs: Float32Array, outcomes: Int8Array, folds: Int64Array, strength: float
) -> float:
    loss = 0.0
    for fold in np.unique(folds):
        inside = folds == fold
        line = fit_line(inputs[~inside], outcomes[~inside], strength)
        loss += _loss(_log_odds(line, inputs[inside]), outcomes[inside])
    return loss


def fit_line(inputs: Float32Array, outcomes: Int8Array, strength: float) -> Float64Array:
    """Fit on rows (n, inputs) of both outcomes. Returns the intercept, which no penalty holds, and
    then the weights: (1 + inputs,)."""
    columns = np.column_stack([np.ones(len(inputs)), inputs])
    penalty = np.full(columns.shape[1], strength)
    penalty[0] = 0.0

    def cost(line: Float64Array) -> float:
        return _loss(columns @ line, outcomes) + float(penalty @ line**2) / 2

    line = np.zeros(columns.shape[1])
    for _ in range(_MOST_STEPS):
        expected = logistic(columns @ line)
        gradient = columns.T @ (outcomes - expected) - penalty * line
        curvature = columns.T @ ((expected * (1 - expected))[:, None] * columns)
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        if step @ gradient < _NEAR * len(columns):
            return line + step
        while cost(line + step) > cost(line):
            step = step / 2
        line = line + step
    return line


def probabilities(line: Float64Array, inputs: Float32Array) -> Float64Array:
    """The probabilities of outcome 1, (n,), by a fitted line."""
    return logistic(_log_odds(line, inputs))


def _log_odds(line: Float64Array, inputs: Float32Array) -> Float64Array:
    # A matrix product may give equal rows different last bits, and so break a tie.
    found: Float64Array = line[0] + (inputs * line[1:]).sum(axis=1)
    return found


def _loss(log_odds: Float64Array, outcomes: Int8Array) -> float:
    """The summed log loss of rows (n,)."""
    return float((np.logaddexp(0, log_odds) - outcomes * log_odds).sum())
