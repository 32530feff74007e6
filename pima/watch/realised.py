"""Versions beside what came true: on top of status, report and card, and as stored figures."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME
from pima.core.nights.kinds import ONES_CORRECTED, Kind, Watched
from pima.core.outcomes.realised import (
    LATELY,
    WEEKS_ON_TOP,
    CameTrue,
    came_true,
    followed_up,
    realised_figures,
    widths,
)
from pima.core.outcomes.served import Served, came_true_as_served
from pima.core.rows.hindsight import Corrections
from pima.core.statistics.disclosure import FEWEST_ROWS, shown
from pima.runs.recorded_run import INLINED, never_failing
from pima.store.engine import clock, reading, writing
from pima.store.models import registry
from pima.store.rows.served_days import count_served_days
from pima.store.rows.settled import (
    NEWEST_OUTCOMES,
    SettledOutcome,
    SettledOutcomes,
    columns_of,
    if_filled_in_later,
    of_weeks,
    persons_beside,
    settled_outcomes,
)
from pima.store.rows.settling import start_of_week, week_of
from pima.store.service import report_figures
from pima.store.service.monitoring import keep_figures
from pima.watch.acted_upon import acted_upon


def widths_by_person(connection: Connection, settled: SettledOutcomes) -> dict[str, float]:
    """How many times as wide intervals are by persons as by rows, over the newest outcomes; empty
    where hardly any person comes again."""
    found = settled.in_time
    if not found:
        return {}
    return widths(columns_of(found), persons_beside(connection, found))


BY_NEWEST = (
    f"Intervals are by persons, as those of the newest {NEWEST_OUTCOMES:,} outcomes: older ones "
    "were not looked at."
)


@dataclass(frozen=True, slots=True)
class AsServed:
    """What came true of all predictions as they were served, by whichever version."""

    since: date
    """The first Monday of the weeks."""
    until: date
    """The Monday behind them."""
    every: CameTrue = field(metadata=INLINED)
    lately: CameTrue | None
    """The same of the newest weeks; None if there are no others, or it may not be shown."""
    by_version: tuple[CameTrue, ...]
    """Newest first; the outcomes of each, and the figures where they may be shown."""
    intervals: str | None = None
    """That they are by the persons of the newest outcomes alone; None if they are not."""


def on_top(settled: SettledOutcomes, now: datetime, wider: Mapping[str, float]) -> AsServed | None:
    """Tell what came true over the last whole weeks, the intervals so many times `wider`; until
    these have enough, also over the week that runs. None if there is no outcome."""
    last = last_week(settled, now)
    found = settled.counting.of_weeks(last, WEEKS_ON_TOP)
    rows = int(found.outcomes.sum())
    if not rows:
        return None
    newest = found.of_weeks(last, LATELY)
    its_rows = int(newest.outcomes.sum())
    lately = None
    if its_rows < rows and shown((rows - its_rows, its_rows))[1]:
        lately = came_true_as_served(newest, wider)
    intervals = None
    if wider and settled.since is not None and rows > len(settled.in_time):
        intervals = BY_NEWEST
    return AsServed(
        since=start_of_week(last - WEEKS_ON_TOP + 1).date(),
        until=start_of_week(last + 1).date(),
        every=came_true_as_served(found, wider),
        lately=lately,
        by_version=tuple(_by_version(found, wider)),
        intervals=intervals,
    )


def last_week(settled: SettledOutcomes, now: datetime) -> int:
    """The last week on top: the last whole one, or that which runs until the others have enough."""
    last = week_of(now) - 1
    if settled.counting.of_weeks(last, WEEKS_ON_TOP).outcomes.sum() < FEWEST_ROWS:
        last += 1
    return last


def rows_on_top(settled: SettledOutcomes, now: datetime) -> list[SettledOutcome]:
    """Pick those of the newest outcomes that stand on top."""
    return of_weeks(settled.in_time, last_week(settled, now), WEEKS_ON_TOP)


def until_now(found: Served, now: datetime) -> Served:
    """Pick the weeks on top, and this one."""
    return found.of_weeks(week_of(now), WEEKS_ON_TOP + 1)


def of_version(
    settled: SettledOutcomes, version: int, wider: Mapping[str, float]
) -> CameTrue | None:
    """Tell what came true of a version's predictions of the last weeks; None if none has an
    outcome."""
    its_own = settled.counting.only(settled.counting.model_version == version)
    if not its_own.outcomes.any():
        return None
    return came_true_as_served(its_own, wider, version)


def _by_version(found: Served, wider: Mapping[str, float]) -> Iterator[CameTrue]:
    """All versions add up to what stands on top, so a small one is not shown."""
    outcomes = found.outcomes_by(found.model_version)
    told = shown(tuple(outcomes.values()))
    for (version, rows), is_shown in reversed([*zip(outcomes.items(), told, strict=True)]):
        if is_shown:
            yield came_true_as_served(found.only(found.model_version == version), wider, version)
        elif rows:
            yield CameTrue(rows, 0, {}, 0, version=version)


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
        leave_counts(engine, all_anew=True)
        # Scores come last, since they rest on stored evidence, which may have been edited.
        with reading(engine) as connection:
            gains = list(_gains(connection, settled))
        _keep(engine, run_id, gains)


def leave_counts(engine: Engine, all_anew: bool = False) -> None:
    """Store what was served and came true by day; a failure is logged."""
    with never_failing(), writing(engine) as connection:
        count_served_days(connection, all_anew)


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


_WAITS = (
    "{0.called}: compared as soon as {1} predictions with a known score have a settled outcome; "
    "points also need a retraining that has seen {2} of each outcome with known points"
)


def on_scores(connection: Connection, found: Sequence[SettledOutcome]) -> Iterator[str]:
    """Say how the service stands beside each score in use, or what the comparison waits for."""
    scores = registry.newest_declaration(connection).present_scores
    compared = {}
    if scores:
        from pima.watch.beside_scores import beside_scores

        compared = {each.score: str(each) for each in beside_scores(connection, found)}
    yield from compared.values()
    for score in scores:
        if score not in compared:
            waits = _WAITS.format(score, FEWEST_ROWS, FEWEST_OF_EACH_OUTCOME)
            yield f"{if_filled_in_later(connection, score) or waits}."


def _figures(
    connection: Connection, settled: SettledOutcomes, corrected: Corrections
) -> Iterator[tuple[int, Iterable[Watched]]]:
    made = report_figures.predictions_by_version(connection)
    known = Counter(
        each.model_version
        for each in (*settled.in_time, *settled.left_out, *(settled.acted_upon or ()))
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
        acted = acted_upon(connection, settled, last_week(settled, clock(connection)))
        figures = list(figure_of_corrections(corrected))
        if acted is not None:
            figures += [each.watched for each in acted.figures]
        yield champion, figures


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
        yield figure.alarming_if(found.follow_outcome)
