"""Which power is chosen for a number that none is declared for."""

import numpy as np
import pytest

from pima.core.fit_choices import choose_exponents

DRAW = np.random.default_rng(2)
SYMMETRIC = DRAW.normal(50, 5, 500)
SKEWED = DRAW.gamma(1, 30, 500)
FAR_OUT = 1 / DRAW.normal(1, 0.25, 500).clip(0.05, 2)
"""Far more skewed than a root mends."""


def _chosen(values: np.ndarray, low: float | None, declared: float | None = None) -> float:
    return choose_exponents([declared], [low], values[:, None].astype(np.float32)).tolist()[0]


@pytest.mark.parametrize(
    ("values", "low", "power"),
    [(SYMMETRIC, 1, 1), (SKEWED, 0, 0.5), (SKEWED, -1, 1), (SKEWED, None, 1), (FAR_OUT, 0.1, -1), (FAR_OUT, 0, 0.5)],
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
