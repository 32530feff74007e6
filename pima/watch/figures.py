"""The figures of the service: the record that status, report, metrics, health and alerts use, and
the output of `models list`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from pima.core.nights.kinds import Kind, Watched
from pima.core.nights.watched import volumes
from pima.core.verdicts.thresholds import misjudged, not_in_use, out_of_reach
from pima.core.verdicts.verdict import Measure
from pima.runs.recorded_run import INLINED
from pima.settings.sections import Settings
from pima.store.engine import clock, reading
from pima.store.models import registry
from pima.store.models.ledger import VerdictInBrief, in_brief, list_moves, own_verdicts
from pima.store.models.registry import Champion, VersionSummary
from pima.store.rows import queue
from pima.store.rows.queue import Waiting
from pima.store.service import monitoring
from pima.store.service import sources as source_store
from pima.store.service.monitoring import (
    KeptFigure,
    keep_figures,
    newest_figures,
    rows_of_nights,
)
from pima.store.service.runs import had_stop
from pima.store.service.sources import SourcePull
from pima.watch.unpredicted import NewRows, as_shown

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The state of the service at one moment, read from the database, so it is correct after any
    restart."""

    now: datetime
    """The time by the database's clock."""
    champion: Champion
    version: VersionSummary | None
    """The champion's version; None if there is no champion."""
    last_verdict: str | None
    """The explanation of the newest retraining; None before the first."""
    waiting: Waiting
    new_rows: NewRows | None
    """How many rows have no prediction, and why; None until a run of scoring has left its
    figures."""
    succeeded: dict[str, datetime]
    pulled: dict[str, SourcePull]
    """The last successful pull of each declared source."""
    monitoring: list[KeptFigure]
    """The newest figures of the nights, the newest realised ones, and what settled outcomes say."""


def read_figures(connection: Connection, settings: Settings) -> ServiceFigures:
    """Read the record, with the pulls of the declared sources."""
    sources = settings.source_names
    champion = registry.read_champion(connection)
    number = champion.model_version
    now = clock(connection)
    successes = source_store.last_successes(connection) if sources else {}
    waiting = queue.waiting(connection)
    return ServiceFigures(
        now=now,
        champion=champion,
        version=None if number is None else registry.read_version(connection, number),
        last_verdict=monitoring.newest_retraining(connection).get("explanation"),
        waiting=waiting,
        new_rows=as_shown(connection, settings.health.limits, waiting.rows),
        succeeded=monitoring.last_success(connection),
        pulled={source: successes[source] for source in sources if source in successes},
        monitoring=newest_figures(connection, now),
    )


def leave_volumes(run_id: int, connection: Connection) -> None:
    """Store how many rows came tonight and in a week; does nothing without a champion."""
    champion = registry.read_champion(connection).model_version
    if champion is not None:
        now = clock(connection)
        came: Sequence[Watched] = volumes(rows_of_nights(connection, now))
        # Rows that got their outcome while they waited are no longer on the queue.
        if had_stop(connection, now - _WEEK):
            came = came[:1]
        keep_figures(connection, run_id, champion, Kind.VOLUME, came)


def on_threshold(connection: Connection, settings: Settings) -> list[str]:
    """What people should know of the champion's threshold, or of the newest version's if there is
    no champion."""
    now = settings.retrain.threshold
    numbers = registry.numbers(connection)
    newest = registry.read_version(connection, numbers[-1]) if numbers else None
    champion = registry.read_champion(connection).model_version
    used = newest if champion is None else registry.read_version(connection, champion)
    if used is None or newest is None:
        return []
    sensitivity = None if used.performance is None else used.performance.sensitivity
    is_fitted = newest.settings.get("threshold") == now
    return [
        *out_of_reach(used.number, used.threshold, sensitivity),
        *not_in_use(
            used.number,
            used.settings.get("threshold", used.threshold),
            now,
            newest.number if is_fitted else None,
        ),
        *misjudged(now, Measure(settings.gate.measure)),
    ]


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version with its verdict; None if none is on record."""

    version: VersionSummary = field(metadata=INLINED)
    judged: VerdictInBrief | None


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """Everything that `models list` shows; the field names are keys of its JSON."""

    champion: int | None
    pinned: bool
    suspended_at: datetime | None
    threshold_remarks: tuple[str, ...]
    versions: tuple[ListedVersion, ...]
    """Newest first."""


def versions(engine: Engine, settings: Settings) -> ListedVersions:
    """Read each version with its result, and that of the champion of that time on the same rows."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        listed = registry.list_versions(connection)
        judged = {
            number: in_brief(move, move.figures)
            for number, move in own_verdicts(list_moves(connection)).items()
            if move.figures is not None
        }
        remarks = on_threshold(connection, settings)
    return ListedVersions(
        champion=champion.model_version,
        pinned=champion.pinned,
        suspended_at=champion.suspended_at,
        threshold_remarks=tuple(remarks),
        versions=tuple(ListedVersion(each, judged.get(each.number)) for each in listed),
    )
