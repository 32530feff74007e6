"""All that `status` shows, and the report beside it: the state of the service as one record, whose
field names are the keys of its JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from pima.core.nights.kinds import UNSEEN_CODE
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.store.models.ledger import VerdictLine, verdict_lines
from pima.store.models.registry import newest_declaration
from pima.store.rows.queue import Waiting
from pima.store.rows.settled import NEWEST_OUTCOMES, SettledOutcomes, settled_outcomes
from pima.store.rows.settling import start_of_week
from pima.store.service import report_figures, runs
from pima.store.service import sources as source_store
from pima.store.service.monitoring import KeptFigure
from pima.store.service.runs import Run
from pima.store.service.sources import SourcePull
from pima.store.service.unpredicted import rejected_by_pulls
from pima.watch.acted_upon import ActedUpon, acted_upon
from pima.watch.figures import ServiceFigures, on_threshold, read_figures
from pima.watch.model_alarms import open_alarms
from pima.watch.realised import (
    AsServed,
    last_week,
    on_scores,
    on_top,
    rows_on_top,
    until_now,
    widths_by_person,
)
from pima.watch.unpredicted import NewRows
from pima.watch.weeks import Week, by_week

RUNS_SHOWN = 8
VERDICTS_SHOWN = 3
NIGHTS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class ChampionState:
    """The version that scores, if there is one."""

    version: int | None
    pinned: bool
    suspended_at: datetime | None
    """Since when a person has stopped it."""
    trained_at: datetime | None
    holdout_accuracy: float | None
    last_verdict: str | None
    """The explanation of the newest retraining; None before the first."""
    threshold_remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettledCounts:
    """How many settled outcomes there are, in this week and those on top, and what became of the
    others."""

    outcomes: int
    correct: int
    accuracy: float | None
    of_those_followed_up: bool
    """Whether so few are followed up, or need be, that figures say little of the others."""
    left_out: int
    """Of days and weeks that are hardly followed up."""
    none_counts: str | None
    """Why none counts though some have settled, in words."""
    late: int
    """Predicted too late."""
    early: int
    """Come before a prediction."""
    acted_upon: int
    """Rows due on which somebody acted, where the risk is meant without acting."""


@dataclass(frozen=True, slots=True)
class FollowedUpWeek:
    """The rows whose horizon ended in one week."""

    monday: date
    rows: int
    outcomes: int
    in_figures: bool
    """Whether any of its days counts."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows that break one rule in one column."""

    reason: str
    field: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """A declared source, and its rows that can't be taken in."""

    source: str
    last_pull: SourcePull | None
    last_success: datetime | None
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class NightRun:
    """A run of scoring."""

    started_at: datetime
    status: str
    seconds: float
    predicted: int
    rejected: int
    """Also by the pulls before it."""
    rejected_by_pulls: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the service at one moment."""

    champion: ChampionState
    queue: Waiting
    realised: SettledCounts
    follow_up: tuple[FollowedUpWeek, ...]
    """Empty if no horizon is declared."""
    standing: AsServed | None
    """None if no outcome of a prediction is settled."""
    acted: ActedUpon | None
    """None if nobody acted on a prediction, or `outcome.if_acted` is not declared."""
    beside_scores: tuple[str, ...]
    """How the service stands beside each score in use, in words."""
    in_groups: tuple[str, ...]
    """In which declared groups the champion's probabilities did not hold in its newest verdict, and
    what came true of codes that it has not learned from."""
    realised_weeks: tuple[Week, ...]
    outcomes_before_1900: int
    sources: tuple[SourceState, ...]
    runs: tuple[Run, ...]
    verdicts: tuple[VerdictLine, ...]
    nights: tuple[NightRun, ...]
    new_rows: NewRows | None
    monitoring: tuple[KeptFigure, ...]
    alarms: tuple[str, ...]
    rejections: tuple[Rejected, ...]
    """Most rows first."""


def overview(engine: Engine, settings: Settings) -> Overview:
    """Read everything that `status` shows, in one transaction."""
    with reading(engine) as connection:
        settled = settled_outcomes(connection, NEWEST_OUTCOMES)
        return read_overview(connection, settings, settled, NIGHTS_SHOWN)


def read_overview(
    connection: Connection, settings: Settings, settled: SettledOutcomes, nights_shown: int
) -> Overview:
    """Read the rest of what `status` shows, once it is known what has settled."""
    found = read_figures(connection, settings)
    return Overview(
        champion=_champion(found, on_threshold(connection, settings)),
        queue=found.waiting,
        realised=_counts(settled, found.now),
        follow_up=_follow_up(settled),
        standing=on_top(settled, found.now, widths_by_person(connection, settled)),
        acted=acted_upon(connection, settled, last_week(settled, found.now)),
        beside_scores=tuple(on_scores(connection, rows_on_top(settled, found.now))),
        in_groups=tuple(_in_groups(connection, settled, found)),
        realised_weeks=tuple(by_week(until_now(settled.counting, found.now))),
        outcomes_before_1900=report_figures.count_before_1900(connection),
        sources=tuple(_sources(connection, settings.source_names, found)),
        runs=tuple(runs.last_runs(connection, RUNS_SHOWN)),
        verdicts=verdict_lines(connection, VERDICTS_SHOWN),
        nights=tuple(map(_night, report_figures.last_scoring_runs(connection, nights_shown))),
        new_rows=found.new_rows,
        monitoring=tuple(found.monitoring),
        alarms=tuple(map(str, open_alarms(connection, found, settings.source_names))),
        rejections=_rejections(report_figures.rejections_by_reason(connection)),
    )


def _in_groups(
    connection: Connection, settled: SettledOutcomes, found: ServiceFigures
) -> Iterator[str]:
    champion = found.champion.model_version
    unseen = [each for each in found.monitoring if each.figure == UNSEEN_CODE and each.feature]
    if champion is None or not (unseen or newest_declaration(connection).groups):
        return
    # Imported here, since it imports pandas, which status does not need.
    from pima.watch.by_group import in_newest_verdict, of_unseen_code

    yield from in_newest_verdict(connection, champion)
    for each in unseen:
        yield of_unseen_code(connection, settled, each.feature)


def _champion(found: ServiceFigures, remarks: Iterable[str]) -> ChampionState:
    version = found.version
    performance = None if version is None else version.performance
    return ChampionState(
        version=found.champion.model_version,
        pinned=found.champion.pinned,
        suspended_at=found.champion.suspended_at,
        trained_at=None if version is None else version.created_at,
        holdout_accuracy=None if performance is None else performance.accuracy,
        last_verdict=found.last_verdict,
        threshold_remarks=tuple(remarks),
    )


def _counts(settled: SettledOutcomes, now: datetime) -> SettledCounts:
    counting = until_now(settled.counting, now)
    outcomes = int(counting.outcomes.sum())
    of_predictions = settled.served.only(settled.served.model_version > 0)
    of_predictions = until_now(of_predictions, now)
    every = int(of_predictions.outcomes.sum())
    accuracy = None
    if outcomes:
        accuracy = counting.correct / outcomes
    acted_upon = 0
    if settled.acted_upon is not None:
        acted_upon = int(of_predictions.acted.sum())
    return SettledCounts(
        outcomes=outcomes,
        correct=counting.correct,
        accuracy=accuracy,
        of_those_followed_up=settled.follow_up.is_of_those_followed_up,
        left_out=every - outcomes,
        none_counts=_none_counts(settled),
        late=settled.late,
        early=settled.early,
        acted_upon=acted_upon,
    )


def _none_counts(settled: SettledOutcomes) -> str | None:
    acted_upon = len(settled.acted_upon or ())
    rows = len(settled.left_out) or acted_upon or settled.late
    if settled.in_time or not rows:
        return None
    why = "their rows were predicted too late"
    if acted_upon:
        why = "somebody acted on all of these rows"
    if settled.left_out:
        every = settled.follow_up.of_all
        share = every.outcomes / every.rows
        why = f"{share:.0%} of the rows of their weeks are followed up"
    return f"{rows:,} outcomes of predictions have settled; none counts, since {why}"


def _follow_up(settled: SettledOutcomes) -> tuple[FollowedUpWeek, ...]:
    if settled.over_by is None:
        return ()
    return tuple(
        FollowedUpWeek(
            monday=start_of_week(week.number).date(),
            rows=week.rows,
            outcomes=week.outcomes,
            in_figures=week.counts,
        )
        for week in settled.follow_up.weeks
    )


def _sources(
    connection: Connection, names: Sequence[str], found: ServiceFigures
) -> Iterator[SourceState]:
    if not names:
        return
    last_pulls = source_store.last_pulls(connection)
    rejected = source_store.rejected_rows(connection)
    for name in names:
        success = None
        if name in found.pulled:
            success = found.pulled[name].at
        yield SourceState(
            source=name,
            last_pull=last_pulls.get(name),
            last_success=success,
            rejected=tuple(
                Rejected(each.reason, each.field, each.rows)
                for each in rejected
                if each.source == name
            ),
        )


def _night(run: Run) -> NightRun:
    assert run.finished_at is not None  # noqa: S101 (the query selects by it)
    by_pulls = rejected_by_pulls(run.counts)
    return NightRun(
        started_at=run.started_at,
        status=run.status,
        seconds=(run.finished_at - run.started_at).total_seconds(),
        predicted=run.counts.get("predicted", 0),
        rejected=run.counts.get("rejected", 0) + by_pulls,
        rejected_by_pulls=by_pulls,
    )


def _rejections(found: dict[tuple[str, str], int]) -> tuple[Rejected, ...]:
    rejections = (Rejected(*why, rows) for why, rows in found.items())
    return tuple(sorted(rejections, key=lambda each: (-each.rows, each.reason, each.field)))
