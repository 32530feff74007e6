"""Predictions that came true: by the week of the outcome, by version and the week of the prediction, and as figures
of each version that are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.drift import expected_accuracy
from pima.core.figures import FEWEST_ROWS, NO_CASES, Figure, share, shown
from pima.core.realised import Realised, followed_up, realised, realised_figures
from pima.core.watched import Watched
from pima.runs.recorded_run import never_failing
from pima.store import registry, report_figures
from pima.store.engine import clock, reading, writing
from pima.store.monitoring import keep_figures, tallies_since
from pima.store.report_figures import CameTrue

NEWEST_OUTCOMES = 10_000


@dataclass(frozen=True, slots=True)
class Week:
    """The outcomes that came in one week for which there was a prediction before."""

    monday: date
    """The week's, in UTC."""
    outcomes: int
    correct: int | None
    """Predictions that came true; None if the week may not be shown."""
    share: Figure | None
    predicted: float | None
    observed: float | None
    """The share of outcome 1: near to the one before where the probabilities hold."""


def by_week(found: Iterable[CameTrue]) -> Iterator[Week]:
    """Sort outcomes, newest first, into the weeks in which there were any, from Monday to Sunday in UTC.

    The share of all outcomes is known, so a small week could be told by the others, and is not shown.
    """
    weeks = [(monday, list(each)) for monday, each in groupby(found, lambda one: monday_of(one.labelled_at))]
    # Of two equally large ones the rule holds back the first: so the older.
    are_shown = reversed(shown(tuple(len(each) for _, each in reversed(weeks))))
    for (monday, came), is_shown in zip(weeks, are_shown, strict=True):
        outcomes = len(came)
        if not is_shown:
            yield Week(monday, outcomes, None, None, None, None)
            continue
        correct = sum(each.predicted_class == each.outcome for each in came)
        predicted = sum(each.probability for each in came) / outcomes
        observed = sum(each.outcome for each in came) / outcomes
        yield Week(monday, outcomes, correct, share(correct, outcomes, NO_CASES), predicted, observed)


def monday_of(moment: datetime) -> date:
    """The Monday of a moment's week, in UTC."""
    day = moment.date()
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True)
class VersionWeek:
    """One version's predictions of one week."""

    monday: date
    """Of the week in which they were made, in UTC."""
    version: int
    predictions: int
    outcomes: int
    followed_up: Figure
    """Their share. Where it is small, whoever is followed up decides what came true."""
    estimated_accuracy: Figure
    """Of all the predictions, if the probabilities hold."""
    realised: Realised | None
    """Of those with an outcome; None if they are too few to be shown, or could be told by the others."""


def version_weeks(connection: Connection, weeks: int, newest: int = NEWEST_OUTCOMES) -> list[VersionWeek]:
    """Read the last so many weeks, those with predictions, newest first; `newest` outcomes are looked at."""
    came = defaultdict(list)
    for each in report_figures.came_true(connection, newest):
        came[monday_of(each.scored_at), each.model_version].append(each)
    since = report_figures.none_is_left_out_since(connection, newest)
    told = told_weeks({key: len(each) for key, each in came.items()})
    found = []
    for (monday, version), (predictions, expected) in sorted(_predicted(connection, weeks).items(), reverse=True):
        outcomes = came.get((monday, version), [])
        is_whole = since is None or monday > since.date()
        found.append(
            VersionWeek(
                monday=monday,
                version=version,
                predictions=predictions,
                outcomes=len(outcomes),
                followed_up=followed_up(sum(each.has_tally for each in outcomes), predictions if is_whole else None),
                estimated_accuracy=expected_accuracy(expected, predictions)
                if predictions >= FEWEST_ROWS
                else Figure(None),
                realised=_realised(outcomes) if (monday, version) in told else None,
            )
        )
    return found


def told_weeks(outcomes: Mapping[tuple[date, int], int]) -> set[tuple[date, int]]:
    """Pick the weeks that may be shown, given how many outcomes there are by week and version: a version's weeks add up
    to what is told of the version, so a small one could be told by the others."""
    told: set[tuple[date, int]] = set()
    for version in {version for _, version in outcomes}:
        weeks = [key for key in sorted(outcomes) if key[1] == version]
        are_shown = shown(tuple(outcomes[key] for key in weeks))
        told.update(key for key, is_shown in zip(weeks, are_shown, strict=True) if is_shown)
    return told


def _predicted(connection: Connection, weeks: int) -> dict[tuple[date, int], tuple[int, float]]:
    """Count predictions by week and version, and how many of them come true if the probabilities hold."""
    first = monday_of(clock(connection)) - timedelta(weeks=weeks - 1)
    found: dict[tuple[date, int], tuple[int, float]] = {}
    for version, kept in tallies_since(connection, 7 * weeks):
        key = (monday_of(kept.recorded_at), version)
        if key[0] < first:
            continue  # a part of a week
        rows, expected = found.get(key, (0, 0.0))
        found[key] = (rows + kept.tally.accepted, expected + kept.tally.expected)
    return found


def _realised(found: list[CameTrue]) -> Realised:
    probabilities = np.array([each.probability for each in found])
    outcomes = np.array([each.outcome for each in found], dtype=np.int8)
    return realised(probabilities, found[0].threshold, outcomes)


def leave_realised(engine: Engine, run_id: int, newest: int = NEWEST_OUTCOMES) -> None:
    """Keep each version's figures over the newest outcomes as those of this run."""
    with never_failing():
        with reading(engine) as connection:
            found = list(_figures(connection, newest))
        with writing(engine) as connection:
            for version, figures in found:
                keep_figures(connection, run_id, version, figures)


def _figures(connection: Connection, newest: int) -> Iterator[tuple[int, list[Watched]]]:
    by_version = defaultdict(list)
    for each in report_figures.came_true(connection, newest):
        by_version[each.model_version].append(each)
    since = report_figures.none_is_left_out_since(connection, newest)
    made = report_figures.predictions_by_version(connection)
    for version, came in sorted(by_version.items()):
        rows, began = made.get(version, (None, None))
        # Followed up are versions of whose predictions every outcome is among the newest.
        is_whole = since is None or (began is not None and began > since)
        followed = followed_up(sum(each.run_is_there for each in came), rows if is_whole else None)
        found = registry.read_version(connection, version)
        yield version, list(realised_figures(_realised(came), followed, found.metrics["holdout"] if found else None))
