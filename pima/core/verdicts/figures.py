"""Figures of one model's answers, each with its 95 % interval or the reason why there is none.

Answers are sorted by probability once, for all figures. `shown` decides which subgroups may be
shown.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.verdicts.logistic import fit_logistic, logistic
from pima.core.verdicts.metrics import (
    Z_95_PERCENT,
    bounded,
    deviation_of,
    log_losses,
    net_benefits,
    placements,
    squared_errors,
)
from pima.core.verdicts.persons import Persons, repeated, widening
from pima.core.verdicts.verdict import Measured

NO_CASES = "no rows with outcome 1"
NO_OTHERS = "no rows with outcome 0"
NONE_EXPECTED = "all probabilities are 0"
TOO_FEW_ROWS = "fewer than two rows"
NO_SPREAD = "all rows are alike in it"
"""The reason why there is no interval: one of no width would claim certainty."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value found on a set of rows, and the bounds between which the truth lies in 95 of 100 such
    sets."""

    value: float | None
    """The value; None if these rows can't show it, never NaN."""
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    """Why the value, or its interval alone, is None."""


def in_words(figure: Figure, digits: int = 3) -> str:
    """Write a figure with its interval, or why there is none."""
    if figure.value is None:
        return f"none: {figure.reason}"
    value = f"{figure.value:z.{digits}f}"
    if figure.low is None:
        return value
    return f"{value} ({figure.low:z.{digits}f} to {figure.high:z.{digits}f})"


def excludes(figure: Figure, point: float) -> bool:
    """Whether its whole interval lies on one side of a point."""
    return (figure.low or point) > point or (figure.high or point) < point


def deviations_apart(one: Figure, rest: Figure) -> float:
    """How many standard deviations the logs of two ratios lie apart, both with an interval and of
    rows apart."""
    bounds = (one.value, one.low, one.high, rest.value, rest.low, rest.high)
    value, low, high, of_rest, low_of_rest, high_of_rest = (math.log(each or 1) for each in bounds)
    widths = math.hypot(high - low, high_of_rest - low_of_rest)
    return 2 * Z_95_PERCENT * abs(value - of_rest) / widths


def gain_of(measured: Measured | None) -> Figure | None:
    """The gain that a verdict rests on; None if there was nobody to compare with."""
    if measured is None or measured.gain is None:
        return None
    return Figure(measured.gain, measured.interval_low, measured.interval_high)


def gained(measured: Measured | None) -> str:
    """Write the gain that a verdict rests on behind other words; empty if there was nobody to
    compare with."""
    gain = gain_of(measured)
    return "" if gain is None else f"; gain {in_words(gain, 4)}"


def mean(
    values: Float64Array, persons: Persons, low: float = -math.inf, high: float = math.inf
) -> Figure:
    """Average values (n,), n >= 1, that lie between the two bounds; the interval is a normal
    approximation."""
    found = Figure(float(values.mean()))
    if len(values) < 2:
        return replace(found, reason=TOO_FEW_ROWS)
    if values.min() == values.max():
        return replace(found, reason=NO_SPREAD)
    return around(found, deviation_of(values, persons) / math.sqrt(len(values)), low, high)


def around(
    found: Figure, deviation: float, low: float = -math.inf, high: float = math.inf
) -> Figure:
    """Add the interval that follows from the figure's own standard deviation."""
    assert found.value is not None  # noqa: S101 (for the type checker: the callers have one)
    margin = Z_95_PERCENT * deviation
    return replace(found, low=max(low, found.value - margin), high=min(high, found.value + margin))


def share(counted: float, of: float, nothing: str) -> Figure:
    """A proportion with Wilson's score interval (1927), which holds near 0 and 1 and on few rows.

    `nothing` is the reason to give if there are no rows.
    """
    if not of:
        return Figure(None, reason=nothing)
    squared = Z_95_PERCENT**2
    centre = (counted + squared / 2) / (of + squared)
    margin = Z_95_PERCENT / (of + squared) * math.sqrt(counted * (of - counted) / of + squared / 4)
    return Figure(counted / of, max(0.0, centre - margin), min(1.0, centre + margin))


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows (n,) in ascending order of the probability that a model gave them."""

    probabilities: Float64Array
    cases: BoolArray
    thresholds: Float64Array
    """From which probability on each row was predicted 1."""
    log_odds: Float64Array
    """Log odds of the probabilities, bounded as for the log loss."""
    persons: Int64Array
    """The numbers of their persons."""

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def positive(self) -> int:
        """How many have outcome 1."""
        return int(self.cases.sum())

    @property
    def is_called(self) -> BoolArray:
        """Tell which of them were predicted 1, (n,)."""
        return self.probabilities >= self.thresholds

    def share(self, chosen: BoolArray, among: BoolArray, nothing: str) -> Figure:
        """The share of the rows `among` others that are `chosen`, both (n,)."""
        told = chosen[among].astype(np.float64)
        effect = widening(told, self.persons[among]) ** 2
        return share(float(told.sum()) / effect, len(told) / effect, nothing)


def ranked(
    probabilities: Float64Array,
    outcomes: Int8Array,
    threshold: Float64Array | float = 0.5,
    persons: Persons = None,
) -> Ranked:
    """Sort a model's finite probabilities, the outcomes and the rows' persons, all (n,), by
    probability; the threshold is one for all, or (n,). Without persons each row is one's only
    one."""
    order = np.argsort(probabilities, kind="stable")
    ascending = probabilities[order]
    within = bounded(ascending)
    if persons is None:
        persons = order
    return Ranked(
        probabilities=ascending,
        cases=outcomes[order] == 1,
        thresholds=np.broadcast_to(threshold, order.shape)[order],
        log_odds=np.log(within) - np.log1p(-within),
        persons=persons[order],
    )


def auroc(rows: Ranked) -> Figure:
    """The area under the ROC curve of rows (n,), n >= 1: the share of pairs of a case and another
    row that are in the right order, ties counting half.

    The interval is DeLong, DeLong and Clarke-Pearson's (Biometrics 1988, 44:837), on the scale of
    the log odds, so that it stays between 0 and 1. If the order is perfect or a class has one row,
    that method has none; the interval is then Newcombe's method 5 (Statistics in Medicine 2006,
    25:559): Hanley and McNeil's variance at the bound itself.
    """
    if lacking := _lacks_a_class(rows):
        return lacking
    found = placements(rows.probabilities, rows.cases)
    value = float(found[rows.cases].mean())
    variance = delong_variance(found, rows.cases, rows.persons)
    return area_around(value, variance, rows.positive, len(rows) - rows.positive)


def area_around(value: float, variance: float, cases: int, others: int) -> Figure:
    """An area with its interval; see `auroc`."""
    if variance > 0 and 0 < value < 1:
        log_odds = math.log(value / (1 - value))
        margin = Z_95_PERCENT * math.sqrt(variance) / (value * (1 - value))
        low, high = logistic(np.array([log_odds - margin, log_odds + margin])).tolist()
        return Figure(value, low, high)
    return Figure(value, *_newcombe(value, cases, others))


def delong_variance(placed: Float64Array, is_case: BoolArray, persons: Persons) -> float:
    """The variance of an area by the placements of rows (n,), or of two areas' difference by the
    differences of these; 0 where a class has one row. Persons widen it as by Obuchowski (Biometrics
    1997, 53:567)."""
    of_cases = placed[is_case]
    of_others = placed[~is_case]
    if min(len(of_cases), len(of_others)) < 2:
        return 0.0
    variance = of_cases.var(ddof=1) / len(of_cases) + of_others.var(ddof=1) / len(of_others)
    # Both classes have the same mean.
    terms = (placed - of_cases.mean()) * abs(is_case - is_case.mean())
    return float(variance) * widening(terms, persons) ** 2


def _newcombe(value: float, cases: int, others: int) -> tuple[float, float]:
    """Find by bisection the smallest and the largest area that the value is within 1.96 deviations
    of."""

    def is_near(area: float) -> bool:
        pairs = (cases + others) / 2 - 1
        spread = 1 + pairs * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(value - area) <= Z_95_PERCENT * math.sqrt(
            area * (1 - area) * spread / (cases * others)
        )

    def farthest(outside: float) -> float:
        if is_near(outside):
            return outside
        inside = value
        for _ in range(50):  # to nearly the last digit
            middle = (outside + inside) / 2
            if is_near(middle):
                inside = middle
            else:
                outside = middle
        return inside

    return farthest(0.0), farthest(1.0)


CONSTANT = "all probabilities are alike"
SEPARATED = "the probabilities separate the outcomes on these rows, so that no slope fits best"
NOT_FOUND = "the fit did not converge"


def calibration_intercept(rows: Ranked) -> Figure:
    """The intercept of a logistic regression of the outcome on the log odds (n,), n >= 1, with a
    fixed slope of 1, and Wald's interval (Cox 1958; Van Calster et al., BMC Medicine 2019, 17:230).

    It is 0 if as many rows have the outcome as the probabilities add up to, and above 0 if more do.
    """
    if lacking := _lacks_a_class(rows):
        return lacking
    share = float(rows.cases.mean())
    start = math.log(share / (1 - share)) - float(rows.log_odds.mean())
    return _last_coefficient(rows, np.ones((len(rows), 1)), [start], rows.log_odds)


def calibration_slope(rows: Ranked) -> Figure:
    """The slope of the same regression with an intercept of its own; rows (n,), n >= 1.

    It is 1 if high and low probabilities are as far apart as they should be, and below 1 if they
    are too extreme.
    """
    if lacking := _lacks_a_class(rows):
        return lacking
    if rows.log_odds[0] == rows.log_odds[-1]:
        return Figure(None, reason=CONSTANT)
    of_cases = rows.log_odds[rows.cases]
    of_others = rows.log_odds[~rows.cases]
    # Unless a row of one class lies strictly between two of the other, the best slope is infinite
    # (Albert and Anderson 1984), and no fit would end.
    if of_cases[-1] <= of_others[0] or of_others[-1] <= of_cases[0]:
        return Figure(None, reason=SEPARATED)
    # With centred log odds the two parameters hardly depend on each other; a slope of 1 is a start
    # near the solution.
    mean = float(rows.log_odds.mean())
    columns = np.column_stack([np.ones(len(rows)), rows.log_odds - mean])
    return _last_coefficient(rows, columns, [mean, 1.0])


def observed_expected(cases: int, rows: int, expected: float, wider: float = 1.0) -> Figure:
    """How many rows, of one at least, have the outcome, over what the probabilities add up to; 1 is
    best. The interval is a normal approximation on the log scale, with the probabilities taken as
    given (Debray et al., BMJ 2017, 356:i6460)."""
    if not expected:
        return Figure(None, reason=NONE_EXPECTED)
    ratio = cases / expected
    if not cases:
        return Figure(ratio, reason=NO_CASES)
    margin = Z_95_PERCENT * math.sqrt((1 - cases / rows) / cases) * wider
    return Figure(ratio, ratio * math.exp(-margin), ratio * math.exp(margin))


def _last_coefficient(
    rows: Ranked, columns: Float64Array, start: list[float], offset: Float64Array | float = 0.0
) -> Figure:
    known, covariance = fit_logistic(columns, rows.cases, np.array(start), offset)
    if covariance is None:
        return Figure(None, reason=NOT_FOUND)
    errors = rows.cases - logistic(offset + columns @ known)
    wider = widening(columns[:, -1] * errors, rows.persons)
    return around(Figure(float(known[-1])), math.sqrt(covariance[-1, -1]) * wider)


def _lacks_a_class(rows: Ranked) -> Figure | None:
    if 0 < rows.positive < len(rows):
        return None
    reason = NO_OTHERS if rows.positive else NO_CASES
    return Figure(None, reason=reason)


THRESHOLDS = tuple(each / 100 for each in range(1, 100))
THRESHOLDS_OF_SUBGROUPS = THRESHOLDS[4::5]
"""0.05 to 0.95: a finer curve of few patients would reveal each one's probability."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure at each threshold."""

    net_benefit: tuple[float, ...]
    """Net benefit, in found cases per row."""
    low: tuple[float | None, ...]
    """The 95 % interval, by the variance of the rows' contributions; None if all contribute the
    same."""
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Called:
    """Counts of the rows at each threshold or above. ROC curves, decision curves and the
    distributions of the probabilities are drawn from them."""

    cases: tuple[int, ...]
    """Rows with outcome 1."""
    others: tuple[int, ...]


def called(rows: Ranked, thresholds: tuple[float, ...]) -> Called:
    """Count rows (n,) at each threshold or above."""
    first = np.searchsorted(rows.probabilities, thresholds, side="left")
    cases_below = np.concatenate([[0], np.cumsum(rows.cases)])
    cases = cases_below[-1] - cases_below[first]
    others = len(rows) - first - cases
    return Called(tuple(cases.tolist()), tuple(others.tolist()))


NONE_CALLED = "no rows at the threshold or above"
ALL_CALLED = "no rows below the threshold"


def all_figures(rows: Ranked) -> dict[str, Figure]:
    """Judge rows (n,), n >= 1, by the keys of FIGURES."""
    called = rows.is_called
    return {
        "auroc": auroc(rows),
        "log_loss": mean(log_losses(rows.probabilities, rows.cases), rows.persons, 0),
        "brier": mean(squared_errors(rows.probabilities, rows.cases), rows.persons, 0, 1),
        "calibration_intercept": calibration_intercept(rows),
        "calibration_slope": calibration_slope(rows),
        "sensitivity": rows.share(called, rows.cases, NO_CASES),
        "specificity": rows.share(~called, ~rows.cases, NO_OTHERS),
        "positive_predictive_value": rows.share(rows.cases, called, NONE_CALLED),
        "negative_predictive_value": rows.share(~rows.cases, ~called, ALL_CALLED),
    }


def of_classes(cases: int, others: int, found: int, false_alarms: int) -> dict[str, Figure]:
    """Judge the predicted classes of cases and others: how many of either were predicted 1."""
    spared = others - false_alarms
    return {
        "sensitivity": share(found, cases, NO_CASES),
        "specificity": share(spared, others, NO_OTHERS),
        "positive_predictive_value": share(found, found + false_alarms, NONE_CALLED),
        "negative_predictive_value": share(spared, spared + cases - found, ALL_CALLED),
    }


def decision_curve(ranked: Ranked, thresholds: tuple[float, ...]) -> Curve:
    """Net benefit at each threshold t, of n >= 1 rows: TP / n - FP / n * t / (1 - t) (Vickers
    and Elkin, Medical Decision Making 2006, 26:565). Treating no one has 0 at every threshold."""
    rows = len(ranked)
    found = called(ranked, thresholds)
    odds = np.array([threshold / (1 - threshold) for threshold in thresholds])
    wider = np.ones(len(thresholds))
    if repeated(ranked.persons):
        worths = map(partial(net_benefits, ranked.probabilities, ranked.cases), thresholds, odds)
        wider = np.array([widening(each, ranked.persons) for each in worths])
    cases = np.array(found.cases)
    others = np.array(found.others)
    net_benefit = (cases - others * odds) / rows
    variance = (cases + others * odds**2) / rows - net_benefit**2
    # If all rows contribute the same, the variance is only rounding.
    spread = (variance > 1e-12 * net_benefit**2) & (rows > 1)
    margin = Z_95_PERCENT * np.sqrt(np.where(spread, variance, 0) / max(rows - 1, 1)) * wider
    low, high = (
        tuple(np.where(spread, bounds, np.array(None)).tolist())
        for bounds in (net_benefit - margin, net_benefit + margin)
    )
    return Curve(tuple(net_benefit.tolist()), low, high)


def treating_all(outcomes: Int8Array, persons: Persons, thresholds: tuple[float, ...]) -> Curve:
    """The decision curve of treating all rows (n,)."""
    return decision_curve(ranked(np.ones(len(outcomes)), outcomes, 1, persons), thresholds)


FEWEST_ROWS = 10
"""A subgroup with fewer is not shown: its people could be singled out."""
FEW_ROWS = 50
"""A subgroup with fewer is marked, since its figures say little, and no rule of the gate uses
it."""


def shown(sizes: tuple[int, ...]) -> tuple[bool, ...]:
    """Choose the groups of one feature that may be shown.

    All groups add up to the test set, whose size is known, so a single hidden group could be
    calculated. If any group is held back, the next larger ones are too, until two groups and
    `FEWEST_ROWS` rows are.
    """
    ascending = sorted((size, group) for group, size in enumerate(sizes) if size)
    held_back: list[int] = []
    rows = 0
    for size, group in ascending:
        is_enough = not held_back or (len(held_back) > 1 and rows >= FEWEST_ROWS)
        if size >= FEWEST_ROWS and is_enough:
            break
        held_back.append(group)
        rows += size
    return tuple(bool(size) and group not in held_back for group, size in enumerate(sizes))


FIGURES = {
    "auroc": "area under ROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "positive predictive value",
    "negative_predictive_value": "negative predictive value",
}
"""The figures' names for people, by their keys in the document."""
TABLED_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
