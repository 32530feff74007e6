"""Powers by skewness, folds, and a threshold that reaches what was asked for, beside a search
through all."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pima.core.statistics.samples import sample_of
from pima.core.verdicts.verdict import performance_of
from pima.model.recipes import choose_exponents, stratified_folds
from pima.train.fit import threshold_reaching

# Few values, so that ties are frequent.
rows = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]) | st.floats(0, 1))
)
shares = st.integers(1, 99).map(lambda hundredths: f"0.{hundredths:02}")


def _columns(drawn: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    outcomes = np.array([row[0] for row in drawn], dtype=np.int8)
    assume(len(set(outcomes.tolist())) == 2)
    return np.array([row[1] for row in drawn]), outcomes


def _share(right: np.ndarray) -> Fraction:
    return Fraction(int(right.sum()), len(right))


@given(rows, shares)
def test_the_next_threshold_does_not_reach_what_was_asked_for(
    drawn: list[tuple[int, float]], share: str
) -> None:
    probabilities, outcomes = _columns(drawn)
    of_cases, of_others = probabilities[outcomes == 1], probabilities[outcomes == 0]
    found = threshold_reaching(f"sensitivity >= {share}", probabilities, outcomes)
    assert _share(of_cases >= found) >= Fraction(share) > _share(of_cases >= np.nextafter(found, 2))
    found = threshold_reaching(f"specificity >= {share}", probabilities, outcomes)
    assert (
        _share(of_others < found) >= Fraction(share) > _share(of_others < np.nextafter(found, -1))
    )


def test_a_share_is_meant_as_it_is_written() -> None:
    # 0.07 * 100 is a bit more than 7 among floats, and an eighth case would be asked for.
    assert 0.07 * 100 > 7
    outcomes = np.array([1] * 100 + [0], dtype=np.int8)
    probabilities = np.append(np.arange(100, 0, -1) / 101, 0.5)
    found = threshold_reaching("sensitivity >= 0.07", probabilities, outcomes)
    assert performance_of(sample_of(probabilities, outcomes, found)).sensitivity == 0.07


@pytest.mark.parametrize("to_reach", ["sensitivity >= 0.5", "specificity >= 0.5"])
def test_what_is_no_number_calls_nobody_ill(to_reach: str) -> None:
    outcomes = np.array([1, 1, 0, 0], dtype=np.int8)
    found = threshold_reaching(to_reach, np.array([0.8, np.nan, np.nan, 0.3]), outcomes)
    assert found == pytest.approx(0.8 if "sens" in to_reach else 0.0)


@given(st.lists(st.integers(0, 1), max_size=80), st.integers(2, 7), st.integers(0, 2**31))
def test_each_class_is_dealt_out_evenly(outcomes: list[int], folds: int, seed: int) -> None:
    column = np.array(outcomes, dtype=np.int8)
    found = stratified_folds(column, folds, seed)
    assert (found == stratified_folds(column, folds, seed)).all()
    for outcome in (0, 1):
        sizes = np.bincount(found[column == outcome], minlength=folds)
        assert (len(sizes), sizes.max() - sizes.min() <= 1) == (folds, True)


DRAW = np.random.default_rng(2)
SYMMETRIC = DRAW.normal(50, 5, 500)
SKEWED = DRAW.gamma(1, 30, 500)
FAR_OUT = 1 / DRAW.normal(1, 0.25, 500).clip(0.05, 2)
"""Far more skewed than a root mends."""


def _chosen(values: np.ndarray, low: float | None, declared: float | None = None) -> float:
    return choose_exponents([declared], [low], values[:, None].astype(np.float32)).tolist()[0]


@pytest.mark.parametrize(
    ("values", "low", "power"),
    [
        (SYMMETRIC, 1, 1),
        (SKEWED, 0, 0.5),
        (SKEWED, -1, 1),
        (SKEWED, None, 1),
        (FAR_OUT, 0.1, -1),
        (FAR_OUT, 0, 0.5),
    ],
)
def test_a_skewed_number_is_drawn_together_as_far_as_its_range_allows(
    values: np.ndarray, low: float | None, power: float
) -> None:
    assert _chosen(values, low) == power


def test_what_is_declared_stands_whatever_the_values_are() -> None:
    assert _chosen(SKEWED, 1, declared=1) == 1
    assert _chosen(SYMMETRIC, 1, declared=-1) == -1


def test_missing_values_count_for_nothing_and_a_number_that_is_never_there_stays_as_it_is() -> None:
    some_missing = SKEWED.copy()
    some_missing[::2] = np.nan
    assert _chosen(some_missing, 0) == 0.5
    assert _chosen(np.full(5, np.nan), 0) == _chosen(np.full(5, 3.0), 1) == 1
