"""A straight line: logistic regression with L2, the plainest model that a network is compared with.

The log odds are an intercept and a weight for each input.
"""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.verdicts.logistic import fit_logistic, logistic

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
    line = None
    for strength in strengths:
        # Begun at the line of the strength before, a fit takes half the time.
        line = fit_line(inputs[~left_out], outcomes[~left_out], strength, line)
        log_odds = _log_odds(line, inputs[left_out])
        losses.append(np.logaddexp(0, log_odds) - outcomes[left_out] * log_odds)
    return np.array(losses)


def fit_line(
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


def probabilities(line: Float64Array, inputs: Float32Array) -> Float64Array:
    """The probabilities of outcome 1, (n,), by a fitted line."""
    return logistic(_log_odds(line, inputs))


def _log_odds(line: Float64Array, inputs: Float32Array) -> Float64Array:
    # A matrix product may give equal rows different last bits, and so break a tie.
    return line[0] + (inputs * line[1:]).sum(axis=1)
