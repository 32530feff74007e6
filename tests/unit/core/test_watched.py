"""What a year of nights alarms of: by luck, of a change that stays, and of one odd night."""

import numpy as np
import pytest

from pima.core.drift import (
    Tally,
)
from pima.core.features import names_of
from pima.core.watched import State, Watched, alerts
from tests.support.simulated_nights import (
    FEATURES,
    night_tally,
    nights,
    reference,
)

NAMES = names_of(FEATURES)


def _alarms(found: tuple[Watched, ...]) -> set[str]:
    return {each.name for each in found if each.state == State.ALERT}


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
