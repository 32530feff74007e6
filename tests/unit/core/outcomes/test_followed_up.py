"""Which days and weeks are followed up well enough to count."""

import pytest

from pima.core.nights.kinds import FOLLOWED_UP, State
from pima.core.outcomes.followed_up import (
    FollowedUp,
    FollowUp,
    by_horizon,
    by_prediction,
    figure_of_follow_up,
    figure_of_week,
    follow_up_in_words,
)

MONDAY = 7 * 3000 - 3
"""The first day of week 3000."""


def _weeks(*counts: tuple[int, int], is_finished: bool = True) -> tuple[FollowedUp, ...]:
    return tuple(
        FollowedUp(3000 - n, rows, outcomes, is_finished)
        for n, (rows, outcomes) in enumerate(counts)
    )


def _days(*outcomes: int, rows: int = 20, first: int = MONDAY) -> list[FollowedUp]:
    return [FollowedUp(first + n, rows, each) for n, each in enumerate(outcomes)]


def _left_out(days: list[FollowedUp], least: float = 0.9) -> list[int]:
    return sorted(day - MONDAY for day in by_horizon(days, least).days_left_out)


def _before(weeks: int, outcomes: int = 20) -> list[FollowedUp]:
    """Whole weeks before week 3000."""
    return _days(*[outcomes] * 7 * weeks, first=MONDAY - 7 * weeks)


@pytest.mark.parametrize(("outcomes", "left_out"), [(15, []), (14, [3])])
def test_a_day_is_left_out_where_its_share_is_clearly_below(
    outcomes: int, left_out: list[int]
) -> None:
    # Of 20 rows 18 are nine tenths, with a standard error of 1.34.
    assert _left_out(_days(20, 20, 20, outcomes, 20, 20, 20)) == left_out


@pytest.mark.parametrize(("last", "left_out"), [(16, []), (15, [0, 1, 2, 3, 4, 5, 6])])
def test_a_week_is_left_out_with_days_that_luck_might_explain(
    last: int, left_out: list[int]
) -> None:
    # Of 140 rows 126 are nine tenths, with a standard error of 3.55: 117.7 is the limit.
    week = _days(17, 17, 17, 17, 17, 17, last)
    assert _left_out([*_before(8), *week]) == left_out


def test_a_day_on_all_of_whose_rows_somebody_acted_has_none_and_goes_with_its_week() -> None:
    acted = FollowedUp(MONDAY + 1, 0, 0)
    found = by_horizon([*_before(1), *_days(0), acted, FollowedUp(MONDAY + 7, 0, 0)], 0.9)
    assert found.days_left_out == {MONDAY, MONDAY + 1}
    assert [(week.number, week.rows) for week in found.weeks] == [(3000, 20), (2999, 140)]


def test_this_morning_s_rows_leave_out_their_day_and_the_week_as_far_as_it_is_over() -> None:
    assert _left_out([*_before(1), *_days(20, 0)]) == [0, 1]
    assert _left_out([*_before(1), *_days(20, 20, 20, 20, 20, 20, 12)]) == [6]


def test_where_too_few_of_the_newest_weeks_that_remain_are_followed_up_nothing_counts() -> None:
    # Luck may explain each day and week, but not all of them.
    few = [*_before(20), *_days(*[17] * 7 * 26)]
    assert len(by_horizon(few, 0.9).days_left_out) == len(few)
    assert by_horizon(few, 0.85).days_left_out == frozenset()
    # Whole weeks that are lost make room for older ones.
    lost = [*_before(20), *_days(*[0] * 7 * 30)]
    assert len(by_horizon(lost, 0.9).days_left_out) == 7 * 30


def test_where_everything_is_followed_up_everything_counts() -> None:
    assert by_horizon([*_before(60), *_days(20, 1, rows=1)[:1]], 0.9).days_left_out == frozenset()
    assert by_horizon([], 0.9).days_left_out == frozenset()


def test_the_figure_alerts_where_nothing_counts_or_most_weeks_do_not() -> None:
    def state(days: list[FollowedUp]) -> str:
        (figure,) = figure_of_follow_up(by_horizon(days, 0.9))
        assert (figure.figure, figure.reference) == (FOLLOWED_UP, 0.9)
        return figure.state

    assert state(_before(30)) == State.USUAL
    assert state([*_before(15), *_days(*[0] * 7 * 12)]) == State.USUAL
    assert state([*_before(13), *_days(*[0] * 7 * 14)]) == State.ALERT
    assert state([*_before(20), *_days(*[17] * 7 * 26)]) == State.ALERT
    assert state(_days(0, 0)) == State.USUAL  # the first two days of a service
    assert list(figure_of_follow_up(by_prediction(_weeks((10, 1))))) == []


def test_it_is_said_what_each_share_would_leave_out() -> None:
    told = follow_up_in_words(by_horizon([*_before(9), *_days(14, 14, 14, 14, 14, 14, 14)], 0.9))
    assert told == (
        "1,358 of 1,400 rows whose horizon is over have an outcome, and of these "
        "outcome.least_followed_up = 0.9 leaves out 98 (0.9 leaves out 98, 0.8 leaves out 98, "
        "0.7 leaves out 0, 0.6 leaves out 0, 0.5 leaves out 0)"
    )


def test_without_a_horizon_weeks_below_nine_tenths_of_what_is_usual_are_left_out() -> None:
    def weeks_left_out(*counts: tuple[int, int]) -> set[int]:
        found = by_prediction(_weeks(*counts)).days_left_out
        assert len(found) % 7 == 0
        return {(day + 3) // 7 for day in found}

    whole = [(100, 100)] * 3
    assert weeks_left_out((100, 89), (100, 90), *whole, (10, 0)) == {3000, 2995}
    assert weeks_left_out((100, 81), (100, 90), (100, 90), (10, 8)) == {2997}


@pytest.mark.parametrize(
    ("counts", "usual", "is_of_few"),
    [
        ([], 1.0, False),
        ([(100, 5), (100, 80), (100, 84), (100, 88)], 0.84, False),
        ([(100, 5), (100, 40), (100, 49)], 0.40, True),
    ],
)
def test_what_is_usual_no_single_week_moves(
    counts: list[tuple[int, int]], usual: float, is_of_few: bool
) -> None:
    found = by_prediction(_weeks(*counts))
    assert (found.usual, found.is_of_few) == (usual, is_of_few)
    assert found.is_of_those_followed_up is is_of_few


def test_a_lower_share_is_said_to_be_of_those_followed_up() -> None:
    assert by_horizon([], 0.8).is_of_those_followed_up
    assert not by_horizon([], 0.9).is_of_those_followed_up


@pytest.mark.parametrize(
    ("newest", "state"),
    [((140, 133), State.USUAL), ((140, 100), State.ALERT), ((8, 7), State.USUAL)],
)
def test_a_finished_week_alerts_if_clearly_fewer_are_followed_up_than_before(
    newest: tuple[int, int], state: State
) -> None:
    running = _weeks((140, 0), is_finished=False)
    (found,) = figure_of_week(FollowUp(running + _weeks(newest, (140, 138), (140, 135))))
    assert (found.state, found.rows) == (state, newest[0])
    assert list(figure_of_week(FollowUp(running + _weeks(newest)))) == []


def test_a_week_is_finished_once_all_its_rows_have_been_due_for_a_week() -> None:
    days = [*_before(2), *_days(20)]
    for this_week, finished in ((3000, 1), (3001, 2), (3002, 3)):
        weeks = by_horizon(days, 0.9, this_week).weeks
        assert sum(week.is_finished for week in weeks) == finished
