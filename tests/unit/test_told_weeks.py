"""Which weeks of a version may be shown."""

from datetime import date

from pima.watch.realised import told_weeks

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (2, 9, 16))


def test_a_small_week_is_not_told_by_the_others_of_its_version() -> None:
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40}) == set()
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 8, (THIRD, 1): 40}) == {(THIRD, 1)}
    assert told_weeks({(FIRST, 1): 3, (SECOND, 1): 40, (THIRD, 1): 50}) == {(THIRD, 1)}


def test_each_version_is_told_by_itself() -> None:
    assert told_weeks({(FIRST, 1): 10, (FIRST, 2): 3}) == {(FIRST, 1)}
    assert told_weeks({}) == set()
