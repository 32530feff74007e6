"""Versions beside what came true: on top of status, report and card, and as stored figures."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sqlalchemy import Connection, Engine

from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME
from pima.core.nights.kinds import ONES_CORRECTED, Kind, Watched
from pima.core.outcomes.followed_up import figure_of_week
from pima.core.outcomes.realised import (
    CameTrue,
    came_true,
    followed_up,
    realised_figures,
    widened,
    widths,
)
from pima.core.rows.hindsight import Corrections
from pima.core.verdicts.figures import FEWEST_ROWS
from pima.runs.recorded_run import never_failing
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.rows.settled import (
    NEWEST_OUTCOMES,
    SettledOutcomes,
    columns_of,
    if_filled_in_later,
    persons_beside,
    settled_outcomes,
)
from pima.store.service import report_figures
from pima.store.service.monitoring import keep_figures


def widths_by_person(connection: Connection, settled: SettledOutcomes) -> dict[str, float]:
    """How many times as wide intervals are by persons as by rows, over the newest outcomes; empty
    where hardly any person comes again."""
    found = settled.in_time
    if not found:
        return {}
    return widths(columns_of(found), persons_beside(connection, found))


def on_top(
    settled: SettledOutcomes, champion: int | None, wider: Mapping[str, float]
) -> CameTrue | None:
    """Tell what came true of the champion's predictions. Until it has enough outcomes, it is the
    newest version that has enough, or the newest. None if there is no outcome."""
    outcomes = Counter(each.model_version for each in settled.in_time)
    enough = {version for version, rows in outcomes.items() if rows >= FEWEST_ROWS} or outcomes
    if champion in enough:
        return of_version(settled, champion, wider)
    return of_version(settled, max(enough, default=None), wider)


def of_version(
    settled: SettledOutcomes, version: int | None, wider: Mapping[str, float]
) -> CameTrue | None:
    """Tell what came true of a version's predictions, its intervals so many times `wider`; None if
    none has an outcome."""
    its_own = settled.of_version(version)
    if version is None or not its_own:
        return None
    found = came_true(*columns_of(its_own), missing=settled.missing.get(version, ()))
    return replace(found, version=version, figures=widened(found.figures, wider))


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


_WAITS = (
    "{0.called}: compared as soon as {1} predictions with a known score have a settled outcome; "
    "points also need a retraining that has seen {2} of each outcome with known points"
)


def on_scores(connection: Connection, settled: SettledOutcomes) -> Iterator[str]:
    """Say how the service stands beside each score in use, or what the comparison waits for."""
    scores = registry.newest_declaration(connection).present_scores
    compared = {}
    if scores:
        from pima.watch.beside_scores import beside_scores

        compared = {each.score: str(each) for each in beside_scores(connection, settled.in_time)}
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
        yield figure.alarming_if(found.follow_outcome)
