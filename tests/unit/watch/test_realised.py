"""Which weeks of a version may be shown."""

from dataclasses import replace
from datetime import UTC, date, datetime

from pima.core.nights.kinds import State
from pima.core.outcomes.followed_up import FollowUp
from pima.core.outcomes.realised import CameTrue
from pima.core.rows.hindsight import Corrections
from pima.store.rows.settled import SettledOutcome, SettledOutcomes
from pima.watch.realised import figure_of_corrections, on_top
from pima.watch.weeks import told_weeks

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (2, 9, 16))


def test_a_small_week_is_not_told_by_the_others_of_its_version() -> None:
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40}) == set()
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 8, (THIRD, 1): 40}) == {(THIRD, 1)}
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40, (THIRD, 1): 50}) == {(THIRD, 1)}


def test_each_version_is_told_by_itself() -> None:
    assert told_weeks({(FIRST, 1): 10, (FIRST, 2): 3}) == {(FIRST, 1)}
    assert told_weeks({}) == set()


def _outcomes(version: int, rows: int) -> list[SettledOutcome]:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return [SettledOutcome(at, 1, 1, 0.9, version, 0.5, at, at, True, None)] * rows


def _on_top(found: list[SettledOutcome], champion: int | None) -> CameTrue:
    told = on_top(SettledOutcomes(found, [], None, FollowUp()), champion, {})
    assert told is not None
    return told


def test_until_the_champion_has_enough_outcomes_the_newest_version_that_has_is_told() -> None:
    before = [*_outcomes(1, 40), *_outcomes(2, 10)]
    found = _on_top([*before, *_outcomes(3, 9)], 3)
    assert (found.version, found.outcomes) == (2, 10)
    assert _on_top([*before, *_outcomes(3, 10)], 3).version == 3
    # A champion of old has been put back.
    assert _on_top(before, 1).version == 1
    assert _on_top(_outcomes(2, 9), 3).version == 2
    assert _on_top(_outcomes(2, 9), None).version == 2


def test_corrections_alarm_where_they_follow_the_outcome() -> None:
    corrected = Corrections(ones=82, of_ones=114, of_zeros=1_495, expected=6, variance=5)
    (alarm,) = figure_of_corrections(corrected)
    assert (alarm.state, alarm.value, alarm.rows) == (State.ALERT, 82 / 114, 1_609)
    (usual,) = figure_of_corrections(replace(corrected, ones=9))
    assert usual.state == State.USUAL
    assert list(figure_of_corrections(Corrections())) == []
