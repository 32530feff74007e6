"""Which counts may be shown: nobody can work out a small one from the others and the whole."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.statistics.disclosure import FEWEST_ROWS, few_together, merged, shown, shown_sizes


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"f": 40, "m": 30}, {"f": 40, "m": 30}),
        ({"m": 30, "f": 40}, {"m": 30, "f": 40}),
        ({"f": 40, "m": 30, "x": 9}, {"f": 40, "m, x": 39}),
        ({"f": 40, "m": 0, "x": 10}, {"f": 40, "x": 10}),
        ({"a": 3, "f": 40, "m": 30, "x": 2}, {"f": 40, "a, m, x": 35}),
        ({"a": 6, "f": 40, "m": 30, "x": 5}, {"f": 40, "m": 30, "a, x": 11}),
        ({"f": 40, "x": 9}, {"f, x": 49}),
        ({"a": 4, "b": 8, "a, b": 50, "c": 30}, {"a, b": 62, "c": 30}),
        ({"f": 9}, {"f": None}),
        ({}, {}),
    ],
)
def test_too_few_rows_of_a_group_are_told_together_with_the_next(
    sizes: dict[str, int], told: dict[str, int | None]
) -> None:
    rows = [name for name, size in sizes.items() for _ in range(size)]
    found = shown_sizes(pd.Series(pd.Categorical(rows, list(sizes))))
    assert list(found.items()) == list(told.items())  # in the order of the declaration


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6))
def test_of_no_groups_that_are_told_apart_fewer_than_ten_of_an_outcome_can_be_worked_out(
    counts: list[tuple[int, int]],
) -> None:
    outcomes = np.array([each for ones, zeros in counts for each in [1] * ones + [0] * zeros] or [])
    names = [str(n) for n, both in enumerate(counts) for _ in range(sum(both))]
    groups = pd.Series(pd.Categorical(names, [str(n) for n in range(len(counts))]))
    parts = few_together(groups, outcomes == 1, outcomes == 0)
    for name in parts.cat.categories:
        among = outcomes[parts == name]
        few = min((among == 1).sum(), (among == 0).sum()) < FEWEST_ROWS
        # What all groups have together is known.
        assert not few or len(among) == len(outcomes)
        assert name in groups.cat.categories or ", " in name
    assert sum((parts == name).sum() for name in parts.cat.categories) == len(outcomes)


@given(st.lists(st.integers(0, 40) | st.integers(0, 12), min_size=1, max_size=8))
def test_no_small_group_can_be_told_from_the_others_and_the_whole(sizes: list[int]) -> None:
    are_shown = shown(tuple(sizes))
    assert all(
        size >= FEWEST_ROWS for size, is_shown in zip(sizes, are_shown, strict=True) if is_shown
    )
    held_back = [
        size for size, is_shown in zip(sizes, are_shown, strict=True) if size and not is_shown
    ]
    # What somebody finds who takes all that is shown from the whole.
    left = sum(sizes) - sum(
        size for size, is_shown in zip(sizes, are_shown, strict=True) if is_shown
    )
    if any(is_shown for is_shown in are_shown):
        assert left == 0 or (left >= FEWEST_ROWS and len(held_back) >= 2)
    if all(size == 0 or size >= FEWEST_ROWS for size in sizes):
        assert not held_back


@pytest.mark.parametrize(
    ("sizes", "are_shown"),
    [
        ((9, 200), (False, False)),
        ((10, 200), (True, True)),
        ((3, 40, 200), (False, False, True)),
        ((3, 4, 200, 300), (False, False, False, True)),
        ((5, 6, 200, 300), (False, False, True, True)),
        ((0, 200), (False, True)),
        ((0, 0), (False, False)),
    ],
)
def test_a_group_is_held_back_with_a_small_one(
    sizes: tuple[int, ...], are_shown: tuple[bool, ...]
) -> None:
    assert shown(sizes) == are_shown


@given(st.lists(st.integers(0, 25), min_size=1, max_size=12), st.integers(1, 30))
def test_bounds_stay_where_enough_rows_lie_between_them(sizes: list[int], fewest: int) -> None:
    above = {float(n): sum(sizes[n:]) for n in range(len(sizes) + 1)}
    bounds = merged(list(above), above, fewest)
    assert (bounds[0], bounds[-1]) == (0.0, len(sizes))
    between = [above[low] - above[high] for low, high in pairwise(bounds)]
    assert sum(between) == sum(sizes)
    assert len(between) == 1 or min(between) >= fewest
