"""The area under the ROC curve with its interval.

DeLong, DeLong and Clarke-Pearson's variance (Biometrics 1988, 44:837), on the scale of the log odds, so that the
interval stays between 0 and 1. Where it has none, of a perfect order or of one row of a class, the interval is that of
Newcombe's method 5 (Statistics in Medicine 2006, 25:559): Hanley and McNeil's variance at the bound itself.
"""

import math
from collections.abc import Callable

import numpy as np

from pima.core.evidence.figures import NO_CASES, NO_OTHERS, Z_95_PERCENT, Figure
from pima.core.evidence.ranked import Ranked


def auroc(rows: Ranked) -> Figure:
    """The share of pairs of a case and another row (n, n >= 1) that are ordered rightly, ties counting half."""
    cases = int(rows.cases.sum())
    others = len(rows) - cases
    if not cases or not others:
        return Figure(None, reason=NO_OTHERS if cases else NO_CASES)
    value, variance = _delong(rows, cases, others)
    if variance > 0 and 0 < value < 1:
        return Figure(value, *_by_log_odds(value, variance))
    return Figure(value, *_newcombe(value, cases, others))


def _delong(rows: Ranked, cases: int, others: int) -> tuple[float, float]:
    """The area and its variance, by what share of the other class each row is rightly apart from; equal probabilities
    are one step."""
    changes = rows.probabilities[1:] != rows.probabilities[:-1]
    steps = np.flatnonzero(np.concatenate([[True], changes]))
    cases_in = np.add.reduceat(rows.cases, steps, dtype=np.int64)
    others_in = np.diff(steps, append=len(rows)) - cases_in
    of_cases = (np.cumsum(others_in) - others_in / 2) / others
    of_others = 1 - (np.cumsum(cases_in) - cases_in / 2) / cases
    value = float((cases_in * of_cases).sum()) / cases
    if cases == 1 or others == 1:
        return value, 0.0
    spread_of_cases = float((cases_in * (of_cases - value) ** 2).sum()) / (cases - 1)
    spread_of_others = float((others_in * (of_others - value) ** 2).sum()) / (others - 1)
    return value, spread_of_cases / cases + spread_of_others / others


def _by_log_odds(value: float, variance: float) -> tuple[float, float]:
    log_odds = math.log(value / (1 - value))
    margin = Z_95_PERCENT * math.sqrt(variance) / (value * (1 - value))
    return _logistic(log_odds - margin), _logistic(log_odds + margin)


def _logistic(log_odds: float) -> float:
    return 0.5 + 0.5 * math.tanh(log_odds / 2)


def _newcombe(value: float, cases: int, others: int) -> tuple[float, float]:
    """Between the smallest and the largest area from which the value is no farther than 1.96 standard deviations."""

    def is_near(area: float) -> bool:
        pairs = (cases + others) / 2 - 1
        spread = 1 + pairs * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(value - area) <= Z_95_PERCENT * math.sqrt(area * (1 - area) * spread / (cases * others))

    return _edge(0.0, value, is_near), _edge(1.0, value, is_near)


def _edge(outside: float, inside: float, is_near: Callable[[float], bool]) -> float:
    """By halving, to the last digit but few."""
    if is_near(outside):
        return outside
    for _ in range(50):
        middle = (outside + inside) / 2
        outside, inside = (outside, middle) if is_near(middle) else (middle, inside)
    return inside
