"""Figures of counts beside the same of the rows that were counted."""

from dataclasses import replace

import numpy as np
import pytest

from pima.core.outcomes.followed_up import FollowUp
from pima.core.outcomes.realised import ON_TOP, TOO_FEW_EVENTS, came_true
from pima.core.outcomes.served import came_true_as_served, days_due
from tests.support.served import MONDAY, counts_of


@pytest.mark.parametrize("prevalence", [0.07, 0.35])
def test_the_figures_of_counts_are_those_of_the_rows(prevalence: float) -> None:
    draw = np.random.default_rng(7)
    p = draw.beta(2, 2 / prevalence - 2, 3_000)
    outcomes = (draw.random(3_000) < p).astype(np.int8)
    thresholds = np.where(np.arange(3_000) < 900, prevalence, 2 * prevalence)
    versions = np.where(np.arange(3_000) < 900, 1, 2)
    found = came_true_as_served(
        counts_of(p, outcomes, MONDAY + np.arange(3_000) % 7, versions, thresholds), {}
    )
    rows = came_true(p, thresholds, outcomes)
    assert (found.outcomes, found.positive) == (rows.outcomes, rows.positive)
    for name in (*ON_TOP, "accuracy"):
        # Rows of one bin are ties.
        allowed = 0.001 if name == "auroc" else 1e-9
        for bound in ("value", "low", "high"):
            expected = getattr(rows.figures[name], bound)
            assert getattr(found.figures[name], bound) == pytest.approx(expected, abs=allowed)


def test_few_outcomes_of_either_kind_are_told_as_of_rows() -> None:
    nine = came_true_as_served(counts_of([0.2] * 9, [0, 1] * 4 + [0]), {})
    assert {each.value for each in nine.figures.values()} == {None}
    few = came_true_as_served(counts_of([0.2, 0.4] * 10, [1] * 4 + [0] * 16), {})
    assert few.figures["auroc"].reason == few.figures["accuracy"].reason == TOO_FEW_EVENTS
    all_zero = came_true_as_served(counts_of([0.2, 0.4] * 10, [0] * 20), {})
    assert all_zero.figures["auroc"].value is None


def test_missing_rows_are_told_as_zeros_if_nobody_can_be_recognised() -> None:
    counts = counts_of([0.5] * 20, [1, 0] * 10)
    nine = replace(counts, missing=np.array([9]), expected_missing=np.array([4.5]))
    assert came_true_as_served(nine, {}).if_zero is None
    ten = replace(counts, missing=np.array([10]), expected_missing=np.array([5.0]))
    assert came_true_as_served(ten, {}).if_zero == pytest.approx(10 / 15)


def test_days_that_are_hardly_followed_up_are_left_out_by_horizon_or_by_prediction() -> None:
    counts = counts_of([0.5] * 4, [1, 0, 1, 0], [MONDAY, MONDAY, MONDAY + 1, MONDAY + 1])
    left_out = frozenset([MONDAY])
    by_horizon = counts.counting(FollowUp(days_left_out=left_out, least=0.9))
    assert by_horizon.day.tolist() == [MONDAY + 1]
    predicted = replace(counts, predicted_in=np.array([0, (MONDAY + 3) // 7]))
    without_one = predicted.counting(FollowUp(days_left_out=left_out))
    assert without_one.day.tolist() == [MONDAY]


def test_the_rows_of_a_day_stand_apart_from_its_predictions() -> None:
    counts = counts_of([0.5] * 6, [1, 0, 1, 1, 0, 0], MONDAY, [0, 0, 0, 0, 1, 1])
    every = replace(counts, missing=np.array([3, 0]))
    (day,) = days_due(every)
    assert (day.number, day.rows, day.outcomes) == (MONDAY, 7, 4)
    assert every.counting(FollowUp()).outcomes.tolist() == [2]
