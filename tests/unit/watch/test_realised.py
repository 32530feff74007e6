"""Which weeks of a version may be shown."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from pima.core.nights.kinds import State
from pima.core.outcomes.followed_up import FollowUp
from pima.core.rows.hindsight import Corrections
from pima.store.rows.settled import SettledOutcomes
from pima.watch.realised import AsServed, figure_of_corrections, on_top
from pima.watch.weeks import told_weeks
from tests.support.served import MONDAY, counts_of

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (2, 9, 16))


def test_a_small_week_is_not_told_by_the_others_of_its_version() -> None:
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40}) == set()
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 8, (THIRD, 1): 40}) == {(THIRD, 1)}
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40, (THIRD, 1): 50}) == {(THIRD, 1)}


def test_each_version_is_told_by_itself() -> None:
    assert told_weeks({(FIRST, 1): 10, (FIRST, 2): 3}) == {(FIRST, 1)}
    assert told_weeks({}) == set()


def _on_top(weeks: list[int], rows: list[int], versions: list[int]) -> AsServed:
    """Told this Monday, of weeks back from now on; every other outcome is 1."""
    days = np.repeat(MONDAY - 7 * np.array(weeks), rows)
    outcomes = np.arange(len(days)) % 2
    counts = counts_of([0.5] * len(days), outcomes, days, np.repeat(versions, rows))
    found = SettledOutcomes([], [], None, FollowUp(), counts)
    told = on_top(found, datetime(2026, 11, 30, 1, tzinfo=UTC), {})
    assert told is not None
    return told


def test_on_top_stand_all_versions_of_the_last_whole_weeks() -> None:
    found = _on_top([0, 1, 8, 9, 26, 27], [40, 30, 20, 50, 60, 70], [3, 3, 2, 1, 1, 1])
    assert (found.every.outcomes, found.every.version) == (160, None)
    assert found.lately is not None
    assert found.lately.outcomes == 50
    assert (found.since, found.until) == (date(2026, 6, 1), date(2026, 11, 30))
    each = [(version.version, version.outcomes) for version in found.by_version]
    assert each == [(3, 30), (2, 20), (1, 110)]


def test_until_whole_weeks_have_enough_the_week_that_runs_is_told_with_them() -> None:
    assert _on_top([0, 1], [40, 9], [1, 1]).every.outcomes == 49
    assert _on_top([0, 1], [40, 10], [1, 1]).every.outcomes == 10


def test_nothing_of_few_outcomes_can_be_worked_out_from_what_stands_on_top() -> None:
    # All weeks less the last ones would be nine outcomes.
    assert _on_top([1, 9], [40, 9], [1, 1]).lately is None
    found = _on_top([1, 1, 1], [9, 20, 50], [3, 2, 1])
    assert [bool(each.figures) for each in found.by_version] == [False, False, True]


def test_corrections_alarm_where_they_follow_the_outcome() -> None:
    corrected = Corrections(ones=82, of_ones=114, of_zeros=1_495, expected=6, variance=5)
    (alarm,) = figure_of_corrections(corrected)
    assert (alarm.state, alarm.value, alarm.rows) == (State.ALERT, 82 / 114, 1_609)
    (usual,) = figure_of_corrections(replace(corrected, ones=9))
    assert usual.state == State.USUAL
    assert list(figure_of_corrections(Corrections())) == []
