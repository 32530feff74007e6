"""Whether the probabilities mean what they say, by logistic regression of the outcome on their log odds (Cox 1958;
Van Calster et al., BMC Medicine 2019, 17:230), with Wald's intervals.

The intercept is fitted beside a slope of 1: 0 where as many have the outcome as the probabilities add up to, above 0
where more do. The slope is fitted with an intercept of its own: 1 where high and low probabilities are as far apart as
they should be, below 1 where they are too extreme.
"""

import math

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.evidence.figures import NO_CASES, NO_OTHERS, Figure, around
from pima.core.evidence.ranked import Ranked

_MOST_STEPS = 100
_NEAR = 1e-12
"""A squared step, in standard deviations of the figure: what is left after it is far smaller again."""
CONSTANT = "all probabilities are alike"
SEPARATED = "the probabilities separate the outcomes on these rows, so that no slope fits best"
NOT_FOUND = "the fit did not converge"


def calibration_intercept(rows: Ranked) -> Figure:
    """Rows (n,), n >= 1."""
    if (lacking := _lacks_a_class(rows)) is not None:
        return lacking
    cases = int(rows.cases.sum())
    intercept, low, high = 0.0, -_FARTHEST, _FARTHEST
    for _ in range(_MOST_STEPS):
        expected = _logistic(rows.log_odds + intercept)
        excess, information = cases - float(expected.sum()), float((expected * (1 - expected)).sum())
        low, high = (intercept, high) if excess > 0 else (low, intercept)
        step = excess / information if information else math.inf
        if step**2 * information < _NEAR:
            return around(Figure(intercept), 1 / math.sqrt(information))
        # Newton's step where it stays between what is too low and what is too high, else their middle.
        intercept = intercept + step if low < intercept + step < high else (low + high) / 2
    return Figure(None, reason=NOT_FOUND)


_FARTHEST = 64.0
"""Beyond it lies no intercept: the log odds are bounded at 16, and those of the share of any number of rows at 44."""


def calibration_slope(rows: Ranked) -> Figure:
    """Rows (n,), n >= 1."""
    if (lacking := _lacks_a_class(rows)) is not None:
        return lacking
    if rows.log_odds[0] == rows.log_odds[-1]:
        return Figure(None, reason=CONSTANT)
    if _is_separated(rows):
        return Figure(None, reason=SEPARATED)
    return _fitted_slope(rows)


def _lacks_a_class(rows: Ranked) -> Figure | None:
    cases = int(rows.cases.sum())
    if 0 < cases < len(rows):
        return None
    return Figure(None, reason=NO_OTHERS if cases else NO_CASES)


def _is_separated(rows: Ranked) -> bool:
    """Whether no row of one class lies strictly between two of the other: then the best slope is without bounds
    (Albert and Anderson 1984), and no fit would end."""
    of_cases, of_others = rows.log_odds[rows.cases], rows.log_odds[~rows.cases]
    return bool(of_cases[-1] <= of_others[0] or of_others[-1] <= of_cases[0])


def _fitted_slope(rows: Ranked) -> Figure:
    """By Newton's steps, each halved until the likelihood grows; it has one peak."""
    # From the mean the two parameters hardly depend on each other; from 1 the way is short.
    centred = rows.log_odds - rows.log_odds.mean()
    known = np.array([float(rows.log_odds.mean()), 1.0])
    loss = _loss(rows, centred, known)
    for _ in range(_MOST_STEPS):
        expected = _logistic(known[0] + known[1] * centred)
        missed, weights = rows.cases - expected, expected * (1 - expected)
        # Not as products of matrices, which BLAS adds up in threads of its own: slower here, and never twice the same.
        gradient = np.array([missed.sum(), (missed * centred).sum()])
        weighted = weights * centred
        information = np.array([[weights.sum(), weighted.sum()], [weighted.sum(), (weighted * centred).sum()]])
        determinant = float(information[0, 0] * information[1, 1] - information[0, 1] ** 2)
        if not determinant > 0:
            break
        step = np.linalg.solve(information, gradient)
        if step @ gradient < _NEAR:
            return around(Figure(float(known[1])), math.sqrt(float(information[0, 0]) / determinant))
        known, loss = _downhill(rows, centred, known, step, loss)
    return Figure(None, reason=NOT_FOUND)


def _downhill(
    rows: Ranked, centred: Float64Array, known: Float64Array, step: Float64Array, loss: float
) -> tuple[Float64Array, float]:
    for halvings in range(40):
        further = known + step / 2**halvings
        if (there := _loss(rows, centred, further)) <= loss:
            return further, there
    # What is left is rounding.
    return known + step, loss


def _loss(rows: Ranked, centred: Float64Array, known: Float64Array) -> float:
    log_odds = known[0] + known[1] * centred
    # As np.logaddexp(0, log_odds) has it, in a third of the time.
    of_all = np.maximum(log_odds, 0) + np.log(1 + np.exp(-np.abs(log_odds)))
    return float(of_all.sum() - log_odds[rows.cases].sum())


def _logistic(log_odds: Float64Array) -> Float64Array:
    # As a hyperbolic tangent it overflows nowhere.
    return 0.5 + 0.5 * np.tanh(log_odds / 2)
