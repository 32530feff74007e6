"""Realised accuracy: the figures of predictions that were made before their outcomes were known.

A version has not learned from these outcomes, but it may have learned from other rows of the same
persons. Outcomes often arrive selectively, for example only for treated patients. The figures then
describe such patients alone; so the share of predictions that have an outcome is given with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.kinds import WEEK_FOLLOWED_UP, State, Watched
from pima.core.nights.drift import expected_accuracy, share_allowed
from pima.core.outcomes.followed_up import FollowUp
from pima.core.verdicts.figures import (
    FEWEST_ROWS,
    FIGURES,
    NO_CASES,
    Figure,
    auroc,
    calibration_intercept,
    calibration_slope,
    called,
    decision_curve,
    in_words,
    observed_expected,
    of_classes,
    ranked,
    share,
)

FEWEST_OUTCOMES = 50
"""With fewer, the figures say too little."""
SOME_LEFT_OUT = "not all outcomes are looked at, or due"
WEEK_ALLOWED = 0.05
"""A week may be followed up by so much less than those before it; luck may widen the limit."""


@dataclass(frozen=True, slots=True)
class Realised:
    """The figures of one version's predictions whose outcomes are known by now."""

    outcomes: int
    positive: int
    accuracy: Figure
    auroc: Figure
    calibration_intercept: Figure
    calibration_slope: Figure
    net_benefit: Figure
    """At the version's threshold, in found cases per row; treating no one has 0."""
    estimated_accuracy: Figure
    """The accuracy that these probabilities imply if they hold."""


def realised(probabilities: Float64Array, threshold: float, outcomes: Int8Array) -> Realised:
    """Judge rows (n,), n >= 1, that one version predicted before their outcomes came."""
    rows = ranked(probabilities, outcomes)
    is_called = probabilities >= threshold
    sure_of_class = np.where(is_called, probabilities, 1 - probabilities)
    correct = int(np.count_nonzero(is_called == (outcomes == 1)))
    curve = decision_curve(called(rows, (threshold,)), len(rows), (threshold,))
    return Realised(
        outcomes=len(rows),
        positive=rows.positive,
        accuracy=share(correct, len(rows), NO_CASES),
        auroc=auroc(rows),
        calibration_intercept=calibration_intercept(rows),
        calibration_slope=calibration_slope(rows),
        net_benefit=Figure(curve.net_benefit[0], curve.low[0], curve.high[0]),
        estimated_accuracy=expected_accuracy(float(sure_of_class.sum()), len(rows)),
    )


FEWEST_EVENTS = 5
"""With fewer of the rarer outcome a figure has no interval: none would hold what it promises."""
FEW_EVENTS = 10
"""With fewer of the rarer outcome figures are marked, since their intervals are too narrow."""
TOO_FEW_OUTCOMES = f"fewer than {FEWEST_ROWS} outcomes"
TOO_FEW_EVENTS = f"fewer than {FEWEST_EVENTS} of the rarer outcome"
OF_THOSE = "These are figures of those followed up; of the others nobody knows the outcome."
STANDING = {
    "auroc": FIGURES["auroc"],
    "observed_expected": "observed / expected",
    "sensitivity": FIGURES["sensitivity"],
    "positive_predictive_value": FIGURES["positive_predictive_value"],
    "negative_predictive_value": FIGURES["negative_predictive_value"],
}
"""The names for people of the figures that stand on top."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a version: its predictions beside their outcomes, since it first scored."""

    outcomes: int
    positive: int
    figures: dict[str, Figure]
    """By the keys of `STANDING`, and the specificity."""
    if_zero: float | None = None
    """Observed / expected if those had 0 whose horizon is over and whose outcome has not come; None
    of so few that one of them could be recognised."""

    @property
    def events(self) -> int:
        """Rows of the rarer outcome, on which all figures rest."""
        return min(self.positive, self.outcomes - self.positive)


def standing(
    probabilities: Float64Array,
    threshold: float,
    outcomes: Int8Array,
    missing: Sequence[float] = (),
) -> Standing:
    """Judge rows (n,), n >= 1, that one version predicted before their outcomes came; `missing` are
    its probabilities of rows whose outcome has not come."""
    rows = ranked(probabilities, outcomes)
    figures = of_classes(rows, threshold)
    figures["auroc"] = auroc(rows)
    figures["observed_expected"] = observed_expected(rows)
    found = Standing(len(rows), rows.positive, figures)
    if len(rows) < FEWEST_ROWS:
        figures = dict.fromkeys(figures, Figure(None, reason=TOO_FEW_OUTCOMES))
    elif found.events < FEWEST_EVENTS:
        figures = {
            name: Figure(each.value, reason=each.reason or TOO_FEW_EVENTS)
            for name, each in figures.items()
        }
    if min(len(rows), len(missing)) >= FEWEST_ROWS:
        expected = float(probabilities.sum()) + sum(missing)
        found = replace(found, if_zero=rows.positive / expected)
    return replace(found, figures=figures)


def told_figures(
    figures: Mapping[str, Figure], if_zero: float | None, digits: int
) -> Iterator[tuple[str, str]]:
    """The names for people of the figures that stand on top, and what is told of each."""
    for name, label in STANDING.items():
        words = in_words(figures[name], digits)
        if name == "observed_expected" and if_zero is not None:
            words += f"; {if_zero:.2f} if those without an outcome had 0"
        yield label, words


def followed_up(outcomes: int, predictions: int | None) -> Figure:
    """The share of predictions that have an outcome; none if `predictions` is None, since older
    ones were left out."""
    if predictions is None:
        return Figure(None, reason=SOME_LEFT_OUT)
    return share(min(outcomes, predictions), predictions, NO_CASES)


def realised_figures(found: Realised, followed: Figure) -> Iterator[Watched]:
    """Make rows of `monitoring`; `followed` is the share of the version's predictions that have an
    outcome."""
    names = ("accuracy", "auroc", "calibration_intercept", "calibration_slope", "net_benefit")
    for name in names:
        yield _row(f"realised_{name}", getattr(found, name), found.outcomes)
    yield _row("realised_expected_accuracy", found.estimated_accuracy, found.outcomes)
    yield _row("realised_followed_up", followed, found.outcomes)


def figure_of_week(follow_up: FollowUp) -> Iterator[Watched]:
    """Make a row of `monitoring` that compares the newest finished week with those before it, if
    there are some."""
    finished = [each for each in follow_up.weeks if each.is_finished]
    if len(finished) < 2:
        return
    newest, *others = finished
    rows = sum(each.rows for each in others)
    outcomes = sum(each.outcomes for each in others)
    found = Watched(
        "",
        WEEK_FOLLOWED_UP,
        newest.outcomes / newest.rows,
        newest.rows,
        outcomes / rows,
        share_allowed(WEEK_ALLOWED, newest.outcomes, newest.rows, outcomes, rows),
    )
    is_less = found.is_beyond and newest.outcomes * rows < outcomes * newest.rows
    yield replace(found, state=State.ALERT) if is_less else found


def _row(name: str, figure: Figure, outcomes: int) -> Watched:
    if outcomes < FEWEST_OUTCOMES:
        return Watched("", name, None, outcomes, state=State.INSUFFICIENT_DATA)
    return Watched("", name, figure.value, outcomes, low=figure.low, high=figure.high)
