"""How long the newest figure of a kind counts, by whose it is."""

import pytest

from pima.core.nights.kinds import (
    ALARMS,
    FOLLOWED_UP,
    GAIN_ON_LINE,
    OUTCOME_ALARMS,
    ROWS_OF_NIGHT,
    State,
    Watched,
    counts,
)


@pytest.mark.parametrize(
    ("figure", "state", "lately", "holds"),
    [
        ("psi", State.ALERT, {2}, True),
        ("psi", State.ALERT, {3}, False),
        ("psi", State.USUAL, set(), True),
        (ROWS_OF_NIGHT, State.ALERT, set(), True),
        (FOLLOWED_UP, State.ALERT, set(), True),
        (OUTCOME_ALARMS[0], State.ALERT, {3}, True),
        (OUTCOME_ALARMS[0], State.ALERT, set(), False),
        (GAIN_ON_LINE, State.ALERT, {2}, True),
        (GAIN_ON_LINE, State.ALERT, {3}, False),
        (GAIN_ON_LINE, State.USUAL, set(), True),
    ],
)
def test_an_alarm_is_over_once_whoever_it_is_told_of_is_silent(
    figure: str, state: State, lately: set[int], holds: bool
) -> None:
    assert counts(Watched("", figure, 0.3, 60, state=state), 2, 2, lately) is holds


@pytest.mark.parametrize("champion", [3, None])
def test_a_champion_s_figure_is_over_with_another_champion(champion: int | None) -> None:
    figure = Watched("", GAIN_ON_LINE, 0.3, 60)
    assert not counts(figure, 2, champion, {2})
    assert counts(Watched("", "psi", 0.3, 60), 2, champion, set())


def test_each_alarm_has_its_words() -> None:
    assert all(each.means and each.advice for each in ALARMS.values())


def test_states_are_stored_under_these_names() -> None:
    assert [*State] == ["usual", "alert", "insufficient_data", "no_reference"]
