"""Performance of a model on some rows: discrimination, calibration, loss, classes and net benefit,
each with its 95 % interval or the reason why there is none (Van Calster et al., Lancet Digital
Health 2025)."""

import math
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array, Int8Array, Int64Array
from pima.core.statistics.discrimination import auroc
from pima.core.statistics.estimates import (
    Z_95_PERCENT,
    Estimate,
    around,
    mean,
    proportion,
    widening,
)
from pima.core.statistics.logistic_regression import fit_logistic, logistic
from pima.core.statistics.samples import NO_CASES, NO_OTHERS, Sample, sample_of

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
Thresholds = tuple[float, ...]
THRESHOLDS = tuple(each / 100 for each in range(1, 100))
THRESHOLDS_OF_SUBGROUPS = THRESHOLDS[4::5]
"""0.05 to 0.95: a finer curve of few patients would reveal each one's probability."""
TABLED_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NONE_CALLED = "no rows at the threshold or above"
ALL_CALLED = "no rows below the threshold"
NONE_EXPECTED = "all probabilities are 0"
CONSTANT = "all probabilities are alike"
SEPARATED = "the probabilities separate the outcomes on these rows, so that no slope fits best"
NOT_FOUND = "the fit did not converge"


def all_figures(rows: Sample) -> dict[str, Estimate]:
    """Judge rows (n,), n >= 1, by the keys of FIGURES."""
    called = rows.called
    return {
        "auroc": auroc(rows),
        "log_loss": mean(rows.log_losses, rows.persons, 0),
        "brier": mean(rows.squared_errors, rows.persons, 0, 1),
        "calibration_intercept": calibration_intercept(rows),
        "calibration_slope": calibration_slope(rows),
        "sensitivity": rows.proportion(called, rows.cases, NO_CASES),
        "specificity": rows.proportion(~called, ~rows.cases, NO_OTHERS),
        "positive_predictive_value": rows.proportion(rows.cases, called, NONE_CALLED),
        "negative_predictive_value": rows.proportion(~rows.cases, ~called, ALL_CALLED),
    }


def calibration_intercept(rows: Sample) -> Estimate:
    """The intercept of a logistic regression of the outcome on the log odds (n,), n >= 1, with a
    fixed slope of 1, and Wald's interval (Cox 1958).

    It is 0 if as many rows have the outcome as the probabilities add up to, and above 0 if more do.
    """
    if lacking := rows.lacks_a_class:
        return lacking
    log_odds = rows.log_odds
    share = float(rows.cases.mean())
    start = math.log(share / (1 - share)) - float(log_odds.mean())
    return _last_coefficient(rows, np.ones((len(rows), 1)), [start], log_odds)


def calibration_slope(rows: Sample) -> Estimate:
    """The slope of the same regression with an intercept of its own; rows (n,), n >= 1.

    It is 1 if high and low probabilities are as far apart as they should be, and below 1 if they
    are too extreme.
    """
    if lacking := rows.lacks_a_class:
        return lacking
    log_odds = rows.log_odds
    if log_odds.min() == log_odds.max():
        return Estimate(None, reason=CONSTANT)
    of_cases = log_odds[rows.cases]
    of_others = log_odds[~rows.cases]
    # Unless a row of one class lies strictly between two of the other, the best slope is infinite
    # (Albert and Anderson 1984), and no fit would end.
    if of_cases.max() <= of_others.min() or of_others.max() <= of_cases.min():
        return Estimate(None, reason=SEPARATED)
    # With centred log odds the two parameters hardly depend on each other; a slope of 1 is a start
    # near the solution.
    centre = float(log_odds.mean())
    columns = np.column_stack([np.ones(len(rows)), log_odds - centre])
    return _last_coefficient(rows, columns, [centre, 1.0])


def _last_coefficient(
    rows: Sample, columns: Float64Array, start: list[float], offset: Float64Array | float = 0.0
) -> Estimate:
    known, covariance = fit_logistic(columns, rows.cases, np.array(start), offset)
    if covariance is None:
        return Estimate(None, reason=NOT_FOUND)
    errors = rows.cases - logistic(offset + columns @ known)
    wider = widening(columns[:, -1] * errors, rows.persons)
    return Estimate(*around(float(known[-1]), math.sqrt(covariance[-1, -1]) * wider))


def observed_expected(cases: int, rows: int, expected: float, wider: float = 1.0) -> Estimate:
    """How many rows, of one at least, have the outcome, over what the probabilities add up to; 1 is
    best. The interval is a normal approximation on the log scale, with the probabilities taken as
    given (Debray et al., BMJ 2017, 356:i6460)."""
    if not expected:
        return Estimate(None, reason=NONE_EXPECTED)
    ratio = cases / expected
    if not cases:
        return Estimate(ratio, reason=NO_CASES)
    margin = Z_95_PERCENT * math.sqrt((1 - cases / rows) / cases) * wider
    return Estimate(ratio, ratio * math.exp(-margin), ratio * math.exp(margin))


def of_classes(cases: int, others: int, found: int, false_alarms: int) -> dict[str, Estimate]:
    """Judge the predicted classes of cases and others: how many of either were predicted 1."""
    spared = others - false_alarms
    return {
        "sensitivity": proportion(found, cases, NO_CASES),
        "specificity": proportion(spared, others, NO_OTHERS),
        "positive_predictive_value": proportion(found, found + false_alarms, NONE_CALLED),
        "negative_predictive_value": proportion(spared, spared + cases - found, ALL_CALLED),
    }


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure at each threshold."""

    net_benefit: tuple[float, ...]
    """Net benefit, in found cases per row."""
    low: tuple[float | None, ...]
    """The 95 % interval, by the variance of the rows' contributions; None if all contribute the
    same."""
    high: tuple[float | None, ...]


def decision_curve(rows: Sample, thresholds: Thresholds) -> Curve:
    """Net benefit at each threshold t, of n >= 1 rows: TP / n - FP / n * t / (1 - t) (Vickers
    and Elkin, Medical Decision Making 2006, 26:565). Treating no one has 0 at every threshold."""
    benefits = [mean(rows.net_benefits(threshold), rows.persons) for threshold in thresholds]
    return Curve(*zip(*((each.value, each.low, each.high) for each in benefits), strict=True))


def treating_all(outcomes: Int8Array, persons: Int64Array, thresholds: Thresholds) -> Curve:
    """The decision curve of treating all rows (n,)."""
    return decision_curve(sample_of(np.ones(len(outcomes)), outcomes, 1, persons), thresholds)


@dataclass(frozen=True, slots=True)
class Called:
    """Counts of the rows at each threshold or above. ROC curves, decision curves and the
    distributions of the probabilities are drawn from them."""

    cases: tuple[int, ...]
    """Rows with outcome 1."""
    others: tuple[int, ...]


def called(rows: Sample) -> Called:
    """Count rows (n,) at each of THRESHOLDS or above."""
    is_called = [rows.probabilities >= threshold for threshold in THRESHOLDS]
    return Called(
        cases=tuple(int((each & rows.cases).sum()) for each in is_called),
        others=tuple(int((each & ~rows.cases).sum()) for each in is_called),
    )
