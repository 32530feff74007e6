"""Alarms of the model: drift, and what settled outcomes say of the predictions; worded for health,
alerts and status. A night without news needs no numpy."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Engine

from pima.core.nights.watched import GAIN_ON_LINE, OUTCOME_ALARMS, OutcomeAlarm, State, Watched
from pima.core.outcomes.followed_up import (
    FOLLOWED_UP,
    LEAST_FOLLOWED_UP,
    WEEK_FOLLOWED_UP,
    figure_of_follow_up,
)
from pima.core.rows.hindsight import ONES_CORRECTED
from pima.logs import counted
from pima.runs.recorded_run import never_failing
from pima.store.engine import clock, reading, writing
from pima.store.models import registry
from pima.store.rows.settled import NEWEST_OUTCOMES, SettledOutcome, settled_outcomes
from pima.store.service import monitoring
from pima.store.service.monitoring import KeptFigure, keep_figures

_SAYS = {
    OutcomeAlarm.NO_BETTER_THAN_CONSTANT: "the same answer for everybody would do better",
    OutcomeAlarm.OUTCOME_MORE_FREQUENT: "outcome 1 is more frequent than predicted",
    OutcomeAlarm.OUTCOME_LESS_FREQUENT: "outcome 1 is less frequent than predicted",
}


_OF_ONE_FIGURE = {
    GAIN_ON_LINE: (
        "straight_line_better",
        (
            "in three verdicts in a row a straight line (logistic regression) had a clearly lower "
            "log loss than version {found.model_version}, whose gain on it was {found.value:.4f} "
            "({found.low:.4f} to {found.high:.4f}) in the newest, on {rows}; promote a challenger "
            "that is better than the line, or give the network fewer features or more outcomes"
            "{whose}"
        ),
    ),
    WEEK_FOLLOWED_UP: (
        "followed_up_below_usual",
        (
            "of the newest week whose outcomes are all due, {found.value:.0%} of {rows} have one; "
            "{found.reference:.0%} is usual"
        ),
    ),
    FOLLOWED_UP: (
        "hardly_followed_up",
        (
            "of {rows} whose horizon ended in the newest weeks, {found.value:.0%} have an outcome. "
            "Weeks clearly below {found.reference:.0%} (outcome.least_followed_up) count in "
            "nothing, and so do all if the others are below it together"
        ),
    ),
    ONES_CORRECTED: (
        "corrected_after_outcome",
        (
            "{found.value:.1%} of the rows with outcome 1 were corrected after their prediction, "
            "and {found.reference:.1%} of those with outcome 0, of {found.rows:,} settled rows "
            "that were predicted in time; zeros of the same predicted risk were corrected less"
            "{whose}"
        ),
    ),
}
"""The name of an alarm, and its words with the facts to fill in, by its figure."""


_A_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ModelAlarm:
    """A figure of the model in the state of alert."""

    name: str
    """The reason's code, with figure and feature if it may have several."""
    what: str
    """The description, as a sentence without its full stop."""

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def model_alarms(figures: Sequence[KeptFigure], champion: int | None) -> Iterator[ModelAlarm]:
    """Word the figures in the state of alert: one alarm for each figure and feature. `champion` is
    the version that scores now."""
    alerts = [each for each in figures if each.state == State.ALERT]
    whose = _whose(figures)
    for fault in OUTCOME_ALARMS:
        by_version = [each for each in alerts if each.figure == fault]
        if by_version:
            yield ModelAlarm(fault, _of_outcomes(fault, by_version, champion) + whose)
    for each in alerts:
        if each.figure in _OF_ONE_FIGURE:
            name, says = _OF_ONE_FIGURE[each.figure]
            what = says.format(found=each, rows=counted(each.rows, "row"), whose=whose)
            yield ModelAlarm(name, what)
        elif each.figure not in OUTCOME_ALARMS:
            name = f"drift:{each.figure}:{each.feature}".rstrip(":")
            yield ModelAlarm(name, _of_night(each))


def _whose(figures: Sequence[KeptFigure]) -> str:
    """Say that rows are those followed up, where the clinic asks for few of them."""
    for each in figures:
        if each.figure == FOLLOWED_UP and (each.reference or 1.0) < LEAST_FOLLOWED_UP:
            return f"; these are rows of those followed up, of whom {each.reference:.0%} are enough"
    return ""


def _of_outcomes(
    fault: OutcomeAlarm, by_version: Sequence[KeptFigure], champion: int | None
) -> str:
    outcomes = sum(each.rows for each in by_version)
    versions = " and ".join(f"{each.rows:,} by version {each.model_version}" for each in by_version)
    found = by_version[0]
    if found.reference is None:
        figures = f"their AUROC is {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    else:
        observed = outcomes * (found.value or 0.0)
        expected = outcomes * found.reference
        figures = f"{observed:,.0f} are 1, and {expected:,.1f} by the probabilities"
    its_own = sum(each.rows for each in by_version if each.model_version == champion)
    return (
        f"{_SAYS[fault]}: of {counted(outcomes, 'settled outcome')}, predicted {versions}, "
        f"{figures}; {_of_champion(champion, its_own)}; or those predicted 1 were treated, which "
        "pima can't know"
    )


def _of_champion(champion: int | None, outcomes: int) -> str:
    if champion is None:
        return "no version scores now"
    if not outcomes:
        return f"version {champion} scores now, and none of these outcomes is its own"
    return f"version {champion} scores now, and {outcomes:,} of these outcomes are its own"


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
            judged_at = monitoring.last_left(connection, OUTCOME_ALARMS[0])
            if champion is None or (judged_at is not None and judged_at >= today):
                return
            # Not the newest of all: more than so many may have settled today.
            newest = settled_outcomes(connection, NEWEST_OUTCOMES, today - _A_MOMENT)
            came = newest.in_time[::-1]
            if newest.follow_up.is_of_few:
                came = []
            prevalences = registry.prevalences(connection, {each.model_version for each in came})
        figures = {champion: [Watched("", fault, None, len(came)) for fault in OUTCOME_ALARMS]}
        if came:
            figures = _judged(came, prevalences, champion)
        figures[champion].extend(figure_of_follow_up(newest.follow_up))
        with writing(engine) as connection:
            for version, its_figures in figures.items():
                keep_figures(connection, run_id, version, its_figures)


def _judged(
    came: Sequence[SettledOutcome], prevalences: Mapping[int, float], champion: int
) -> dict[int, list[Watched]]:
    """The figure of each fault: of an alarm by the versions that predicted its outcomes, else of
    the champion."""
    import numpy as np

    from pima.core.outcomes.cusum import PredictedOutcomes, alarms

    found = PredictedOutcomes(
        over_at=np.array([each.over_at.timestamp() for each in came]),
        versions=np.array([each.model_version for each in came], dtype=np.int64),
        probabilities=np.array([each.probability for each in came]),
        outcomes=np.array([each.outcome for each in came], dtype=np.int8),
        constants=np.array([prevalences[each.model_version] for each in came]),
    )
    figures = defaultdict(list)
    alarmed = alarms(found)
    figures[champion] = [
        Watched("", fault, None, len(came)) for fault in OUTCOME_ALARMS if fault not in alarmed
    ]
    for alarm in alarmed.values():
        for version, rows in alarm.versions.items():
            figures[version].append(replace(alarm.figure, rows=rows))
    return figures
