"""What stands of a version: its figures over settled outcomes, and when they are held back."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pima.core.outcomes.realised import (
    ON_TOP,
    CameTrue,
    came_true,
    told_figures,
    version_in_words,
    widths,
)
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.statistics.performance import NONE_CALLED, NONE_EXPECTED, observed_expected
from pima.core.statistics.samples import NO_CASES


def _standing(cases: int, others: int) -> CameTrue:
    """All of them predicted with 0.1 to 0.4, in no order."""
    probabilities = np.linspace(0.1, 0.4, cases + others)
    outcomes = np.zeros(cases + others, dtype=np.int8)
    outcomes[:: (cases + others) // cases][:cases] = 1
    return came_true(probabilities, 0.3, outcomes)


def test_the_figures_are_those_of_counting() -> None:
    probabilities = np.array([0.1] * 60 + [0.6] * 40)
    outcomes = np.array([1] * 6 + [0] * 54 + [1] * 30 + [0] * 10, dtype=np.int8)
    found = came_true(probabilities, 0.5, outcomes)
    assert (found.outcomes, found.positive, found.events) == (100, 36, 36)
    assert {name: round(found.figures[name].value, 4) for name in ON_TOP} == {
        "auroc": round((30 * 54 + (6 * 54 + 30 * 10) / 2) / (36 * 64), 4),
        "observed_expected": 1.2,
        "sensitivity": round(30 / 36, 4),
        "positive_predictive_value": 0.75,
        "negative_predictive_value": 0.9,
    }
    assert all(each.low < each.value < each.high for each in found.figures.values())


def test_it_is_said_where_the_interval_of_the_last_weeks_leaves_out_the_figure_of_all() -> None:
    every = _standing(40, 60)
    lower = replace(every, figures=every.figures | {"observed_expected": Estimate(0.68, 0.5, 0.9)})
    told = dict(told_figures(every, 2, lower))
    assert told["observed / expected"].endswith(
        "; the last 8 weeks 0.68 (0.50 to 0.90). They disagree by more than luck: go by the last "
        "weeks for what holds now"
    )
    assert sum("disagree" in words for words in told.values()) == 1
    of_none = Estimate(0.0, reason=NO_CASES)
    without = replace(every, figures=every.figures | {"observed_expected": of_none})
    for lately in (every, without, None):
        assert not any("disagree" in words for _, words in told_figures(every, 2, lately))


def test_below_ten_outcomes_there_is_no_figure_and_below_five_events_no_interval() -> None:
    assert {each.reason for each in _standing(4, 5).figures.values()} == {"fewer than 10 outcomes"}
    of_four = _standing(4, 60)
    assert {(each.low, each.reason) for each in of_four.figures.values()} == {
        (None, "fewer than 5 of the rarer outcome")
    }
    assert of_four.figures["auroc"].value is not None
    assert all(each.low is not None for each in _standing(5, 60).figures.values())
    # The rarer class counts, whichever it is.
    assert _standing(60, 4).events == 4


@pytest.mark.parametrize("cases", [0, 10])
def test_probabilities_of_0_expect_none_and_have_no_ratio(cases: int) -> None:
    outcomes = np.repeat([1, 0], [cases, 20]).astype(np.int8)
    persons = np.arange(len(outcomes)) // 2
    found = came_true(np.zeros(len(outcomes)), 0.5, outcomes, persons)
    ratio = found.figures["observed_expected"]
    assert (ratio.value, ratio.low, ratio.reason) == (None, None, NONE_EXPECTED)


def test_beside_observed_expected_stands_what_it_is_if_those_without_an_outcome_had_0() -> None:
    found = replace(
        came_true(np.array([0.1, 0.6] * 50), 0.5, np.array([0, 1] * 50, dtype=np.int8)), if_zero=1.0
    )
    told = dict(told_figures(found, 2))
    assert told["observed / expected"].endswith("; 1.00 if those without an outcome had 0")
    told = dict(told_figures(replace(found, if_zero=None), 2))
    assert "if those" not in told["observed / expected"]


def test_intervals_are_as_much_wider_as_persons_are_fewer_than_their_rows() -> None:
    outcomes = np.resize([0, 0, 1], 60).astype(np.int8)
    twice = [np.repeat(each, 2) for each in (np.linspace(0.1, 0.6, 60), np.full(60, 0.3), outcomes)]
    found = widths((*twice,), np.repeat(np.arange(60), 2))
    assert found == pytest.approx(dict.fromkeys(ON_TOP, math.sqrt(2)), rel=0.05)
    assert widths((*twice,), np.arange(120)) == {}


def test_a_version_is_told_with_its_outcomes_and_two_figures_if_it_has_any() -> None:
    found = _standing(20, 60)
    area, ratio = (in_words(found.figures[name], 2) for name in ("auroc", "observed_expected"))
    assert version_in_words(found) == (
        f"80 of these outcomes; {ON_TOP['auroc']} {area}; observed / expected {ratio}"
    )
    assert version_in_words(replace(found, figures={})) == "80 of these outcomes"


def test_a_figure_that_nobody_has_says_why() -> None:
    nobody = came_true(np.full(40, 0.2), 0.5, np.array([1] * 8 + [0] * 32, dtype=np.int8))
    assert nobody.figures["positive_predictive_value"].reason == NONE_CALLED
    healthy = came_true(np.full(40, 0.2), 0.5, np.zeros(40, dtype=np.int8))
    assert healthy.figures["observed_expected"].value == 0
    assert healthy.figures["observed_expected"].reason == NO_CASES


@pytest.mark.parametrize("prevalence", [0.07, 0.35])
def test_the_interval_of_observed_over_expected_holds_the_truth_as_often_as_it_says(
    prevalence: float,
) -> None:
    draw = np.random.default_rng(7)
    trials, rows, held = 2_000, 300, 0
    for _ in range(trials):
        probabilities = draw.beta(2, 2 / prevalence - 2, rows)
        outcomes = (draw.random(rows) < probabilities).astype(np.int8)
        found = observed_expected(int(outcomes.sum()), rows, float(probabilities.sum()))
        held += found.low <= 1 <= found.high
    assert 0.94 < held / trials < 0.99
