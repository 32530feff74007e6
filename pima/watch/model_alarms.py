"""Alarms of the model: drift, and what settled outcomes say of the predictions; worded for health,
alerts and status."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.nights.kinds import (
    ALARMS,
    FOLLOWED_UP,
    OUTCOME_ALARMS,
    SOURCE_LOST_ROWS,
    Kind,
    Watched,
    Whose,
    alarm_of,
)
from pima.core.nights.lost_rows import DAYS_BACK, beyond_usual
from pima.core.outcomes.cusum import PredictedOutcomes, alarms
from pima.core.outcomes.decay import figure_of_decay
from pima.core.outcomes.followed_up import (
    LEAST_FOLLOWED_UP,
    figure_of_follow_up,
    figure_of_week,
)
from pima.core.outcomes.served import figure_of_left_alone
from pima.logs import counted
from pima.runs.recorded_run import never_failing
from pima.store.engine import clock, reading, writing
from pima.store.models import registry
from pima.store.rows.settled import NEWEST_OUTCOMES, SettledOutcome, settled_outcomes
from pima.store.rows.settling import day_of, week_of
from pima.store.service import monitoring
from pima.store.service.monitoring import KeptFigure, keep_figures
from pima.store.service.sources import lost_by_day
from pima.watch.figures import ServiceFigures
from pima.watch.health import Condition
from pima.watch.realised import leave_counts

_A_MOMENT = timedelta(milliseconds=1)


def open_alarms(
    connection: Connection, found: ServiceFigures, sources: Sequence[str]
) -> Iterator[Condition]:
    """Word the alarms of the model, and of the sources that it learns from."""
    today = day_of(found.now)
    for source in sources:
        days = beyond_usual(lost_by_day(connection, source, today - DAYS_BACK), today)
        if days:
            name = f"{SOURCE_LOST_ROWS.name}:{source}"
            told = SOURCE_LOST_ROWS.says.format(
                source=source,
                vanished=counted(sum(day.vanished for day in days), "row"),
                cleared=counted(sum(day.cleared for day in days), "outcome"),
            )
            if came := sum(day.of_another_person for day in days):
                told += (
                    f". {counted(came, 'row')} came as another person's: where the two persons are "
                    "on different sides of the holdout, the row is on neither"
                )
            yield Condition(name, told, SOURCE_LOST_ROWS.advice, is_of_model=True)
    yield from model_alarms(found.monitoring, found.champion.model_version)


def model_alarms(figures: Sequence[KeptFigure], champion: int | None) -> Iterator[Condition]:
    """Word the figures in the state of alert: one alarm for each figure and feature. `champion` is
    the version that scores, unless a person has stopped it."""
    alerts = [each for each in figures if each.is_alert]
    of_those = _of_those_followed_up(figures)
    for fault in OUTCOME_ALARMS:
        by_version = [each for each in alerts if each.figure == fault]
        if by_version:
            alarm = ALARMS[fault]
            told = alarm.says.format(of_those=of_those, **_of_outcomes(by_version, champion))
            yield Condition(alarm.name, told, alarm.advice, is_of_model=True)
    for each in alerts:
        alarm = alarm_of(each)
        if alarm.whose is Whose.VERSIONS:
            continue
        name = alarm.name
        rows = counted(each.rows, "row")
        told = alarm.says.format(found=each, rows=rows, of_those=of_those)
        if not told:
            name = f"{name}:{each.figure}:{each.feature}".rstrip(":")
            told = _of_night(each)
        elif each.feature:
            name = f"{name}:{each.feature}"
        yield Condition(name, told, alarm.advice, is_of_model=True)


def _of_those_followed_up(figures: Sequence[KeptFigure]) -> str:
    """Say that rows are those followed up, where the clinic asks for few of them."""
    for each in figures:
        if each.figure == FOLLOWED_UP and (each.reference or 1.0) < LEAST_FOLLOWED_UP:
            return f"; these are rows of those followed up, of whom {each.reference:.0%} are enough"
    return ""


def _of_outcomes(by_version: Sequence[KeptFigure], champion: int | None) -> dict[str, str]:
    """The facts of a fault, by version in which they were predicted."""
    outcomes = sum(each.rows for each in by_version)
    found = by_version[0]
    if found.reference is None:
        figures = f"their AUROC is {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    else:
        observed = outcomes * (found.value or 0.0)
        expected = outcomes * found.reference
        figures = f"{observed:,.0f} are 1, and {expected:,.1f} by the probabilities"
    its_own = sum(each.rows for each in by_version if each.model_version == champion)
    return {
        "outcomes": counted(outcomes, "settled outcome"),
        "versions": " and ".join(
            f"{each.rows:,} by version {each.model_version}" for each in by_version
        ),
        "figures": figures,
        "of_champion": _of_champion(champion, its_own),
    }


def _of_champion(champion: int | None, outcomes: int) -> str:
    if champion is None:
        return "there is no champion"
    if not outcomes:
        return f"version {champion} is champion, and none of these outcomes is its own"
    return f"version {champion} is champion, and {outcomes:,} of these outcomes are its own"


def _of_night(found: KeptFigure) -> str:
    about = " of ".join(filter(None, (found.figure.replace("_", " "), found.feature)))
    value = found.value or 0.0
    usual = found.reference or 0.0
    allowed = found.allowed or 0.0
    limit = f"at most {usual + allowed:.3g}"
    if value < usual:
        limit = f"at least {usual - allowed:.3g}"
    told = f"{about}, of version {found.model_version}, is {value:.3g}"
    if abs(value - usual) <= allowed:
        return f"{told} now, which is fine, but was not {limit} on nights before"
    return f"{told}, but should be {limit}"


def leave_alarms(engine: Engine, run_id: int) -> None:
    """Judge the settled outcomes of the days before today, in UTC, and store what they say for this
    run; the first run of a day does so, others nothing."""
    with never_failing():
        with reading(engine) as connection:
            today = clock(connection).replace(hour=0, minute=0, second=0, microsecond=0)
            champion = registry.read_champion(connection).model_version
            judged_at = monitoring.last_left(connection, Kind.SETTLED)
            if champion is None or (judged_at is not None and judged_at >= today):
                return
            # Not the newest of all: more than so many may have settled today.
            newest = settled_outcomes(connection, NEWEST_OUTCOMES, today - _A_MOMENT)
            came = newest.in_time[::-1]
            if newest.follow_up.is_of_few:
                came = []
            prevalences = registry.prevalences(connection, {each.model_version for each in came})
        alarming = _alarming(came, prevalences) if came else []
        figures = defaultdict(list)
        for version, found in alarming:
            figures[version].append(found)
        silent = set(OUTCOME_ALARMS) - {found.figure for _, found in alarming}
        figures[champion] += [Watched("", fault, None, len(came)) for fault in sorted(silent)]
        figures[champion].extend(figure_of_follow_up(newest.follow_up))
        figures[champion].extend(figure_of_week(newest.follow_up))
        last = week_of(today) - 1
        if came:
            figures[champion].extend(figure_of_decay(newest.counting, last))
        if newest.acted_upon is not None:
            figures[champion].extend(figure_of_left_alone(newest.served, last))
        with writing(engine) as connection:
            for version, its_figures in figures.items():
                keep_figures(connection, run_id, version, Kind.SETTLED, its_figures)
        # Last: as of midnight, what came since counts on neither side.
        leave_counts(engine)


def _alarming(
    came: Sequence[SettledOutcome], prevalences: Mapping[int, float]
) -> list[tuple[int, Watched]]:
    """The figure of each fault that alarms, by the versions that predicted its outcomes."""
    outcomes = PredictedOutcomes(
        over_at=np.array([each.over_at.timestamp() for each in came]),
        versions=np.array([each.model_version for each in came], dtype=np.int64),
        probabilities=np.array([each.probability for each in came]),
        outcomes=np.array([each.outcome for each in came], dtype=np.int8),
        constants=np.array([prevalences[each.model_version] for each in came]),
    )
    return [
        (version, replace(found.figure, rows=rows))
        for found in alarms(outcomes).values()
        for version, rows in found.versions.items()
    ]
