"""Bringing `patients` up to date from a source: it is read and staged, compared with our rows, then taken in by blocks.

What ends it in between is completed by the next pull, which compares again.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add

from sqlalchemy import Connection, Engine

from pima.core.mapping import SourceTally
from pima.errors import TRY_AGAIN_LATER, DatabaseFailed, KeptIdTaken, PimaError, SourceRefused
from pima.intake.extent import Whole
from pima.intake.guards import require_readable, require_sound
from pima.intake.planning import OpenSource, Plan, begin, complete, plan
from pima.intake.pull_results import PulledSource, PullResult, as_compared, as_read, as_would_be, with_taken
from pima.intake.source_reading import SourceReader
from pima.logs import counted, get_logger, tell
from pima.runs.recorded_run import HeldLease, OpenRun, StopRequest, as_json, only_one
from pima.store import runs, source_query
from pima.store.arrivals import KeyRange
from pima.store.contested import told_as_contested, until_free
from pima.store.database import database_of
from pima.store.engine import session, transaction, without_time_limit
from pima.store.erasing import everyone_forgotten
from pima.store.registry import require_still_declared
from pima.store.sources import pulled_names
from pima.store.staged_source import Comparison, StagedSource, count_outcomes

BLOCK_KEYS = 10_000
"""Taken in by one transaction, which holds their rows."""
LEASE_SECONDS = 60
"""How long a pull that died keeps the next one of its source out."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One run of the job."""

    engine: Engine
    """Of pima's own database."""
    run: OpenRun
    stop: StopRequest
    dry_run: bool
    """Read, compare and judge, and write nothing but the run."""
    whole: bool
    """Compare all of each source, whatever is known of its last pull."""
    declared: Collection[str]
    """The names of all sources that the settings have, pulled now or not."""
    results: dict[str, PulledSource] = field(default_factory=dict)
    """By source, as far as it has come."""

    def report(self, result: PulledSource) -> None:
        """What has become of a source so far."""
        self.results[result.source] = result
        self.run.report(self.result)

    def pause(self, seconds: float) -> None:
        """Raises Interrupted where a stop is requested."""
        with self.stop.at_once():
            time.sleep(seconds)

    @property
    def result(self) -> PullResult:
        """What has become of all sources so far."""
        return PullResult(tuple(self.results.values()))


def pull_sources(pull: Pull, sources: Sequence[OpenSource]) -> None:
    """Each source in turn; one that fails keeps no other from being pulled.

    Raises the first of SourceAway, LeaseHeld, RowsContested, DeclarationChanged and whatever else passes, since that is
    to be tried again; where nothing does, the first of SourceUnusable, SourceKeysUnusable, SourceRefused, KeptIdTaken.
    The others are told. Raises Interrupted.
    """
    errors: list[PimaError] = []
    for source in sources:
        try:
            _pull(pull, source)
        except PimaError as error:
            status = runs.status_of_exit_code(error.exit_code)
            pull.report(replace(pull.results[source.source.name], status=status, error_code=error.code))
            errors.append(error)
    # Sorting leaves those that are alike in their order.
    errors.sort(key=lambda error: error.exit_code != TRY_AGAIN_LATER)
    for other in errors[1:]:
        tell(f"error: {other}")
    if errors:
        raise errors[0]


def _pull(pull: Pull, opened: OpenSource) -> None:
    name = opened.source.name
    pull.report(PulledSource(name))
    # A dry run changes nothing and needs no lease.
    alone = only_one(pull.engine, f"pull {name}", pull.run.id, LEASE_SECONDS)
    with nullcontext() if pull.dry_run else alone as lease, _staging(pull, opened) as (own, staging):
        with pull.stop.at_once():
            planned = plan(pull.engine, opened, pull.whole)
            if lease is not None:
                begin(pull.engine, opened, planned, lease)
            tally = SourceTally()
            _stage(own, staging, opened, planned, tally)
            result = as_read(PulledSource(name, compared=planned.extent.called), tally, opened.source.columns)
            pull.report(result)
            comparison, outcomes_in_all = _compared(own, staging, opened, planned, tally)
        result = as_compared(result, comparison)
        pull.report(result)
        require_sound(opened.source, tally, comparison, outcomes_in_all)
        if outcomes_in_all is None and not comparison.ours:
            _require_no_other_name(own, staging, name, pull.declared)
        if lease is None:
            result = as_would_be(result, comparison, opened.source.vanished == "delete")
        else:
            result = _take_all(pull, own, staging, opened, planned, lease, result)
            complete(pull.engine, opened, planned, lease)
    result = replace(result, status=runs.Status.SUCCEEDED)
    pull.report(result)
    get_logger().info("source pulled", **as_json(result))


@contextmanager
def _staging(pull: Pull, opened: OpenSource) -> Iterator[tuple[Connection, StagedSource]]:
    """A session of our database with an empty staging table, of which nothing is left in the end."""
    with session(pull.engine) as own:
        staging = StagedSource(own, opened.columns, "source_key", opened.source.name)
        with transaction(own, writes=True):
            staging.make()
        try:
            yield own, staging
        finally:
            with suppress(Exception), transaction(own, writes=True):
                staging.drop()


@contextmanager
def _unlimited(own: Connection, staging: StagedSource) -> Iterator[None]:
    """A transaction of the staging table's session that writes to it alone, for as long as it takes. On SQLite it keeps
    nobody from writing; on PostgreSQL tables and indexes are made by transactions alone that may write."""
    with transaction(own, writes=not database_of(own).is_a_file):
        staging.require_session()
        without_time_limit(own)
        yield


def _stage(own: Connection, staging: StagedSource, opened: OpenSource, planned: Plan, tally: SourceTally) -> None:
    """Stage what is to be compared of the source, each block in a transaction of its own: a source that answers slowly
    must not hold one open."""
    reader = SourceReader(opened.source, opened.mapping, planned.now, tally, planned.forgotten)
    with reader.reading(opened.engine, planned.extent) as (blocks, keys):
        for block in blocks:
            with _unlimited(own, staging):
                staging.append(block[[*opened.columns, "reason", "field"]], "source_key")
        for some in keys:
            with _unlimited(own, staging):
                staging.append_keys(some)


def _compared(
    own: Connection, staging: StagedSource, opened: OpenSource, planned: Plan, tally: SourceTally
) -> tuple[Comparison, int | None]:
    """What differs; and, where only a part was read, how many outcomes we know of the whole source."""
    whole = isinstance(planned.extent, Whole)
    with _unlimited(own, staging):
        repeated = staging.repeated_keys()
    held = _held(opened, tally) if tally.without_key else ""
    require_readable(opened.source, opened.mapping, tally, repeated, held)
    with _unlimited(own, staging):
        ranges = staging.ranges_to_compare(whole, BLOCK_KEYS)
    compared, deletes = [], opened.source.vanished == "delete"
    for within in ranges:
        with _unlimited(own, staging):
            compared.append(staging.compare(within, opened.mapping.features, whole, deletes))
    with _unlimited(own, staging):
        outcomes_in_all = None if whole else count_outcomes(own, opened.source.name)
    return reduce(add, compared), outcomes_in_all


def _held(opened: OpenSource, tally: SourceTally) -> str:
    """What the key's columns hold, by the catalogue, or by the driver's values."""
    source = opened.source
    if types := source_query.types_of(opened.engine, source, source.keys):
        return f" (its type there: {', '.join(types)})"
    # A text may be of either, so that its type says nothing.
    others = tally.key_types if "integer" in source.key_types else tally.key_types - {str.__name__}
    return f" (its values there: {', '.join(sorted(others))})" if others else ""


def _require_no_other_name(own: Connection, staging: StagedSource, name: str, declared: Collection[str]) -> None:
    """Raises SourceRefused where a source was given another name in the settings, under which each of its rows would
    come a second time: most of its keys are those of a source that the settings no longer declare."""
    with transaction(own, writes=False):
        for former in sorted(set(pulled_names(own)) - {name, *declared}):
            known, asked = staging.keys_of(former)
            if known > asked / 2:
                what = (
                    f"we have no rows of it yet, and {known:,} of {asked:,} of its keys are those of rows of the "
                    f"source {former}, which the settings no longer declare. If it was renamed, give it its former "
                    f"name back ({former}): a source's name is part of what a row is called, and under another one "
                    f"each row would come a second time. If it is really another source, declare {former}, too"
                )
                raise SourceRefused(source=name, what=what)


def _take_all(
    pull: Pull,
    own: Connection,
    staging: StagedSource,
    opened: OpenSource,
    planned: Plan,
    lease: HeldLease,
    result: PulledSource,
) -> PulledSource:
    """Take in what differs, by ranges of keys."""
    with transaction(own, writes=True):
        without_time_limit(own)
        staging.require_session()
        lease.require(own)
        _leave_out_forgotten(own, staging, planned, None)
        staging.write_rejections(isinstance(planned.extent, Whole))
    with _unlimited(own, staging):
        ranges = staging.ranges(BLOCK_KEYS)
    for within in ranges:
        pull.stop.check()
        result = until_free(partial(_take, pull, own, staging, opened, planned, within, lease, result), pull.pause)
    return result


def _take(
    pull: Pull,
    own: Connection,
    staging: StagedSource,
    opened: OpenSource,
    planned: Plan,
    within: KeyRange,
    lease: HeldLease,
    result: PulledSource,
) -> PulledSource:
    """Take in a range, in one transaction with the counts that it makes. Raises RowsContested, KeptIdTaken."""
    try:
        with transaction(own, writes=True):
            lease.require(own)
            database_of(own).wait_for_other_loads(own)
            require_still_declared(own, opened.declared)
            staging.require_session()
            _leave_out_forgotten(own, staging, planned, within)
            with told_as_contested(own):
                taken = staging.take(within, planned.so_far if opened.source.vanished == "delete" else None)
            staging.take_off_rejections(within)
            result = with_taken(result, taken)
            counts = as_json(PullResult(tuple((pull.results | {result.source: result}).values())))
            runs.record_progress(own, pull.run.id, counts, None)
    except DatabaseFailed:
        _require_kept_ids_free(own, staging, opened.source.name, within)
        raise
    pull.report(result)
    return result


def _leave_out_forgotten(own: Connection, staging: StagedSource, planned: Plan, within: KeyRange | None) -> None:
    known = everyone_forgotten(own)
    if known.marks != planned.forgotten.marks:
        staging.leave_out_forgotten(within, known)


_SHOWN = 20


def _require_kept_ids_free(own: Connection, staging: StagedSource, source: str, within: KeyRange) -> None:
    with transaction(own, writes=False):
        taken = staging.ids_kept_and_taken(within)
    if taken:
        first = ", ".join(map(str, taken[:_SHOWN]))
        raise KeptIdTaken(source=source, rows=counted(len(taken), "row"), first=first)
