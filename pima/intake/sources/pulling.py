"""Bringing `patients` up to date from a source: it is read and staged, compared with our rows, then
taken in by blocks.

A pull that ends early is completed by the next one, which compares again.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from operator import add
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine

from pima.core.declared.columns import TIMES
from pima.core.declared.features import Features, names_of
from pima.core.declared.identifiers import Forgotten
from pima.core.declared.source import Source
from pima.core.rows.mapping import Block, SourceMapping, SourceTally
from pima.errors import TRY_AGAIN_LATER, DatabaseFailed, KeptIdTaken, PimaError, SourceRefused
from pima.intake.sources.extent import Extent, Whole, extent_of
from pima.intake.sources.guards import require_readable, require_sound
from pima.intake.sources.pull_results import PulledSource, PullResult, as_read, with_taken
from pima.intake.sources.source_engine import source_place
from pima.intake.sources.source_reading import (
    SourceReader,
    latest_change,
    mapping_of,
    require_not_ours,
)
from pima.logs import get_logger, tell, tell_ids
from pima.runs.lease import HeldLease, only_one
from pima.runs.recorded_run import OpenRun, as_json
from pima.runs.stop_request import StopRequest
from pima.store.database import database_of
from pima.store.engine import clock, reading, session, transaction, without_time_limit, writing
from pima.store.models.registry import require_still_declared
from pima.store.rows.arrivals import KeyRange, RowsSoFar, Taken, rows_so_far
from pima.store.rows.contested import told_as_contested, until_free
from pima.store.rows.erasing import everyone_forgotten
from pima.store.rows.staged_source import Comparison, StagedSource
from pima.store.service import runs, sources

BLOCK_KEYS = 10_000
"""Keys that one transaction takes in; it locks their rows."""
LEASE_SECONDS = 60
"""The time for which a pull that died blocks the next one of its source."""
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source that is ready to be read."""

    source: Source
    mapping: SourceMapping
    declared: Features
    """The features that its rows are read by."""
    engine: Engine
    fingerprint: str
    """The hash of all that decides how its rows are read."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `patients` that it fills."""
        person = ["person_key"] if self.source.persons else []
        outcome = ["outcome"] if self.source.outcome else []
        times = (name for name, called in TIMES.items() if called in self.source.times)
        return (*person, *names_of(self.mapping.features), *outcome, *times)


def open_source(source: Source, features: Features, engine: Engine) -> OpenSource:
    """Prepare a source without connecting to it. Raises SourceUnusable if it does not fit the
    features."""
    # With str_keys, since a category's codes are numbers.
    declared = msgspec.to_builtins((source_place(engine.url), source, features), str_keys=True)
    fingerprint = hashlib.sha256(msgspec.json.encode(declared, order="deterministic")).hexdigest()
    return OpenSource(source, mapping_of(source, features), features, engine, fingerprint)


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of a pull, and what is stored about it for the next one."""

    extent: Extent
    now: datetime
    """The time when the pull began, by the clock of our database."""
    so_far: RowsSoFar
    """Our rows that existed before the source's were read: the pull knows nothing about later
    ones."""
    forgotten: Forgotten
    """The people who were forgotten by then."""
    changed_up_to: str | None
    """The time of change that the source has reached; None if it has none."""


def _plan(engine: Engine, opened: OpenSource, asked_for_all: bool) -> Plan:
    """Plan a pull. The source's latest change is read before its rows, so that later changes are
    read again.

    Raises SourceAway, SourceUnusable.
    """
    source = opened.source
    require_not_ours(source, opened.engine)
    mark = latest_change(opened.engine, source)
    with reading(engine) as connection:
        last = sources.last_pull(connection, source.name)
        now = clock(connection)
        so_far = rows_so_far(connection)
        forgotten = everyone_forgotten(connection)
    extent = extent_of(last, opened.fingerprint, now, mark, asked_for_all)
    if isinstance(extent, Whole) and source.changed_since:
        get_logger().info(
            "all of the source is compared", source=source.name, because=extent.because
        )
    changed_up_to = None if mark is None else mark.kept(now)
    return Plan(extent, now, so_far, forgotten, changed_up_to)


@dataclass(frozen=True, slots=True)
class Pull:
    """One run of the job."""

    engine: Engine
    """The engine of pima's own database."""
    run: OpenRun
    stop: StopRequest
    dry_run: bool
    """Read, compare and judge, and write nothing but the run."""
    whole: bool
    """Compare all of each source, whatever its last pull was."""
    declared: Collection[str]
    """The names of all sources that the settings have, pulled now or not."""
    results: dict[str, PulledSource] = field(default_factory=dict)
    """The result so far, by source."""

    def report(self, result: PulledSource) -> None:
        """Report the result of a source so far."""
        self.results[result.source] = result
        self.run.report(self.result)

    def pause(self, seconds: float) -> None:
        """Wait. Raises Interrupted if a stop is requested."""
        with self.stop.at_once():
            time.sleep(seconds)

    @property
    def result(self) -> PullResult:
        """The results of all sources so far."""
        return PullResult(tuple(self.results.values()))


def pull_sources(pull: Pull, opened: Sequence[OpenSource]) -> None:
    """Pull each source in turn; if one fails, the others are still pulled.

    Raises the first error that a later attempt may not meet (SourceAway, LeaseHeld, RowsContested,
    DeclarationChanged and the like), since the run is then tried again; if there is none, the first
    of SourceUnusable, SourceKeysUnusable, SourceRefused, KeptIdTaken. The other errors are
    reported. Raises Interrupted.
    """
    errors: list[PimaError] = []
    for source in opened:
        try:
            _pull(pull, source)
        except PimaError as error:
            status = runs.status_of_exit_code(error.exit_code)
            pull.report(
                replace(pull.results[source.source.name], status=status, error_code=error.code)
            )
            errors.append(error)
    # The sort is stable, so errors of the same kind keep their order.
    errors.sort(key=lambda error: error.exit_code != TRY_AGAIN_LATER)
    for other in errors[1:]:
        tell(f"error: {other}")
    if errors:
        raise errors[0]


def _pull(pull: Pull, opened: OpenSource) -> None:
    name = opened.source.name
    pull.report(PulledSource(name))
    # Before anything is read, so that a run that dies has said of which source, and how those
    # before it ended.
    with writing(pull.engine) as connection:
        runs.record_progress(connection, pull.run.id, pull.run.counts, None)
    # A dry run changes nothing and needs no lease.
    alone = only_one(pull.engine, f"pull {name}", pull.run.id, LEASE_SECONDS)
    held = nullcontext() if pull.dry_run else alone
    with held as lease, _staging(pull, opened) as (own, staging):
        with pull.stop.at_once():
            planned = _plan(pull.engine, opened, pull.whole)
            staged = _Staged(pull, opened, planned, own, staging)
            if lease is not None:
                staged.begin(lease)
            staged.stage()
            result = as_read(
                PulledSource(name, compared=planned.extent.called),
                staged.tally,
                opened.source.columns,
            )
            pull.report(result)
            comparison = staged.compared()
        unchanged = result.rows - result.rejected - comparison.new - comparison.changed
        result = replace(
            result,
            unchanged=unchanged,
            vanished=comparison.vanished,
            before_person=comparison.before_person,
        )
        pull.report(result)
        require_sound(opened.source, opened.mapping, staged.tally, comparison, staged.is_whole)
        if staged.is_whole and not comparison.ours:
            staged.require_no_other_name()
        if lease is None:
            deleted = comparison.vanished if opened.source.vanished == "delete" else 0
            result = with_taken(
                result, Taken(comparison.new, comparison.changed, 0, deleted, comparison.outcomes)
            )
        else:
            result = staged.take_all(lease, result)
            staged.complete(lease)
    result = replace(result, status=runs.Status.SUCCEEDED)
    pull.report(result)
    get_logger().info("source pulled", **as_json(result))


@contextmanager
def _staging(pull: Pull, opened: OpenSource) -> Iterator[tuple[Connection, StagedSource]]:
    """Yield a session of our database with an empty staging table, which is dropped in the end."""
    with session(pull.engine) as own:
        staging = StagedSource(own, opened.columns, "source_key", opened.source.name)
        with transaction(own, writes=True):
            staging.make()
        try:
            with reading(pull.engine) as other:
                staging.require_unshared(other)
            yield own, staging
        finally:
            with suppress(Exception), transaction(own, writes=True):
                staging.drop()


@dataclass(frozen=True, slots=True)
class _Staged:
    """A source whose rows come in by way of a staging table."""

    pull: Pull
    opened: OpenSource
    planned: Plan
    own: Connection
    """The staging table's session."""
    staging: StagedSource
    tally: SourceTally = field(default_factory=SourceTally)

    @property
    def is_whole(self) -> bool:
        """Whether all of the source is compared."""
        return isinstance(self.planned.extent, Whole)

    def begin(self, lease: HeldLease) -> None:
        """Record, before anything is read, that all rows are being compared: until that is
        completed, no part is enough."""
        if self.is_whole:
            with writing(self.pull.engine) as connection:
                lease.require(connection)
                sources.begin_whole(connection, self.opened.source.name, self.opened.fingerprint)

    def complete(self, lease: HeldLease) -> None:
        """Record that all differences were taken in."""
        whole_since = self.planned.now if self.is_whole else None
        with writing(self.pull.engine) as connection:
            lease.require(connection)
            sources.complete(
                connection, self.opened.source.name, self.planned.changed_up_to, whole_since
            )

    @contextmanager
    def _unlimited(self) -> Iterator[None]:
        """Open a transaction without a time limit that writes only to the staging table. On SQLite
        it keeps no one from writing; on PostgreSQL only a transaction that may write can make
        tables and indexes."""
        with transaction(self.own, writes=not database_of(self.own).is_a_file):
            self.staging.require_session()
            without_time_limit(self.own)
            yield

    def stage(self) -> None:
        """Stage the part of the source to compare, each block in its own transaction: a source that
        answers slowly must not hold one open."""
        opened = self.opened
        planned = self.planned
        reader = SourceReader(
            opened.source, opened.mapping, planned.now, self.tally, planned.forgotten
        )
        with reader.reading(opened.engine, planned.extent) as (blocks, keys):
            self._write_while_reading(self._append, blocks)
            self._write_while_reading(self._append_keys, keys)

    def _write_while_reading(self, write: Callable[[_Read], None], read: Iterator[_Read]) -> None:
        """Write each block while the next one is read, which waits for two servers at once."""
        with ThreadPoolExecutor(1, "staging") as writer:
            last = None
            for block in read:
                if last:
                    last.result()
                last = writer.submit(write, block)
            if last:
                last.result()

    def _append(self, block: Block) -> None:
        with self._unlimited():
            self.staging.append(block[[*self.opened.columns, "reason", "field"]], "source_key")

    def _append_keys(self, keys: list[str]) -> None:
        with self._unlimited():
            self.staging.append_keys(keys)

    def compared(self) -> Comparison:
        """Compare; return the differences."""
        opened = self.opened
        with self._unlimited():
            self.staging.index()
            repeated = self.staging.repeated_keys()
        require_readable(opened.source, self.tally, repeated)
        with self._unlimited():
            ranges = self.staging.ranges_to_compare(self.is_whole, BLOCK_KEYS)
        compared = []
        deletes = opened.source.vanished == "delete"
        for within in ranges:
            with self._unlimited():
                compared.append(
                    self.staging.compare(within, opened.mapping.features, self.is_whole, deletes)
                )
        return reduce(add, compared)

    def require_no_other_name(self) -> None:
        """Raises SourceRefused if a source was renamed in the settings, so that each of its rows
        would come in a second time: most of its keys are those of a source that the settings no
        longer declare."""
        name = self.opened.source.name
        with transaction(self.own, writes=False):
            for former in sorted(set(sources.pulled_names(self.own)) - {name, *self.pull.declared}):
                known, asked = self.staging.keys_of(former)
                if known > asked / 2:
                    what = (
                        f"we have no rows of it yet, and {known:,} of {asked:,} of its keys are "
                        f"those of rows of the source {former}, which the settings no longer "
                        f"declare. If it was renamed, give it its former name back ({former}): a "
                        "source's name is part of what a row is called, and under another one each "
                        "row would come a second time. If it is really another source, declare "
                        f"{former}, too"
                    )
                    raise SourceRefused(source=name, what=what)

    def take_all(self, lease: HeldLease, result: PulledSource) -> PulledSource:
        """Take in the differences, by ranges of keys."""
        with transaction(self.own, writes=True):
            without_time_limit(self.own)
            self.staging.require_session()
            lease.require(self.own)
            self._leave_out_forgotten(None)
            self.staging.write_rejections(self.is_whole, self.pull.run.id)
        with self._unlimited():
            ranges = self.staging.ranges(BLOCK_KEYS)
        for within in ranges:
            self.pull.stop.check()
            result = until_free(partial(self._take, within, lease, result), self.pull.pause)
        return result

    def _take(self, within: KeyRange, lease: HeldLease, result: PulledSource) -> PulledSource:
        """Take in a range, in one transaction with its counts. Raises RowsContested,
        KeptIdTaken."""
        own = self.own
        staging = self.staging
        pull = self.pull
        try:
            with transaction(own, writes=True):
                lease.require(own)
                database_of(own).wait_for_other_loads(own)
                require_still_declared(own, self.opened.declared)
                staging.require_session()
                self._leave_out_forgotten(within)
                with told_as_contested(own):
                    taken = staging.take(
                        within,
                        self.planned.so_far if self.opened.source.vanished == "delete" else None,
                    )
                staging.take_off_rejections(within)
                result = with_taken(result, taken)
                counts = as_json(
                    PullResult(tuple((pull.results | {result.source: result}).values()))
                )
                runs.record_progress(own, pull.run.id, counts, None)
        except DatabaseFailed:
            self._require_kept_ids_free(within)
            raise
        pull.report(result)
        return result

    def _leave_out_forgotten(self, within: KeyRange | None) -> None:
        known = everyone_forgotten(self.own)
        if known.marks != self.planned.forgotten.marks:
            self.staging.leave_out_forgotten(within, known)

    def _require_kept_ids_free(self, within: KeyRange) -> None:
        with transaction(self.own, writes=False):
            taken = self.staging.ids_kept_and_taken(within)
        if taken:
            raise KeptIdTaken(source=self.opened.source.name, rows=tell_ids(taken))
