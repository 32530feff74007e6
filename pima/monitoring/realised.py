"""What came true of each version's predictions: by week for people to look at, and as figures that are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.drift.figures import expected_accuracy
from pima.core.drift.watched import Watched
from pima.core.evidence.figures import Figure
from pima.core.evidence.subgroups import FEWEST_ROWS, shown
from pima.core.realised import Judged, Realised, followed_up, realised, realised_figures
from pima.monitoring.weeks import monday_of
from pima.process.recorded_run import never_failing
from pima.store import registry, report_figures
from pima.store.engine import clock, reading, writing
from pima.store.monitoring import keep_figures
from pima.store.report_figures import CameTrue
from pima.store.tallies import tallies_since

NEWEST_OUTCOMES = 10_000


@dataclass(frozen=True, slots=True)
class VersionWeek:
    """One version's predictions of one week."""

    monday: date
    """Of the week in which they were made, in UTC."""
    version: int
    predictions: int
    outcomes: int
    """That have come of them, as far as the newest ones go."""
    followed_up: Figure
    """Their share. Where it is small, whoever is followed up decides what came true."""
    estimated_accuracy: Figure
    """Of all the predictions, if the probabilities hold."""
    realised: Realised | None
    """Of those with an outcome; None where they are too few to be shown, or could be told by the others."""


def version_weeks(connection: Connection, weeks: int, newest: int = NEWEST_OUTCOMES) -> list[VersionWeek]:
    """Of the last so many weeks, those with predictions, newest first; `newest` outcomes are looked at."""
    predicted = _predicted(connection, weeks)
    came = _by_version_and_week(report_figures.came_true(connection, newest))
    since = report_figures.none_is_left_out_since(connection, newest)
    told = told_weeks({key: len(each) for key, each in came.items()})
    return [
        _week(key, *predicted[key], came.get(key, []), key in told, since is None or key[0] > since.date())
        for key in sorted(predicted, reverse=True)
    ]


def told_weeks(outcomes: Mapping[tuple[date, int], int]) -> set[tuple[date, int]]:
    """Of how many outcomes there are by week and version, the weeks that may be shown: a version's weeks add up to what
    is told of the version, so a small one could be told by the others."""
    told: set[tuple[date, int]] = set()
    for version in {version for _, version in outcomes}:
        weeks = [key for key in sorted(outcomes) if key[1] == version]
        are_shown = shown(tuple(outcomes[key] for key in weeks))
        told.update(key for key, is_shown in zip(weeks, are_shown, strict=True) if is_shown)
    return told


def _predicted(connection: Connection, weeks: int) -> dict[tuple[date, int], tuple[int, float]]:
    """Predictions by week and version, and how many of them come true if the probabilities hold."""
    first = monday_of(clock(connection)) - timedelta(weeks=weeks - 1)
    found: dict[tuple[date, int], tuple[int, float]] = {}
    for version, kept in tallies_since(connection, 7 * weeks):
        key = (monday_of(kept.recorded_at), version)
        if key[0] < first:
            continue  # a part of a week
        rows, expected = found.get(key, (0, 0.0))
        found[key] = (rows + kept.tally.accepted, expected + kept.tally.expected)
    return found


def _by_version_and_week(found: Iterable[CameTrue]) -> dict[tuple[date, int], list[CameTrue]]:
    weeks = defaultdict(list)
    for each in found:
        weeks[monday_of(each.scored_at), each.model_version].append(each)
    return weeks


def _week(
    key: tuple[date, int], predictions: int, expected: float, came: list[CameTrue], is_told: bool, is_whole: bool
) -> VersionWeek:
    estimate = expected_accuracy(expected, predictions)
    is_shown = predictions >= FEWEST_ROWS
    return VersionWeek(
        monday=key[0],
        version=key[1],
        predictions=predictions,
        outcomes=len(came),
        followed_up=followed_up(sum(each.has_tally for each in came), predictions if is_whole else None),
        estimated_accuracy=Figure(estimate.value, estimate.low, estimate.high) if is_shown else Figure(None),
        realised=realised_of(came) if is_told else None,
    )


def realised_of(found: list[CameTrue]) -> Realised:
    """Of predictions of one version, one at least."""
    probabilities = np.array([each.probability for each in found])
    outcomes = np.array([each.outcome for each in found], dtype=np.int8)
    return realised(probabilities, found[0].threshold, outcomes)


def leave_realised(engine: Engine, run_id: int, newest: int = NEWEST_OUTCOMES) -> None:
    """Each version's figures over the newest outcomes, kept as those of this run."""
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
    made = _made(connection, newest)
    for version, came in sorted(by_version.items()):
        followed = followed_up(sum(each.run_is_there for each in came), made.get(version))
        yield version, list(realised_figures(realised_of(came), followed, _judged(connection, version)))


def _made(connection: Connection, newest: int) -> dict[int, int]:
    """How many predictions each version has made of which every outcome is among the newest."""
    since = report_figures.none_is_left_out_since(connection, newest)
    made = report_figures.predictions_by_version(connection)
    return {version: rows for version, (rows, began) in made.items() if since is None or began > since}


def _judged(connection: Connection, version: int) -> Judged | None:
    found = registry.read_version(connection, version)
    holdout = found and found.metrics["holdout"]
    return Judged(holdout["correct"], holdout["rows"]) if holdout else None
