"""Drift: bins and distances against values by hand and by scipy; what is estimated to come true,
and what came true."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pima.core.declared.features import names_of
from pima.core.nights import drift
from pima.core.nights.bins import (
    FEWEST_ROWS_OF_BIN,
    MOST_BINS,
    Bins,
    category_bins,
    counts_in,
    number_bins,
    recounted,
)
from pima.core.nights.drift import (
    Tally,
    added,
    expected_accuracy,
    night_figures,
    population_stability_index,
    psi_allowed,
    wasserstein,
    wasserstein_allowed,
)
from pima.core.nights.kinds import State
from pima.core.outcomes.realised import came_true, followed_up, realised_figures
from tests.support.simulated_nights import (
    FEATURES,
    THRESHOLD,
    night_tally,
    probabilities_of,
    reference,
    rows_of,
)

NAMES = names_of(FEATURES)


def test_the_index_is_the_sum_over_the_bins_by_hand() -> None:
    bins = Bins((10, 20, 30), edges=(1.0, 2.0))
    # With half a row more a bin: (30.5, 20.5, 10.5) / 61.5 beside (10.5, 20.5, 30.5) / 61.5.
    by_hand = 2 * (30.5 - 10.5) / 61.5 * math.log(30.5 / 10.5)
    assert population_stability_index((30, 20, 10), bins) == pytest.approx(by_hand, rel=1e-12)
    assert population_stability_index((100, 200, 300), bins) == pytest.approx(0, abs=2e-4)
    assert math.isfinite(population_stability_index((60, 0, 0), bins))


def test_the_distance_is_scipys_between_the_bins_means() -> None:
    random = np.random.default_rng(1)
    learned, night = random.gamma(2, 3, 3_000), random.gamma(2.5, 3, 4_000)
    bins = number_bins(learned)
    places = np.cumsum((0.0, *bins.steps))
    counts = counts_in(bins, night)
    by_scipy = stats.wasserstein_distance(places, places, counts, bins.counts)
    assert wasserstein(counts, bins) == pytest.approx(by_scipy, rel=1e-12)
    exact = stats.wasserstein_distance(learned, night) / learned.std()
    assert wasserstein(counts, bins) == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("freedom", [1, 2, 4, 9])
def test_what_luck_may_do_is_chi_squared(freedom: int) -> None:
    exact = stats.chi2.isf(drift.CHANCE / 2, freedom)
    assert exact * 0.99 <= drift._chi_squared(freedom) <= exact * 1.13
    assert pytest.approx(stats.norm.isf(drift.CHANCE / 2), abs=1e-6) == drift._Z


def test_the_same_distribution_stays_within_the_limits_and_few_rows_have_wider_ones() -> None:
    random = np.random.default_rng(3)
    bins = number_bins(random.normal(size=300))
    assert psi_allowed(10**6, bins) == 0.25
    assert wasserstein_allowed(10**6, number_bins(random.normal(size=100_000))) == 0.2
    assert psi_allowed(200, bins) > 0.25
    assert wasserstein_allowed(200, bins) > wasserstein_allowed(10**6, bins) >= 0.2
    for _ in range(300):
        counts = counts_in(bins, random.normal(size=200))
        assert population_stability_index(counts, bins) <= psi_allowed(200, bins)
        assert wasserstein(counts, bins) <= wasserstein_allowed(200, bins)


_COLUMNS = {
    "many values": np.random.default_rng(4).normal(120, 30, 378),
    "mostly zero": np.where(np.random.default_rng(5).random(400) < 0.7, 0, np.arange(400)),
    "few values": np.random.default_rng(6).poisson(3.8, 378),
    "two values": np.repeat([0.0, 1.0], [390, 10]),
    "no bin for the rare value": np.repeat([0.0, 1.0], [391, 9]),
    "alike": np.full(100, 37.0),
    "few rows": np.arange(19.0),
    "none": np.array([]),
    "neighbours of float32": np.repeat([1.0, 1.0000001], [60, 60]),
}


@pytest.mark.parametrize("name", _COLUMNS)
def test_bins_have_ten_rows_or_more_and_no_value_at_their_ends(name: str) -> None:
    column = _COLUMNS[name].astype(np.float32)
    with_missing = np.concatenate([column, np.full(7, np.nan, np.float32)])
    bins = number_bins(with_missing)
    assert bins.known == len(column)
    assert len(bins.counts) == len(bins.edges) + 1 <= MOST_BINS
    assert all(count >= FEWEST_ROWS_OF_BIN for count in bins.counts) or len(bins.counts) == 1
    assert all(one < next_one for one, next_one in pairwise(bins.edges))
    assert not set(bins.edges) & set(column.tolist())
    assert len(bins.counts) == {"two values": 2, "neighbours of float32": 2, "alike": 1}.get(
        name, len(bins.counts)
    )


def test_rare_codes_and_unknown_ones_share_a_bin_and_one_that_no_row_has_its_own() -> None:
    column = np.repeat([1, 2, 3, 4, np.nan], [100, 30, 12, 3, 5]).astype(np.float32)
    bins = category_bins(column, (4, 3, 2, 1, 9))
    assert (bins.codes, bins.counts) == ((1, 2, 9), (100, 30, 0, 15))
    assert counts_in(bins, np.array([2, 9, 7, np.nan, 1], np.float32)) == (1, 1, 1, 1)
    assert category_bins(column[:142], (1, 2, 3)).counts == (100, 30, 12, 0)


def test_rows_are_recounted_in_other_bins_exactly_where_edges_and_codes_are_common() -> None:
    bins = Bins((10, 20, 30), edges=(1.5, 2.5))
    first_apart = Bins((10, 10, 20, 20), edges=(0.5, 1.5, 2.5))
    last_apart = Bins((10, 20, 20, 10), edges=(1.5, 2.5, 3.5))
    assert recounted((4, 5, 6), bins, bins) == (4, 5, 6)
    assert recounted((3, 1, 5, 6), first_apart, bins) == (4, 5, 6)
    assert recounted((4, 5, 1, 5), last_apart, bins) == (4, 5, 6)
    assert recounted((4, 5, 6), bins, Bins((10, 50), edges=(1.5,))) == (4, 11)
    assert recounted((4, 5, 6), bins, Bins((60,))) == (15,)
    # What is not known is divided like the training rows.
    assert recounted((4, 5, 6), bins, first_apart) == (2, 2, 5, 6)
    assert recounted((4, 5, 6), bins, last_apart) == (4, 5, 4, 2)
    assert recounted((24,), Bins((60,)), bins) == (4, 8, 12)
    wards = Bins((10, 20, 3), codes=(1, 2))
    assert recounted((4, 5, 6), wards, Bins((20, 9, 4), codes=(2, 5))) == (5, 4, 6)
    assert recounted((4, 5, 6), wards, Bins((9, 20, 0), codes=(1, 2))) == (4, 5, 6)


@pytest.mark.parametrize("factor", [1.0, 5.0])
def test_a_recounted_night_is_as_far_away_as_one_that_was_counted_so(factor: float) -> None:
    random = np.random.default_rng(20)
    one, other = (number_bins(random.lognormal(0, 0.45, rows)) for rows in (900, 1_100))
    night = factor * random.lognormal(0, 0.45, 2_000)
    found = recounted(counts_in(one, night), one, other)
    assert sum(found) == 2_000
    for distance in (population_stability_index, wasserstein):
        exact = distance(counts_in(other, night), other)
        assert distance(found, other) == pytest.approx(exact, rel=0.1, abs=0.02)


def test_batches_add_up_to_the_night_whoever_counted_them() -> None:
    random = np.random.default_rng(7)
    kept = reference(random, 500)
    parts = [night_tally(random, kept, rows) for rows in (120, 1, 40)]
    whole = added(parts)
    assert (whole.accepted, whole.rows) == (
        161,
        161 + sum(part.rejected.get("missing glucose", 0) for part in parts),
    )
    assert sum(whole.probability) == 161
    assert whole == added([added(parts[:2]), parts[2]])
    assert added([]) == Tally()


def test_without_a_reference_values_stand_beside_nothing() -> None:
    night = Tally(300, 290, 100, 250.0, probability=(290,), rejected={"missing bmi": 10})
    found = night_figures(NAMES, [night], None)
    assert {each.name: (each.value, each.state) for each in found} == {
        "predicted_positive": (100 / 290, State.NO_REFERENCE),
        "estimated_accuracy": (250 / 290, State.USUAL),
        "rejected_missing bmi": (10 / 300, State.NO_REFERENCE),
    }


def test_outcomes_drawn_by_the_probabilities_come_true_as_often_as_estimated() -> None:
    random = np.random.default_rng(12)
    within = 0
    for _ in range(400):
        probabilities = random.beta(0.7, 1.2, 500)
        estimate = expected_accuracy(float(np.maximum(probabilities, 1 - probabilities).sum()), 500)
        came_true = ((random.random(500) < probabilities) == (probabilities >= 0.5)).mean()
        within += estimate.low <= came_true <= estimate.high
    assert within >= 380


# ---- what came true


def test_estimate_and_outcome_agree_without_drift_and_part_where_the_outcome_changes() -> None:
    random = np.random.default_rng(14)
    rows = rows_of(random, 2_000)
    probabilities = probabilities_of(rows)
    agree = []
    for changed in (probabilities, probabilities_of(rows_of(random, 2_000))):
        outcomes = (random.random(2_000) < changed).astype(np.int8)
        found = came_true(probabilities, THRESHOLD, outcomes).figures
        estimate, accuracy = found["expected_accuracy"], found["accuracy"]
        agree.append(estimate.low <= accuracy.high and accuracy.low <= estimate.high)
    assert agree == [True, False]


def test_what_came_true_is_kept_where_there_are_outcomes_enough() -> None:
    probabilities = np.random.default_rng(15).random(400)
    outcomes = (probabilities > 0.5).astype(np.int8)
    found = []
    for rows in (400, 40):
        of_rows = came_true(probabilities[:rows], 0.5, outcomes[:rows])
        (accuracy, *_, share) = realised_figures(of_rows, followed_up(rows, 1_000))
        found.append((accuracy.value, accuracy.state, share.value))
    few = (None, State.INSUFFICIENT_DATA, None)
    assert found == [(1.0, State.USUAL, 0.4), few]
