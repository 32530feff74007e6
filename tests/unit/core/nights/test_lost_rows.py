"""When a source has lost more than is usual there."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from pima.core.nights.lost_rows import DAYS_BACK, LostOfDay, beyond_usual

FIRST = 20_458


def _days(lost: Iterable[int], apart: int = 1) -> list[LostOfDay]:
    return [LostOfDay(FIRST + apart * place, rows, 0, 0) for place, rows in enumerate(lost)]


@pytest.mark.parametrize(
    ("lost", "is_told"),
    [
        ([0] * 20 + [11], True),
        ([0] * 20 + [10], False),
        ([0] * 5 + [87] + [0] * 14 + [40], True),  # one accident is not usual
        ([0] * 5 + [87, 87] + [0] * 14 + [40], False),
        ([0] * 14 + [40], False),  # too young to know
        ([40], False),
        ([0] * 20 + [40] + [0] * 6, True),
        ([0] * 20 + [40] + [0] * 7, False),  # a week later
    ],
)
def test_what_is_far_more_than_usual_is_told_for_a_week(lost: list[int], is_told: bool) -> None:
    days = _days(lost)
    assert bool(beyond_usual(days, days[-1].day)) is is_told


def test_who_clears_up_each_month_is_told_of_the_first_two_alone() -> None:
    days = _days([40 if place % 31 == 30 else 0 for place in range(200)])
    told = [
        place
        for place, each in enumerate(days)
        if beyond_usual(days[max(0, place - DAYS_BACK) : place + 1], each.day)
    ]
    assert told == [*range(30, 37), *range(61, 68)]


def test_rows_and_outcomes_count_together_and_what_goes_later_is_told_with_them() -> None:
    days = [*_days([0] * 20), LostOfDay(FIRST + 20, 6, 5, 0), LostOfDay(FIRST + 21, 1, 0, 12)]
    assert beyond_usual(days, days[-1].day) == days[20:]
    assert beyond_usual([*days[:20], days[20]._replace(cleared=4)], FIRST + 20) == ()


@pytest.mark.parametrize("apart", [1, 7])
@pytest.mark.parametrize(
    ("draw", "most"),
    [
        *((lambda random, _, mean=mean: random.poisson(mean), 0) for mean in (0.1, 1, 5, 30, 200)),
        (lambda random, day: random.poisson(40 if day % 7 == 0 else 1), 0),
        # As in bursts: deviations of 4.6, 10 and 22.
        (lambda random, _: random.negative_binomial(0.5, 0.5 / 3.5), 2),
        (lambda random, _: random.negative_binomial(1, 1 / 11), 2),
        (lambda random, _: random.negative_binomial(2, 2 / 32), 2),
    ],
)
def test_a_steady_source_is_hardly_ever_told_in_half_a_year(
    draw: Callable[[np.random.Generator, int], int], most: int, apart: int, at_length: bool
) -> None:
    told = 0
    for seed in range(20 if at_length else 4):
        random = np.random.default_rng(seed)
        days = _days((int(draw(random, apart * place)) for place in range(180 // apart)), apart)
        for place, each in enumerate(days):
            since = max(0, place - DAYS_BACK // apart)
            told += bool(beyond_usual(days[since : place + 1], each.day))
    # Each message stands for a week.
    assert told <= most * 7
