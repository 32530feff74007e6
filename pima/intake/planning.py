"""What a pull of a source is to read, and what is put down of it for the next one."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Engine

from pima.core.features import Features
from pima.core.identifiers import Forgotten
from pima.core.mapping import SourceMapping
from pima.core.source import Source
from pima.intake.extent import Extent, Known, Mark, Whole, extent_of
from pima.intake.source_reading import latest_change, mapping_of, require_not_ours
from pima.logs import get_logger
from pima.runs.recorded_run import HeldLease
from pima.store import sources
from pima.store.arrivals import RowsSoFar, rows_so_far
from pima.store.engine import clock, reading, writing
from pima.store.erasing import everyone_forgotten
from pima.store.source_engine import place_of


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source and the way to it."""

    source: Source
    mapping: SourceMapping
    declared: Features
    """Those that its rows are read by."""
    engine: Engine
    fingerprint: str
    """Of all that its rows depend on besides themselves."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of `patients` that it brings."""
        person = ["person_key"] if self.source.persons else []
        outcome = ["outcome"] if self.source.outcome else []
        moment = ["labelled_at"] if self.source.outcome_at else []
        return (*person, *(feature.name for feature in self.mapping.features), *outcome, *moment)


def open_source(source: Source, features: Features, engine: Engine) -> OpenSource:
    """Connects to nothing yet. Raises SourceUnusable where it does not fit the features."""
    # A category's codes are numbers.
    declared = msgspec.to_builtins((place_of(engine.url), source, features), str_keys=True)
    fingerprint = hashlib.sha256(msgspec.json.encode(declared, order="deterministic")).hexdigest()
    return OpenSource(source, mapping_of(source, features), features, engine, fingerprint)


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one pull of one source."""

    extent: Extent
    fingerprint: str
    """Of the settings and the declaration."""
    now: datetime
    """When it began, by the clock of our database."""
    so_far: RowsSoFar
    """Our rows that were there before the source's were read: of others nothing is known."""
    forgotten: Forgotten
    """Who was by then."""
    changed_up_to: str | None
    """How far the source's own times of change have come; None where that says nothing."""


def plan(engine: Engine, opened: OpenSource, asked_for_all: bool) -> Plan:
    """Asks for the source's latest change before its rows are read: what changes meanwhile is read again.

    Raises SourceAway, SourceUnusable.
    """
    source = opened.source
    require_not_ours(source, opened.engine)
    mark = latest_change(opened.engine, source) if source.changed_since else None
    with reading(engine) as connection:
        last, now = sources.last_pull(connection, source.name), clock(connection)
        so_far, forgotten = rows_so_far(connection), everyone_forgotten(connection)
    extent = extent_of(Known(last, opened.fingerprint, now, mark), asked_for_all)
    if isinstance(extent, Whole) and source.changed_since:
        get_logger().info("all of the source is compared", source=source.name, because=extent.because)
    return Plan(extent, opened.fingerprint, now, so_far, forgotten, _worth_keeping(mark, now, source))


def _worth_keeping(mark: Mark | None, now: datetime, source: Source) -> str | None:
    if mark is None:
        return None
    if mark.is_ahead_of(now):
        get_logger().warning(
            "changed_since has times that are still to come, so all of the source is compared each time",
            source=source.name,
            column=source.changed_since,
        )
        return None
    return mark.kept(now)


def begin(engine: Engine, opened: OpenSource, planned: Plan, lease: HeldLease) -> None:
    """Before anything is read: where all is to be compared, no part is enough until that is completed."""
    if isinstance(planned.extent, Whole):
        with writing(engine) as connection:
            lease.require(connection)
            sources.begin_whole(connection, opened.source.name, planned.fingerprint)


def complete(engine: Engine, opened: OpenSource, planned: Plan, lease: HeldLease) -> None:
    """All that differed is taken in."""
    whole_since = planned.now if isinstance(planned.extent, Whole) else None
    with writing(engine) as connection:
        lease.require(connection)
        sources.complete(connection, opened.source.name, planned.changed_up_to, whole_since)
