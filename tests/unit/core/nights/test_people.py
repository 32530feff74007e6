"""Who people are, told by counts in bins."""

import numpy as np
import pytest

from pima.core.declared.features import Feature
from pima.core.nights.bins import Bins, category_bins, counts_in, number_bins
from pima.core.nights.people import described, inputs_of

AGE = Feature("age", unit="years", low=0, high=120)
SEX = Feature("sex", kind="category", codes={0: "female", 1: "male", 2: "diverse"})


def test_a_number_has_its_median_and_quartiles_to_a_bin_and_who_lacks_it() -> None:
    draw = np.random.default_rng(7)
    learned = draw.normal(50, 10, 2_000).astype(np.float32)
    judged = draw.normal(60, 10, 400).astype(np.float32)
    judged[:40] = np.nan
    bins = number_bins(learned)
    told = described(AGE, bins, counts_in(bins, judged), len(judged))
    figures, missing = told.split("; ")
    assert missing == "missing: 10 %"
    middle, low, *_ = figures.replace("(", "").split()
    exact = np.nanquantile(judged, (0.5, 0.25))
    assert np.abs(np.array([float(middle), float(low)]) - exact).max() < 1.5
    # A fifth and more lies above the last decile of those learned from: its end is not known.
    assert figures.endswith(f" to {bins.edges[-1]:.3g} and over)")


def test_each_input_is_told_by_its_name_in_the_bins_of_those_learned_from() -> None:
    rows = np.array([[20, 0], [80, 1]] * 60, dtype=np.float32)
    learned = (number_bins(np.arange(120, dtype=np.float32)), category_bins(rows[:, 1], (0, 1)))
    told = dict(inputs_of((AGE, SEX), learned, rows))
    counts = [counts_in(bins, rows[:, n]) for n, bins in enumerate(learned)]
    assert told == {
        "age": described(AGE, learned[0], counts[0], 120),
        "sex": "female 50 %, male 50 %; missing: none",
    }


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((10, 80, 10), "50 (43.8 to 56.2)"),
        ((50, 40, 10), "under 40 (under 40 to 52.5)"),
        ((10, 20, 70), "60 and over (55 to 60 and over)"),
    ],
)
def test_a_quartile_is_read_off_within_its_bin_and_outer_bins_have_no_end(
    counts: tuple[int, ...], told: str
) -> None:
    found = described(AGE, Bins((1, 1, 1), edges=(40, 60)), counts, 100)
    assert found == f"{told}; missing: none"


@pytest.mark.parametrize(
    ("counts", "rows", "told"),
    [
        ((61, 39), 100, "female 61 %, male 39 %; missing: none"),
        ((61, 39), 103, "female 61 %, male 39 %; missing: fewer than 10"),
        ((50, 30), 100, "female 62 %, male 38 %; missing: 20 %"),
        # The other one could be worked out from the one that is told.
        ((91, 9), 100, "the rest not told; missing: none"),
        ((5, 4), 90, "fewer than 10 known"),
    ],
)
def test_a_category_has_shares_and_none_of_fewer_than_ten(
    counts: tuple[int, int], rows: int, told: str
) -> None:
    assert described(SEX, Bins((60, 40), codes=(0, 1)), (*counts, 0), rows) == told


def test_rare_codes_are_told_together() -> None:
    column = np.repeat(np.array([0, 1, 2], dtype=np.float32), (100, 80, 20))
    bins = category_bins(column, (0, 1))
    told = described(SEX, bins, counts_in(bins, column), len(column))
    assert told == "female 50 %, male 40 %, others 10 %; missing: none"


def test_rows_that_are_all_alike_have_no_quartiles_to_tell() -> None:
    column = np.full(30, 4, dtype=np.float32)
    bins = number_bins(column)
    told = described(AGE, bins, counts_in(bins, column), len(column))
    assert told == "about the same in all; missing: none"
