"""Realised accuracy: the figures of predictions that were made before their outcomes were known.

A version has not learned from these outcomes, but it may have learned from other rows of the same
persons. Outcomes often arrive selectively, for example only for treated patients. The figures then
describe such patients alone; so the share of predictions that have an outcome is given with them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pima.core.arrays import Float64Array, Int8Array, Int64Array
from pima.core.nights.drift import expected_accuracy
from pima.core.nights.kinds import REALISED, State, Watched
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import (
    Estimate,
    Persons,
    in_words,
    mean,
    proportion,
    repeated,
    widening,
)
from pima.core.statistics.performance import FIGURES, all_figures, observed_expected
from pima.core.statistics.samples import NO_CASES, Sample, sample_of

FEWEST_OUTCOMES = 50
"""With fewer, the figures that are stored say too little."""
SOME_LEFT_OUT = "not all outcomes are looked at, or due"
FEWEST_EVENTS = 5
"""With fewer of the rarer outcome a figure has no interval: none would hold what it promises."""
FEW_EVENTS = 10
"""With fewer of the rarer outcome figures are marked, since their intervals are too narrow."""
TOO_FEW_OUTCOMES = f"fewer than {FEWEST_ROWS} outcomes"
TOO_FEW_EVENTS = f"fewer than {FEWEST_EVENTS} of the rarer outcome"
OF_THOSE = "These are figures of those followed up; of the others nobody knows the outcome."
ON_TOP = {
    "auroc": FIGURES["auroc"],
    "observed_expected": "observed / expected",
    "sensitivity": FIGURES["sensitivity"],
    "positive_predictive_value": FIGURES["positive_predictive_value"],
    "negative_predictive_value": FIGURES["negative_predictive_value"],
}
"""The figures that stand on top of status, report and card, and are in the metrics, with their
names for people. Of those that `came_true_as_served` makes, another one is a line."""
WEEKS_ON_TOP = 26
LATELY = 8
"""Weeks that stand beside them."""
_DISAGREE = ". They disagree by more than luck: go by the last weeks for what holds now"


_KEPT = (
    "accuracy",
    "calibration_intercept",
    "calibration_slope",
    "net_benefit",
    "expected_accuracy",
)
"""The figures that monitoring has besides."""


@dataclass(frozen=True, slots=True)
class CameTrue:
    """Predictions beside their outcomes, which came later: how many there are, and the figures."""

    outcomes: int
    positive: int
    figures: dict[str, Estimate]
    """By key, each at the threshold that the row was predicted by."""
    events: int
    """Rows of the rarer outcome, on which all figures rest."""
    if_zero: float | None = None
    """Observed / expected if those had 0 whose horizon is over and whose outcome has not come; None
    of so few that one of them could be recognised."""
    version: int | None = None
    """The one that made the predictions; None if several have."""


def came_true(
    probabilities: Float64Array,
    threshold: Float64Array | float,
    outcomes: Int8Array,
    persons: Persons = None,
) -> CameTrue:
    """Judge predictions (n,), n >= 1, at one threshold for all, or at one for each, (n,), and of
    these persons, (n,)."""
    rows = sample_of(probabilities, outcomes, threshold, persons).ranked
    events = min(rows.positive, len(rows) - rows.positive)
    figures = all_figures(rows) | _by_threshold(rows)
    expected = float(probabilities.sum())
    errors = rows.cases - rows.positive / (expected or 1.0) * rows.probabilities
    figures["observed_expected"] = observed_expected(
        rows.positive, len(rows), expected, widening(errors, rows.persons)
    )
    return CameTrue(len(rows), rows.positive, told(figures, len(rows), events), events)


def told(figures: dict[str, Estimate], outcomes: int, events: int) -> dict[str, Estimate]:
    """Take away what so few outcomes, or so few of the rarer one, can't tell."""
    if outcomes < FEWEST_ROWS:
        return dict.fromkeys(figures, Estimate(None, reason=TOO_FEW_OUTCOMES))
    if events < FEWEST_EVENTS:
        return {
            name: Estimate(each.value, reason=each.reason or TOO_FEW_EVENTS)
            for name, each in figures.items()
        }
    return figures


def widths(
    columns: tuple[Float64Array, Float64Array, Int8Array], persons: Int64Array
) -> dict[str, float]:
    """How many times as wide intervals of the figures on top are by persons as by rows, of
    predictions as `came_true` takes them; empty where each row counts for itself."""
    if not repeated(persons):
        return {}
    by_row, by_person = (came_true(*columns, each).figures for each in (None, persons))
    return {
        name: max(1.0, _width(by_person[name]) / (_width(by_row[name]) or 1)) for name in ON_TOP
    }


def _width(figure: Estimate) -> float:
    return (figure.high or 0.0) - (figure.low or 0.0)


def widened(figures: dict[str, Estimate], wider: Mapping[str, float]) -> dict[str, Estimate]:
    """Make intervals of figures on top so many times as wide."""
    found = dict(figures)
    for name, by in wider.items():
        each = figures[name]
        if each.value is not None and each.low is not None and each.high is not None:
            most = math.inf if name == "observed_expected" else 1.0
            low = max(0.0, each.value - by * (each.value - each.low))
            high = min(most, each.value + by * (each.high - each.value))
            found[name] = Estimate(each.value, low, high)
    return found


def _by_threshold(rows: Sample) -> dict[str, Estimate]:
    chances = rows.probabilities
    sure_of_class = np.where(rows.called, chances, 1 - chances)
    return {
        "accuracy": rows.proportion(rows.correct, chances >= 0, NO_CASES),
        "net_benefit": mean(rows.net_benefits(rows.thresholds), rows.persons),
        "expected_accuracy": expected_accuracy(float(sure_of_class.sum()), len(rows)),
    }


def told_figures(
    found: CameTrue, digits: int, lately: CameTrue | None = None
) -> Iterator[tuple[str, str]]:
    """The names for people of the figures that stand on top, and what is told of each, with those
    of the last weeks beside it, and whether the two disagree."""
    for name, label in ON_TOP.items():
        figure = found.figures[name]
        words = in_words(figure, digits)
        if lately is not None:
            newest = lately.figures[name]
            words += f"; the last {LATELY} weeks {in_words(newest, digits)}"
            if figure.value is not None and newest.leaves_out(figure.value):
                words += _DISAGREE
        if name == "observed_expected" and found.if_zero is not None:
            words += f"; {found.if_zero:.2f} if those without an outcome had 0"
        if name == "auroc" and figure.value is not None:
            words += f": {in_pairs(figure.value)}"
        yield label, words


def in_pairs(area: float) -> str:
    """Say what an area under the ROC curve means."""
    return (
        "of two patients, one who fell ill and one who did not, the model gave the higher "
        f"probability to the first in {100 * area:.0f} of 100 pairs"
    )


def version_in_words(found: CameTrue) -> str:
    """How many outcomes of one version stand in the figures on top, and how it did."""
    told = f"{found.outcomes:,} of these outcomes"
    if found.figures:
        for name in ("auroc", "observed_expected"):
            told += f"; {ON_TOP[name]} {in_words(found.figures[name], 2)}"
    return told


def followed_up(outcomes: int, predictions: int | None) -> Estimate:
    """The share of predictions that have an outcome; none if `predictions` is None, since older
    ones were left out."""
    if predictions is None:
        return Estimate(None, reason=SOME_LEFT_OUT)
    return proportion(min(outcomes, predictions), predictions, NO_CASES)


def realised_figures(found: CameTrue, followed: Estimate) -> Iterator[Watched]:
    """Make rows of `monitoring`; `followed` is the share of the version's predictions that have an
    outcome."""
    told = {name: found.figures[name] for name in (*_KEPT, *ON_TOP)} | {"followed_up": followed}
    for name, figure in told.items():
        row = Watched("", f"{REALISED}{name}", figure.value, found.outcomes)
        row = replace(row, low=figure.low, high=figure.high)
        if found.outcomes < FEWEST_OUTCOMES:
            row = Watched("", row.figure, None, row.rows, state=State.INSUFFICIENT_DATA)
        yield row
