"""Drift: bins and distances against values by hand and by scipy, and what a year of nights alarms of."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pima.core import drift
from pima.core.drift import (
    FEWEST_ROWS,
    MOST_BINS,
    Bins,
    Tally,
    added,
    category_bins,
    counts_in,
    expected_accuracy,
    night_figures,
    number_bins,
    population_stability_index,
    psi_allowed,
    wasserstein,
    wasserstein_allowed,
)
from pima.core.features import names_of
from pima.core.realised import Judged, followed_up, realised, realised_figures
from pima.core.watched import State, Watched, alerts
from tests.support.simulated_nights import (
    FEATURES,
    THRESHOLD,
    night_tally,
    nights,
    probabilities_of,
    reference,
    rows_of,
)

NAMES = names_of(FEATURES)


def _alarms(found: tuple[Watched, ...]) -> set[str]:
    return {each.name for each in found if each.state == State.ALERT}


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


@pytest.mark.parametrize("shift", [0.1, 0.3, 0.6])
def test_of_a_shift_the_distance_is_about_the_shift(shift: float) -> None:
    learned = np.random.default_rng(2).normal(50, 7, 20_000)
    bins = number_bins(learned)
    assert wasserstein(counts_in(bins, learned + 7 * shift), bins) == pytest.approx(shift, rel=0.1)


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
    assert all(count >= FEWEST_ROWS for count in bins.counts) or len(bins.counts) == 1
    assert all(one < next_one for one, next_one in pairwise(bins.edges))
    assert not set(bins.edges) & set(column.tolist())
    assert len(bins.counts) == {"two values": 2, "neighbours of float32": 2, "alike": 1}.get(name, len(bins.counts))


def test_deciles_of_many_values_are_even() -> None:
    assert number_bins(np.arange(1_000.0)).counts == (100,) * 10


def test_rare_codes_and_unknown_ones_share_a_bin() -> None:
    column = np.repeat([1, 2, 3, 4, np.nan], [100, 30, 12, 3, 5]).astype(np.float32)
    bins = category_bins(column, (4, 3, 2, 1, 9))
    assert (bins.codes, bins.counts) == ((1, 2), (100, 30, 15))
    assert counts_in(bins, np.array([2, 9, 7, np.nan, 1], np.float32)) == (1, 1, 2)
    assert category_bins(column[:142], (1, 2, 3)).counts == (100, 30, 12, 0)


def test_batches_add_up_to_the_night_whoever_counted_them() -> None:
    random = np.random.default_rng(7)
    kept = reference(random, 500)
    parts = [night_tally(random, kept, rows) for rows in (120, 1, 40)]
    whole = added(parts)
    assert (whole.accepted, whole.rows) == (161, 161 + sum(part.rejected.get("missing glucose", 0) for part in parts))
    assert sum(whole.probability) == 161
    assert whole == added([added(parts[:2]), parts[2]])
    assert added([]) == Tally()


def test_three_of_the_last_five_nights_alarm() -> None:
    beyond, usual = ["psi bmi"], ["psi age"]
    assert alerts(True, "psi bmi", [beyond, beyond])
    assert alerts(True, "psi bmi", [usual, beyond, usual, beyond])
    assert alerts(False, "psi bmi", [beyond, beyond, beyond])
    assert not alerts(True, "psi bmi", [beyond])
    assert not alerts(True, "psi bmi", [usual, beyond, usual, usual, beyond])


@pytest.mark.parametrize("rows", [250, 2_000])
@pytest.mark.parametrize("learned", [100, 378, 5_000])
def test_a_stationary_year_alarms_at_most_once_in_all(rows: int, learned: int) -> None:
    random = np.random.default_rng(8)
    kept = reference(random, learned)
    found = list(nights(kept, (night_tally(random, kept, rows) for _ in range(364))))
    alarms = [alarm for night in found for alarm in _alarms(night)]
    assert len(alarms) <= 1, alarms
    assert not any(each.state == State.INSUFFICIENT_DATA for night in found for each in night if not each.feature)


@pytest.mark.parametrize("rows", [1, 35])
def test_a_stationary_year_of_small_nights_alarms_never(rows: int) -> None:
    random = np.random.default_rng(9)
    kept = reference(random, 378)
    found = list(nights(kept, (night_tally(random, kept, rows) for _ in range(364))))
    assert [alarm for night in found for alarm in _alarms(night)] == []
    states = {each.state for each in found[-1] if not each.feature}
    # Six nights of 35 are enough together; a week of single rows is not.
    assert states == ({State.INSUFFICIENT_DATA} if rows == 1 else {State.USUAL})
    if rows == 1:
        assert {each.value for each in found[-1]} == {None}


@pytest.mark.parametrize(("feature", "shift"), [("age", 0.8), ("visits", 1.0), ("ward", 1.0), ("insulin", 60.0)])
def test_a_shift_in_one_feature_alarms_in_the_third_night_of_it_alone(feature: str, shift: float) -> None:
    random = np.random.default_rng(10)
    kept = reference(random, 378)
    shifted = [0.0] * 30 + [shift] * 6
    found = list(nights(kept, (night_tally(random, kept, 1_000, **{feature: each}) for each in shifted)))
    alarms = [_alarms(night) for night in found]
    assert not any(alarms[:32])
    for night in alarms[32:]:
        assert f"psi {feature}" in night
        assert {name.split()[-1] for name in night} == {feature}


def test_one_odd_night_alarms_nobody_also_where_several_are_pooled_and_a_change_that_stays_does() -> None:
    random = np.random.default_rng(1)
    kept = reference(random, 378)
    for shifts, alarming in (([0.0] * 20 + [2.0] + [0.0] * 9, 0), ([0.0] * 20 + [2.0] * 10, 4)):
        found = nights(kept, (night_tally(random, kept, 70, age=shift) for shift in shifts))
        alarms = [_alarms(night) for night in found]
        assert sum("wasserstein age" in night for night in alarms) == alarming, alarms
        assert set().union(*alarms) <= {"psi age", "wasserstein age"}


def test_what_is_missing_or_rejected_alarms_with_its_feature_and_reason() -> None:
    random = np.random.default_rng(11)
    kept = reference(random, 378)

    def without_ages(tally: Tally) -> Tally:
        counts = dict(zip(NAMES, tally.features, strict=True)) | {"age": (0,) * len(kept.features[2].counts)}
        rejected = tally.rejected | {"out_of_range bmi": 100}
        return Tally(tally.rows + 100, *_rest(tally), tuple(counts.values()), tally.probability, rejected)

    found = list(nights(kept, (without_ages(night_tally(random, kept, 1_000)) for _ in range(3))))
    assert list(map(_alarms, found)) == [set(), set(), {"missing age", "rejected_out_of_range bmi"}]
    psi = next(each for each in found[-1] if each.name == "psi age")
    assert (psi.value, psi.rows, psi.state) == (None, 0, State.INSUFFICIENT_DATA)


def test_where_all_rows_are_rejected_that_alarms_in_the_third_night() -> None:
    kept = reference(np.random.default_rng(16), 378)
    features = tuple((0,) * len(bins.counts) for bins in kept.features)
    none = Tally(300, 0, 0, 0.0, features, (0,) * len(kept.probability.counts), {"out_of_range bmi": 300})
    found = list(nights(kept, iter([none] * 3)))
    assert list(map(_alarms, found)) == [set(), set(), {"rejected_out_of_range bmi"}]
    states = {each.state for each in found[-1] if not each.figure.startswith("rejected")}
    assert states == {State.INSUFFICIENT_DATA}


def _rest(tally: Tally) -> tuple[int, int, float]:
    return tally.accepted, tally.positive, tally.expected


def test_without_a_reference_values_stand_beside_nothing() -> None:
    found = night_figures(NAMES, Tally(300, 290, 100, 250.0, rejected={"missing bmi": 10}), None, [])
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


def test_estimate_and_outcome_agree_without_drift_and_part_where_the_outcome_changes() -> None:
    random = np.random.default_rng(14)
    rows = rows_of(random, 2_000)
    probabilities = probabilities_of(rows)
    agree = []
    for changed in (probabilities, probabilities_of(rows_of(random, 2_000))):
        found = realised(probabilities, THRESHOLD, (random.random(2_000) < changed).astype(np.int8))
        estimate, accuracy = found.estimated_accuracy, found.accuracy
        agree.append(estimate.low <= accuracy.high and accuracy.low <= estimate.high)
    assert agree == [True, False]


def test_only_too_little_that_came_true_is_below_the_limit() -> None:
    random = np.random.default_rng(15)
    probabilities = random.random(400)
    outcomes = (probabilities > 0.5).astype(np.int8)
    states = []
    for known in (outcomes, 1 - outcomes, outcomes[:40]):
        found = realised(probabilities[: len(known)], 0.5, known)
        followed = followed_up(found.outcomes, 1_000)
        states.append([each.state for each in realised_figures(found, followed, Judged(75, 100)) if each.allowed])
    assert states == [[State.USUAL, State.USUAL], [State.ALERT, State.ALERT], []]
    found = realised(probabilities, 0.5, outcomes)
    (accuracy, *_, share) = realised_figures(found, followed_up(found.outcomes, 1_000), None)
    assert (accuracy.value, accuracy.allowed, share.value) == (1.0, None, 0.4)
