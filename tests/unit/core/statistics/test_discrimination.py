"""The area under the ROC curve: DeLong's variance over all pairs of rows, counted out, Newcombe's
interval where there is none, and the same from counts."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benches.accuracy.shipped import shipped_rows
from pima.core.statistics.discrimination import (
    TOO_FEW_OF_A_CLASS,
    auroc,
    auroc_around,
    auroc_gain,
    auroc_of_counts,
)
from pima.core.statistics.estimates import NO_SPREAD
from pima.core.statistics.samples import sample_of

Z = norm.ppf(0.975)


@cache
def _shipped() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The outcomes of every second shipped row, and two models' probabilities, to two digits, so
    that many are equal."""
    rows = shipped_rows()
    known = np.nan_to_num(rows.features, nan=30.0).astype(np.float64)
    models = []
    for columns in (slice(None), slice(0, 4)):
        model = LogisticRegression(max_iter=5000).fit(known[::2, columns], rows.outcomes[::2])
        models.append(model.predict_proba(known[1::2, columns])[:, 1].round(2))
    return rows.outcomes[1::2], *models


def test_the_area_s_variance_is_delong_s_over_all_pairs() -> None:
    outcomes, probabilities, _ = _shipped()
    found = auroc(sample_of(probabilities, outcomes))
    cases, others = probabilities[outcomes == 1], probabilities[outcomes == 0]
    pairs = (cases[:, None] > others) + 0.5 * (cases[:, None] == others)
    area = pairs.mean()
    of_cases, of_others = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = of_cases.var(ddof=1) / len(cases) + of_others.var(ddof=1) / len(others)
    margin = Z * math.sqrt(variance) / (area * (1 - area))
    log_odds = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-bound)) for bound in (log_odds - margin, log_odds + margin))
    assert (found.low, found.high) == (
        pytest.approx(low, abs=1e-7),
        pytest.approx(high, abs=1e-7),
    )


@pytest.mark.parametrize(
    ("cases", "others", "area"), [(3, 9, 1.0), (5, 15, 1.0), (4, 4, 0.0), (1, 8, 0.75)]
)
def test_where_delong_has_no_variance_the_interval_is_newcombe_s(
    cases: int, others: int, area: float
) -> None:
    outcomes = np.array([0] * others + [1] * cases, dtype=np.int8)
    probabilities = (
        np.concatenate([1 + np.arange(others), np.full(cases, area * others + 0.5)]) / 100
    )
    found = auroc(sample_of(probabilities, outcomes))

    def too_far(theta: float) -> float:
        pairs = (cases + others) / 2 - 1
        variance = (
            theta * (1 - theta) * (1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        )
        return (found.value - theta) ** 2 - Z**2 * variance / (cases * others)

    assert found.value == area
    middle = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area == 0 else brentq(too_far, 1e-12, middle)
    high = 1.0 if area == 1 else brentq(too_far, middle, 1 - 1e-12)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_the_area_s_gain_has_delong_s_covariance_over_all_pairs() -> None:
    outcomes, *both = _shipped()
    placements = []
    for probabilities in both:
        cases, others = probabilities[outcomes == 1], probabilities[outcomes == 0]
        pairs = (cases[:, None] > others) + 0.5 * (cases[:, None] == others)
        placements.append((pairs.mean(axis=1), pairs.mean(axis=0)))
    variance = 0.0
    for ours, theirs in zip(*placements, strict=True):
        (first, covariance), (_, second) = np.cov(ours, theirs)
        variance += (first + second - 2 * covariance) / len(ours)
    found = auroc_gain(*(sample_of(each, outcomes) for each in both))
    expected = roc_auc_score(outcomes, both[0]) - roc_auc_score(outcomes, both[1])
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low == pytest.approx(expected - Z * math.sqrt(variance), abs=1e-7)
    assert found.high == pytest.approx(expected + Z * math.sqrt(variance), abs=1e-7)


@pytest.mark.parametrize(
    ("outcomes", "ours", "theirs", "reason"),
    [
        ([0, 0, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], TOO_FEW_OF_A_CLASS),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4], NO_SPREAD),
    ],
)
def test_what_few_rows_can_not_say_of_areas_has_a_reason(
    outcomes: list[int], ours: list[float], theirs: list[float], reason: str
) -> None:
    both = (sample_of(np.array(each), np.array(outcomes)) for each in (ours, theirs))
    found = auroc_gain(*both)
    assert (found.low, found.high, found.reason) == (None, None, reason)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=2, max_size=40).filter(
        lambda rows: len({outcome for _, outcome in rows}) == 2
    )
)
def test_counts_by_step_have_the_area_and_the_interval_of_their_rows(
    rows: list[tuple[int, int]],
) -> None:
    steps, outcomes = (np.array(each) for each in zip(*rows, strict=True))
    found = auroc(sample_of(1 / (1 + np.exp(-steps)), outcomes))
    assert found.value == pytest.approx(roc_auc_score(outcomes, steps), abs=1e-12)
    distinct = np.unique(steps)[::-1]
    cases, others = (
        np.array([((steps == each) & (outcomes == outcome)).sum() for each in distinct])
        for outcome in (1, 0)
    )
    counted = auroc_around(*auroc_of_counts(distinct, cases, others), cases.sum(), others.sum())
    assert (counted.value, counted.low, counted.high) == pytest.approx(
        (found.value, found.low, found.high), abs=1e-9
    )
