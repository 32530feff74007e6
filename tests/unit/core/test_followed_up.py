"""Which weeks are followed up well enough to be in figures."""

import pytest

from pima.core.followed_up import FollowUp, WeekFollowedUp, usual_share
from pima.core.realised import figure_of_week
from pima.core.watched import State


def _weeks(*counts: tuple[int, int], is_finished: bool = True) -> tuple[WeekFollowedUp, ...]:
    return tuple(
        WeekFollowedUp(3000 - n, rows, outcomes, is_finished)
        for n, (rows, outcomes) in enumerate(counts)
    )


def test_figures_leave_out_weeks_below_nine_tenths_of_what_is_expected() -> None:
    weeks = _weeks((100, 89), (100, 90), (100, 100), (10, 0))
    assert FollowUp(weeks, 1.0).left_out == {3000, 2997}
    assert FollowUp(weeks, 0.9).left_out == {2997}


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
    weeks = _weeks(*counts)
    assert usual_share(weeks) == usual
    assert FollowUp(weeks, usual).is_of_few is is_of_few


@pytest.mark.parametrize(
    ("newest", "state"),
    [((140, 133), State.USUAL), ((140, 100), State.ALERT), ((8, 7), State.USUAL)],
)
def test_a_finished_week_alerts_if_clearly_fewer_are_followed_up_than_before(
    newest: tuple[int, int], state: State
) -> None:
    running = _weeks((140, 0), is_finished=False)
    (found,) = figure_of_week(FollowUp(running + _weeks(newest, (140, 138), (140, 135)), 1.0))
    assert (found.state, found.rows) == (state, newest[0])
    assert list(figure_of_week(FollowUp(running + _weeks(newest), 1.0))) == []
