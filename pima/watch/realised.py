"""Predictions compared with outcomes: by the week of the outcome, by version and week of the
prediction, and as stored figures of each version."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from sqlalchemy import Connection, Engine

from pima.core.nights.drift import expected_accuracy
from pima.core.nights.kinds import ONES_CORRECTED, Kind, State, Watched
from pima.core.outcomes.realised import (
    CameTrue,
    came_true,
    figure_of_week,
    followed_up,
    realised_figures,
)
from pima.core.rows.hindsight import Corrections
from pima.core.verdicts.figures import FEWEST_ROWS, NO_CASES, Figure, share, shown
from pima.runs.recorded_run import HIDDEN, never_failing
from pima.store.engine import clock, reading, writing
from pima.store.models import registry
from pima.store.rows.settled import (
    NEWEST_OUTCOMES,
    SettledOutcome,
    SettledOutcomes,
    columns_of,
    settled_outcomes,
)
from pima.store.service import report_figures
from pima.store.service.monitoring import keep_figures
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
    share: Figure | None = field(default=None, metadata=HIDDEN)
    """The accuracy with its interval."""
    predicted: float | None = field(default=None, metadata=HIDDEN)
    observed: float | None = field(default=None, metadata=HIDDEN)
    """The share of outcome 1, which is close to `predicted` if the probabilities hold."""


def by_week(found: Iterable[SettledOutcome]) -> Iterator[Week]:
    """Group outcomes, newest first, by week, from Monday to Sunday in UTC.

    The share of all outcomes is known, so a small week could be derived from the others; it is not
    shown.
    """
    weeks = {
        (monday, 0): list(each)
        for monday, each in groupby(found, lambda one: monday_of(one.over_at))
    }
    told = told_weeks({key: len(came) for key, came in weeks.items()})
    for key, came in weeks.items():
        rows = len(came)
        week = Week(key[0], rows)
        if key in told:
            correct = sum(each.predicted_class == each.outcome for each in came)
            accuracy = share(correct, rows, NO_CASES)
            week = Week(
                monday=key[0],
                outcomes=rows,
                correct=correct,
                accuracy=accuracy.value,
                share=accuracy,
                predicted=sum(each.probability for each in came) / rows,
                observed=sum(each.outcome for each in came) / rows,
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
    followed_up: Figure
    """The share of predictions with an outcome. If it is small, the choice of whom to follow up
    biases the result."""
    estimated_accuracy: Figure
    """The accuracy of all the predictions, if the probabilities hold."""
    realised: CameTrue | None
    """The figures of those with an outcome; None if these are too few to show, or could be derived
    from other weeks."""


def version_weeks(
    connection: Connection, settled: SettledOutcomes, weeks: int
) -> list[VersionWeek]:
    """Judge the last `weeks` weeks with predictions, newest first, by what has settled."""
    came = _by_version_week(settled.in_time)
    left_out = _by_version_week(settled.left_out)
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
        estimated = Figure(None)
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


def on_top(settled: SettledOutcomes, champion: int | None) -> CameTrue | None:
    """What came true of the champion's predictions; until it has enough outcomes, of those of the
    newest version that has, or of the newest. None if there is no outcome."""
    outcomes = Counter(each.model_version for each in settled.in_time)
    enough = {version for version, rows in outcomes.items() if rows >= FEWEST_ROWS} or outcomes
    if champion in enough:
        return of_version(settled, champion)
    return of_version(settled, max(enough, default=None))


def of_version(settled: SettledOutcomes, version: int | None) -> CameTrue | None:
    """What came true of a version's predictions; None if none has an outcome."""
    its_own = settled.of_version(version)
    if version is None or not its_own:
        return None
    found = came_true(*columns_of(its_own), settled.missing.get(version, ()))
    return replace(found, version=version)


def leave_realised(
    engine: Engine, run_id: int, corrected: Corrections, newest: int = NEWEST_OUTCOMES
) -> None:
    """Store each version's figures over the newest outcomes for this run, what it gains on the
    scores in use, and how many rows were corrected after their prediction."""
    with never_failing():
        with reading(engine) as connection:
            settled = settled_outcomes(connection, newest)
            figures = list(_figures(connection, settled, corrected))
        _keep(engine, run_id, figures)
        # Scores come last, since they rest on stored evidence, which may have been edited.
        with reading(engine) as connection:
            gains = list(_gains(connection, settled))
        _keep(engine, run_id, gains)


def _keep(engine: Engine, run_id: int, found: Iterable[tuple[int, Iterable[Watched]]]) -> None:
    with writing(engine) as connection:
        for version, figures in found:
            keep_figures(connection, run_id, version, Kind.REALISED, figures)


def _gains(
    connection: Connection, settled: SettledOutcomes
) -> Iterator[tuple[int, Iterable[Watched]]]:
    # Imported here, since it imports pandas, which status does not need.
    from pima.watch.beside_scores import beside_scores

    for version in sorted({each.model_version for each in settled.in_time}):
        for beside in beside_scores(connection, settled.of_version(version)):
            yield version, beside.watched()


def _figures(
    connection: Connection, settled: SettledOutcomes, corrected: Corrections
) -> Iterator[tuple[int, Iterable[Watched]]]:
    made = report_figures.predictions_by_version(connection)
    known = Counter(
        each.model_version
        for each in (*settled.in_time, *settled.left_out)
        if each.run_began is not None
    )
    for version in sorted({each.model_version for each in settled.in_time}):
        rows, began = made.get(version, (None, None))
        # The share followed up is known only if all outcomes of the version's predictions are among
        # the newest.
        is_whole = settled.since is None or (began is not None and began > settled.since)
        # With a horizon the outcomes of some predictions are not due yet.
        if settled.over_by is not None or not is_whole:
            rows = None
        found = came_true(*columns_of(settled.of_version(version)))
        yield version, realised_figures(found, followed_up(known[version], rows))
    champion = registry.read_champion(connection).model_version
    if champion is not None:
        yield champion, [*figure_of_week(settled.follow_up), *figure_of_corrections(corrected)]


def figure_of_corrections(found: Corrections) -> Iterator[Watched]:
    """Make a row of `monitoring`, if rows of both outcomes were predicted."""
    if found.of_ones and found.of_zeros:
        figure = Watched(
            feature="",
            figure=ONES_CORRECTED,
            value=found.ones / found.of_ones,
            rows=found.of_ones + found.of_zeros,
            reference=found.zeros / found.of_zeros,
        )
        yield replace(figure, state=State.ALERT) if found.follow_outcome else figure
