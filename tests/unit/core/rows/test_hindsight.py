"""Rows that were corrected after their prediction: whether that follows the outcome, and the history
with the values that were predicted on."""

import math
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from pima.core.rows.hindsight import Corrections, by_risk, corrections, corrections_in_words
from pima.core.rows.history import Split, as_predicted_on, split, unseen_by
from tests.support.labelled import as_learned, in_holdout, labelled
from tests.support.shipped import FEATURE_NAMES, FEATURES, SALT, SOUND


def _rows(
    probability: float, ones: tuple[int, int], zeros: tuple[int, int], watched: int = 40
) -> pd.DataFrame:
    """Rows of one risk, and how many of them were corrected, all on the ninth day."""
    of_zeros, corrected_zeros = zeros
    of_ones, corrected_ones = ones
    numbers = (
        corrected_zeros,
        of_zeros - corrected_zeros,
        corrected_ones,
        of_ones - corrected_ones,
    )
    return pd.DataFrame(
        {
            "outcome": np.repeat([0, 0, 1, 1], numbers),
            "corrected": np.repeat([True, False, True, False], numbers),
            "days": np.repeat([9, watched, 9, watched], numbers),
            "probability": probability,
        }
    )


def _compared(zeros: int, of_zeros: int, ones: int, of_ones: int) -> Corrections:
    """Rows of one risk that were all corrected on one day, if at all."""
    return by_risk(_rows(0.3, ones=(of_ones, ones), zeros=(of_zeros, zeros)))


@pytest.mark.parametrize(
    ("found", "alarms"),
    [
        (_compared(ones=82, of_ones=114, zeros=0, of_zeros=1_495), True),
        (_compared(ones=1, of_ones=87, zeros=2, of_zeros=1_152), False),  # as in honest clinics
        (_compared(ones=9, of_ones=9, zeros=0, of_zeros=1_495), False),  # few
        (_compared(ones=60, of_ones=114, zeros=500, of_zeros=1_495), False),  # zeros, too
        (_compared(ones=2_000, of_ones=100_000, zeros=11_000, of_zeros=1_000_000), False),
        (_compared(ones=10, of_ones=200, zeros=20, of_zeros=1_000), False),  # luck
        (Corrections(), False),
    ],
)
def test_it_alarms_where_ones_are_corrected_and_zeros_are_not(
    found: Corrections, alarms: bool
) -> None:
    assert found.follow_outcome == alarms


def test_luck_does_not_alarm() -> None:
    """By Fisher's exact test, in whole numbers."""
    for ones, zeros, of_ones, of_zeros in product(range(10, 20), range(6), (20, 60), (50, 400)):
        corrected = ones + zeros
        as_many = (
            math.comb(of_ones, n) * math.comb(of_zeros, corrected - n)
            for n in range(ones, min(of_ones, corrected) + 1)
        )
        luck = sum(as_many) / math.comb(of_ones + of_zeros, corrected)
        if _compared(zeros, of_zeros, ones, of_ones).follow_outcome:
            assert luck < 1e-5
        elif luck < 1e-10:
            assert ones * of_zeros <= 2 * zeros * of_ones


def test_ones_are_compared_with_zeros_of_the_same_risk() -> None:
    """As often corrected as these, though in all far more often."""
    high = _rows(0.8, ones=(500, 200), zeros=(250, 100))
    low = _rows(0.1, ones=(100, 1), zeros=(2_900, 29))
    found = by_risk(pd.concat([high, low]))
    assert found.ones / found.of_ones > 8 * found.zeros / found.of_zeros
    assert found.expected == pytest.approx(found.ones)
    assert not found.follow_outcome


def test_risks_are_cut_into_fifths_of_as_many_rows() -> None:
    """Of each of them one of two is a one, and corrected: half of a correction was to be expected."""
    fifths = [
        _rows(risk / 10, ones=(n, n), zeros=(1 - n, 0)) for risk in range(10) for n in [risk % 2]
    ]
    assert by_risk(pd.concat(fifths)).expected == 2.5


def test_ones_are_compared_with_zeros_as_many_days_after_the_prediction() -> None:
    """Who was predicted of late can't have been corrected that late, and more of them are zeros."""
    long_ago = _rows(0.5, ones=(400, 120), zeros=(100, 30))
    of_late = _rows(0.5, ones=(100, 0), zeros=(400, 0), watched=5)
    found = by_risk(pd.concat([long_ago, of_late]))
    assert found.expected == pytest.approx(found.ones)
    assert not found.follow_outcome


def test_it_is_said_in_words() -> None:
    assert corrections_in_words(None) == "not counted"
    corrected = Corrections(zeros=3, of_zeros=1_495, ones=82, of_ones=114, not_kept=7)
    told = corrections_in_words(asdict(corrected))
    assert told == (
        "82 of 114 rows with outcome 1, 3 of 1,495 with outcome 0 (settled in half a year); "
        "7 of all whose values then are not kept"
    )
    of_an_earlier_version = asdict(corrected)
    del of_an_earlier_version["expected"], of_an_earlier_version["variance"]
    assert corrections_in_words(of_an_earlier_version) == told


def _history(rows: int) -> pd.DataFrame:
    """Labelled rows that all differ in one measurement."""
    values = np.tile(np.array(list(SOUND.values()), dtype=np.float64), (rows, 1))
    values[:, 1] = np.arange(rows) / 8 + 50
    return labelled(values, np.arange(rows) % 2, SALT, 0.30)


def _then(glucose: dict[int, float]) -> pd.DataFrame:
    values = pd.DataFrame([SOUND] * len(glucose), list(glucose), list(FEATURE_NAMES), dtype=float)
    return values.assign(glucose=list(glucose.values())).astype(float)


def test_rows_have_the_values_that_they_were_predicted_on() -> None:
    history = _history(6)
    before = history.copy()
    history.loc[3, "glucose"] = np.nan
    then = _then({2: 90, 3: np.nan, 4: np.inf, 99: 70})
    found, today = as_predicted_on(history, then)
    assert found["glucose"].tolist()[1:4:2] == [90, math.inf]
    assert today.index.tolist() == [2, 4]  # nothing is what it was in both
    assert today["glucose"].tolist() == [50.125, 50.375]
    assert history["glucose"].tolist()[:2] == before["glucose"].tolist()[:2]
    unchanged, nobody = as_predicted_on(before, _then({}))
    assert unchanged is before
    assert nobody.empty


def test_where_nobody_could_be_corrected_no_share_is_told() -> None:
    told = corrections_in_words(asdict(Corrections(not_kept=3)))
    nobody = "no row was predicted before its outcome (settled in half a year)"
    assert told == f"{nobody}; 3 of all whose values then are not kept"


def test_corrected_rows_that_settled_of_late_are_counted_by_outcome() -> None:
    history, today = as_predicted_on(_history(9), _then({1: 90, 3: 90, 5: 90, 7: 90, 8: 90}))
    today.loc[7, list(FEATURE_NAMES)] = history.loc[7, list(FEATURE_NAMES)]  # another column
    since = history.loc[1, "Over"]
    was = {"probability": 0.3, "predicted": 9.1, "replaced": 4.6}
    in_time = pd.DataFrame(was, index=[1, 2, 3, 4, 5, 7, 8, 99])
    found = corrections(history, today, FEATURE_NAMES, in_time, since, pd.Index([6, 99]))
    counted = Corrections(zeros=2, of_zeros=3, ones=1, of_ones=3, not_kept=1)
    assert replace(found, expected=0, variance=0) == counted
    # On the day of the corrections half of the rows are ones.
    assert found.expected == 1.5


@pytest.mark.parametrize("corrected", ["training", "holdout"])
def test_a_row_is_a_twin_by_both_its_values(corrected: str) -> None:
    history = _history(200)
    held = in_holdout(history.index.to_numpy(), SALT, 0.30)
    learned, judge = history.index[~held][0], history.index[held][0]
    row, other = (learned, judge) if corrected == "training" else (judge, learned)
    own, twin = history.loc[[row, other], "glucose"]
    names = list(FEATURE_NAMES)

    def parted(then: float, today: float) -> Split:
        standing = history.copy()
        standing.loc[row, "glucose"] = today
        values = standing.loc[[row], names].assign(glucose=then)
        found, as_it_stands = as_predicted_on(standing, values)
        return split(found, FEATURES, today=as_it_stands)

    apart = parted(then=own, today=600)
    assert apart.left_out == {}
    for twins in (parted(then=twin, today=own), parted(then=own, today=twin)):
        assert twins.left_out == {"twin_of_holdout": 1}
        # Nor does such a row judge a version that has learned from the other one.
        version = as_learned(apart.training.loc[[learned]]).rename(index={learned: 999})
        version["glucose"] = np.float32(history.loc[learned, "glucose"])
        if corrected == "holdout":
            unseen = unseen_by(version, twins.holdout, today=twins.today)
            assert unseen.tolist() == [each != judge for each in twins.holdout.index]
