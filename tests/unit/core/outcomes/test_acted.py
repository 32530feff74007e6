"""On whom somebody acted, over made-up half-years whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from pima.core.arrays import BoolArray
from pima.core.outcomes.acted import apart, by_risk, difference, jump
from pima.core.outcomes.realised import CameTrue, came_true
from pima.core.statistics.estimates import Estimate
from pima.core.statistics.samples import Sample, sample_of
from tests.support.served import counts_of

HALF_A_YEAR = 26 * 7 * 20


def lived(
    seed: int, prevalence: float, threshold: float, rows: int = HALF_A_YEAR, prevented: float = 0.6
) -> tuple[Sample, BoolArray]:
    """Rows of which 70 % of those predicted 1 were acted on, and so many of their events prevented;
    and which these are."""
    draw = np.random.default_rng(seed)
    log_odds = np.log(prevalence / (1 - prevalence)) + draw.normal(size=rows)
    p = np.sort(1 / (1 + np.exp(-log_odds)))
    is_acted = (p >= threshold) & (draw.random(rows) < 0.7)
    outcomes = (draw.random(rows) < p * (1 - prevented * is_acted)).astype(np.int8)
    return sample_of(p, outcomes, threshold), is_acted


@pytest.mark.parametrize(
    ("prevalence", "threshold", "truth", "most_spread"),
    [(0.35, 0.49, -0.207, 0.05), (0.15, 0.14, -0.059, 0.03)],
)
def test_the_jump_at_the_threshold_is_what_acting_prevents_there(
    prevalence: float, threshold: float, truth: float, most_spread: float
) -> None:
    found = [jump(lived(seed, prevalence, threshold)[0]).figure for seed in range(200)]
    values = [each.value for each in found if each.value is not None]
    assert len(values) == 200
    assert np.mean(values) == pytest.approx(truth, abs=0.01)
    assert np.std(values) < most_spread
    holds = [each.low <= truth <= each.high for each in found if each.low and each.high]
    assert 0.91 <= np.mean(holds) <= 0.99


def test_where_nobody_acts_there_is_no_jump() -> None:
    found = [jump(lived(seed, 0.35, 0.49, prevented=0)[0]).figure for seed in range(200)]
    outside = [not (each.low or 0) <= 0 <= (each.high or 0) for each in found]
    assert np.mean(outside) < 0.1


def test_visits_of_one_person_are_as_one() -> None:
    rows, _ = lived(3, 0.35, 0.49, 600)
    p, outcomes = (np.repeat(each, 2) for each in (rows.probabilities, rows.cases.astype(np.int8)))
    once = jump(rows).figure
    of_persons = jump(sample_of(p, outcomes, 0.49, np.repeat(np.arange(600), 2))).figure
    of_rows = jump(sample_of(p, outcomes, 0.49)).figure
    assert _width(of_persons) == pytest.approx(_width(once), rel=0.02)
    assert _width(of_rows) < 0.75 * _width(once)


def _width(found: Estimate) -> float:
    return (found.high or 0.0) - (found.low or 0.0)


@pytest.mark.parametrize(("rows", "words"), [(320, "too few to tell less than 0."), (30, "fewer")])
def test_few_rows_near_the_threshold_tell_nothing(rows: int, words: str) -> None:
    found = jump(lived(1, 0.35, 0.49, rows)[0])
    assert (found.figure.value, found.figure.low) == (None, None)
    assert found.rows < 200
    assert words in str(found.figure.reason)
    assert found.watched.state == "insufficient_data"


def parts(rows: Sample, is_acted: BoolArray) -> list[CameTrue]:
    called = rows.called
    cases = rows.cases.astype(np.int8)
    both = (called & is_acted, called & ~is_acted)
    return [came_true(rows.probabilities[part], 0.0, cases[part]) for part in both]


def test_those_acted_on_and_the_others_are_told_apart() -> None:
    rows, is_acted = lived(5, 0.35, 0.49)
    found = [*apart(parts(rows, is_acted))]
    acted, others = found[:2]
    called = rows.called
    assert acted.rows + others.rows == called.sum()
    assert acted.figure.value == pytest.approx(rows.cases[is_acted].mean())
    assert others.figure.value == pytest.approx(rows.cases[called & ~is_acted].mean())
    assert {each.name: round(each.figure.value or 0, 1) for each in found[2:]} == {
        "area under ROC where predicted 1 and acted on": 0.6,
        "area under ROC where predicted 1 and left alone": 0.6,
        "observed/expected where predicted 1 and acted on": 0.4,
        "observed/expected where predicted 1 and left alone": 1.1,
    }
    (said,) = difference(found[:2])
    assert said == (
        "Those predicted 1 who were acted on had the outcome in 24 of 100, the others in 68: "
        "this is no measure of acting."
    )
    rows, is_acted = lived(5, 0.35, 0.49, prevented=0)
    assert [*difference([*apart(parts(rows, is_acted))][:2])] == []
    assert [*difference([*apart([])][:2])] == []


@pytest.mark.parametrize("ones", [9, 10])
def test_parts_of_which_few_have_an_outcome_are_not_told(ones: int) -> None:
    outcomes = np.array([1] * ones + [0] * 20 + [1] * 20 + [0] * 20, dtype=np.int8)
    is_acted = np.arange(len(outcomes)) < ones + 20
    found = [*apart(parts(sample_of(np.full(len(outcomes), 0.6), outcomes, 0.5), is_acted))]
    assert [each.rows for each in found] == ([] if ones < 10 else [30, 40] * 3)


@pytest.mark.parametrize("leaves_out", [False, True])
def test_shares_are_told_by_side_and_by_tenth_but_not_small_ones(leaves_out: bool) -> None:
    rows = np.array([40, 40, 8, 4, 40])
    acted = np.array([0, 4, 1, 1, 30])
    p = np.repeat([0.05, 0.15, 0.25, 0.35, 0.75], rows)
    counts = replace(counts_of(p.tolist(), [0] * len(p)), acted=acted)
    if leaves_out:
        counts = replace(counts, outcomes=rows - acted)
    found = {each.name: (each.rows, each.figure.value) for each in by_risk(counts, leaves_out)}
    assert found == {
        "acted on where predicted 0": (92, pytest.approx(6 / 92)),
        "acted on where predicted 1": (40, 0.75),
        "acted on at 0 to 10 percent": (40, 0.0),
        "acted on at 10 to 20 percent": (40, 0.1),
        "acted on at 70 to 80 percent": (40, 0.75),
    }


def test_rows_without_an_outcome_count_as_rows_too() -> None:
    counts = replace(counts_of([0.75] * 30, [0] * 30), acted=np.array([20]))
    counts = replace(counts, missing=np.array([10]))
    shares = {each.name: each.figure.value for each in by_risk(counts, leaves_out=False)}
    assert shares["acted on where predicted 1"] == 0.5
