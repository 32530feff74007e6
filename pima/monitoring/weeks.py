"""Outcomes beside predictions, by the week in which they came."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from pima.store.report_figures import CameTrue

Rule = Callable[[tuple[int, ...]], tuple[bool, ...]]
"""Of sizes, which of them may be shown: `pima.core.subgroups.shown`, which brings numpy."""


def by_monday(found: Iterable[CameTrue], rule: Rule) -> list[tuple[date, list[CameTrue], bool]]:
    """Of outcomes newest first, the weeks in which there were any, from Monday to Sunday in UTC, and whether each may
    be shown: the share of all outcomes is known, so a small week could be told by the others."""
    weeks = [(monday, list(each)) for monday, each in groupby(found, lambda one: monday_of(one.labelled_at))]
    # Of two equally large ones the rule holds back the first: so the older.
    are_shown = reversed(rule(tuple(len(each) for _, each in reversed(weeks))))
    return [(*week, is_shown) for week, is_shown in zip(weeks, are_shown, strict=True)]


def monday_of(moment: datetime) -> date:
    """The Monday of its week, in UTC."""
    day = moment.date()
    return day - timedelta(days=day.weekday())


def accuracy_of_weeks(found: Iterable[CameTrue], rule: Rule) -> list[dict[str, Any]]:
    """Of each week how many predictions came true; None where that may not be shown."""
    return [_week(*week) for week in by_monday(found, rule)]


def _week(monday: date, found: list[CameTrue], is_shown: bool) -> dict[str, Any]:
    correct = sum(each.predicted_class == each.outcome for each in found)
    return {
        "monday": monday,
        "outcomes": len(found),
        "correct": correct if is_shown else None,
        "accuracy": correct / len(found) if is_shown else None,
    }
