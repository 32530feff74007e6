"""Predictions compared with outcomes by week: that of the outcome, and for each version that of the
prediction. Small weeks are not shown, nor any from which one could be worked out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from pima.core.nights.drift import expected_accuracy
from pima.core.outcomes.realised import CameTrue, came_true, followed_up
from pima.core.outcomes.served import Served
from pima.core.statistics.disclosure import FEWEST_ROWS, shown
from pima.core.statistics.estimates import Estimate, proportion
from pima.core.statistics.samples import NO_CASES
from pima.runs.recorded_run import HIDDEN
from pima.store.engine import clock
from pima.store.rows.settled import (
    SettledOutcome,
    SettledOutcomes,
    columns_of,
)
from pima.store.rows.settling import start_of_week
from pima.store.service.tallies import tallies_since

_A_WEEK = timedelta(weeks=1)
_Key = tuple[date, int]
"""The Monday of a week, and a version."""


@dataclass(frozen=True, slots=True)
class Week:
    """The outcomes whose horizon ended in one week, or without one those that became known in it,
    and that had a prediction before. All but their number is None if the week may not be shown."""

    monday: date
    """The week's Monday, in UTC."""
    outcomes: int
    correct: int | None = None
    """Predictions that came true."""
    accuracy: float | None = None
    share: Estimate | None = field(default=None, metadata=HIDDEN)
    """The accuracy with its interval."""
    predicted: float | None = field(default=None, metadata=HIDDEN)
    observed: float | None = field(default=None, metadata=HIDDEN)
    """The share of outcome 1, which is close to `predicted` if the probabilities hold."""


def by_week(found: Served) -> Iterator[Week]:
    """Tell of served predictions by week, newest first, from Monday to Sunday in UTC.

    The share of all outcomes is known, so a small week could be derived from the others; it is not
    shown.
    """
    outcomes = found.outcomes_by(found.week)
    mondays = {week: start_of_week(week).date() for week, rows in outcomes.items() if rows}
    told = told_weeks({(mondays[week], 0): outcomes[week] for week in mondays})
    for number, monday in reversed(mondays.items()):
        rows = outcomes[number]
        week = Week(monday, rows)
        if (monday, 0) in told:
            its_own = found.only(found.week == number)
            accuracy = proportion(its_own.correct, rows, NO_CASES)
            week = Week(
                monday=monday,
                outcomes=rows,
                correct=its_own.correct,
                accuracy=accuracy.value,
                share=accuracy,
                predicted=float(its_own.expected.sum()) / rows,
                observed=int(its_own.ones.sum()) / rows,
            )
        yield week


def monday_of(moment: datetime) -> date:
    """The Monday of a moment's week, in UTC."""
    day = moment.date()
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True)
class VersionWeek:
    """One version's predictions of one week."""

    monday: date
    """The Monday of the week in which the runs that made them began, in UTC."""
    version: int
    predictions: int
    outcomes: int
    followed_up: Estimate
    """The share of predictions with an outcome. If it is small, the choice of whom to follow up
    biases the result."""
    estimated_accuracy: Estimate
    """The accuracy of all the predictions, if the probabilities hold."""
    realised: CameTrue | None
    """The figures of those with an outcome; None if these are too few to show, or could be derived
    from other weeks."""


def version_weeks(
    connection: Connection, settled: SettledOutcomes, weeks: int
) -> list[VersionWeek]:
    """Judge the last `weeks` weeks with predictions, newest first, by what has settled."""
    came = _by_version_week(settled.in_time)
    left_out = _by_version_week([*settled.left_out, *(settled.acted_upon or ())])
    told = told_weeks({key: len(each) for key, each in came.items()})
    found = []
    for (monday, version), (predictions, expected) in sorted(
        _predicted(connection, weeks).items(), reverse=True
    ):
        judged = came.get((monday, version), [])
        outcomes = judged + left_out.get((monday, version), [])
        is_whole = settled.since is None or monday > settled.since.date()
        if settled.over_by is not None and monday + _A_WEEK > settled.over_by.date():
            is_whole = False
        estimated = Estimate(None)
        if predictions >= FEWEST_ROWS:
            estimated = expected_accuracy(expected, predictions)
        realised = None
        if (monday, version) in told:
            realised = came_true(*columns_of(judged))
        found.append(
            VersionWeek(
                monday=monday,
                version=version,
                predictions=predictions,
                outcomes=len(outcomes),
                followed_up=followed_up(
                    sum(each.has_tally for each in outcomes), predictions if is_whole else None
                ),
                estimated_accuracy=estimated,
                realised=realised,
            )
        )
    return found


def _by_version_week(
    outcomes: Iterable[SettledOutcome],
) -> dict[_Key, list[SettledOutcome]]:
    found = defaultdict(list)
    for each in outcomes:
        found[monday_of(each.run_began or each.scored_at), each.model_version].append(each)
    return found


def told_weeks(outcomes: Mapping[_Key, int]) -> set[_Key]:
    """Pick the weeks that may be shown, by the number of outcomes for each week and version. A
    version's weeks add up to its figures, so a small week could be derived from the others."""
    told: set[_Key] = set()
    for version in {version for _, version in outcomes}:
        weeks = [key for key in sorted(outcomes) if key[1] == version]
        are_shown = shown(tuple(outcomes[key] for key in weeks))
        told.update(key for key, is_shown in zip(weeks, are_shown, strict=True) if is_shown)
    return told


def _predicted(connection: Connection, weeks: int) -> dict[_Key, tuple[int, float]]:
    """Count predictions by week and version, and how many of them are correct if the probabilities
    hold."""
    this_monday = datetime.combine(monday_of(clock(connection)), time(), UTC)
    found: dict[_Key, tuple[int, float]] = {}
    for version, began, tally in tallies_since(
        connection, this_monday - timedelta(weeks=weeks - 1)
    ):
        key = (monday_of(began), version)
        rows, expected = found.get(key, (0, 0.0))
        found[key] = (rows + tally.accepted, expected + tally.expected)
    return found
