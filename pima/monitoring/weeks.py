"""Outcomes beside predictions, by the week in which they came."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from pima.store.report_figures import CameTrue


def by_monday(found: Iterable[CameTrue]) -> Iterator[tuple[date, list[CameTrue]]]:
    """Of outcomes in the order of their times, the weeks in which there were any, from Monday to Sunday in UTC."""
    for monday, each in groupby(found, lambda one: _monday(one.labelled_at.date())):
        yield monday, list(each)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def accuracy_of_weeks(found: Iterable[CameTrue], fewest: int) -> list[dict[str, Any]]:
    """Of each week how many predictions came true; None where its outcomes are fewer than may be shown."""
    return [_week(monday, each, len(each) >= fewest) for monday, each in by_monday(found)]


def _week(monday: date, found: list[CameTrue], is_shown: bool) -> dict[str, Any]:
    correct = sum(each.predicted_class == each.outcome for each in found)
    return {
        "monday": monday,
        "outcomes": len(found),
        "correct": correct if is_shown else None,
        "accuracy": correct / len(found) if is_shown else None,
    }
