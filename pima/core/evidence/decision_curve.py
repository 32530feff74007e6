"""Net benefit over a range of thresholds (Vickers and Elkin, Medical Decision Making 2006, 26:565).

At threshold t it is TP / n - FP / n * t / (1 - t). Treating none has 0 at every threshold.
"""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array, Int64Array
from pima.core.evidence.figures import Z_95_PERCENT
from pima.core.evidence.ranked import Ranked

THRESHOLDS = tuple(each / 100 for each in range(1, 100))
THRESHOLDS_OF_SUBGROUPS = THRESHOLDS[4::5]
"""0.05 to 0.95: a finer curve of few patients would tell each one's probability."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure at each threshold."""

    net_benefit: tuple[float, ...]
    """In found cases a row."""
    low: tuple[float | None, ...]
    """The 95 % interval, by the variance of what each row adds; None where they all add the same."""
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Called:
    """How many rows have a probability of each threshold or above: what ROC curves, decision curves and the
    distributions of the probabilities are drawn from."""

    cases: tuple[int, ...]
    """Of those with outcome 1."""
    others: tuple[int, ...]


def called(rows: Ranked, thresholds: tuple[float, ...]) -> Called:
    """Of rows (n,)."""
    first = np.searchsorted(rows.probabilities, thresholds, side="left")
    cases_below = np.concatenate([[0], np.cumsum(rows.cases)])
    cases = cases_below[-1] - cases_below[first]
    others = len(rows) - first - cases
    return Called(tuple(cases.tolist()), tuple(others.tolist()))


def decision_curve(found: Called, rows: int, thresholds: tuple[float, ...]) -> Curve:
    """Of so many rows, 1 or more."""
    odds = np.array([threshold / (1 - threshold) for threshold in thresholds])
    cases, others = np.array(found.cases), np.array(found.others)
    net_benefit = (cases - others * odds) / rows
    low, high = _interval(net_benefit, cases, others * odds**2, rows)
    return Curve(tuple(net_benefit.tolist()), low, high)


def treating_all(cases: int, rows: int, thresholds: tuple[float, ...]) -> Curve:
    """Of so many rows, `cases` of them with outcome 1."""
    everybody = Called((cases,) * len(thresholds), (rows - cases,) * len(thresholds))
    return decision_curve(everybody, rows, thresholds)


def _interval(
    net_benefit: Float64Array, squares_of_cases: Int64Array, squares_of_others: Float64Array, rows: int
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    variance = (squares_of_cases + squares_of_others) / rows - net_benefit**2
    # What every row adds alike leaves rounding behind.
    spread = variance > 1e-12 * net_benefit**2
    if rows < 2 or not spread.any():
        return ((None,) * len(net_benefit),) * 2
    margin = Z_95_PERCENT * np.sqrt(np.where(spread, variance, 0) / (rows - 1))
    low, high = (
        tuple(bound if known else None for bound, known in zip(bounds.tolist(), spread.tolist(), strict=True))
        for bounds in (net_benefit - margin, net_benefit + margin)
    )
    return low, high
