"""Bringing `patients` up to date from a source: all of it is read beside our rows, judged, and then taken in by blocks.

What ends it in between is completed by the next pull, which compares again.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from pima.core.features import Features
from pima.core.mapping import SourceMapping, SourceRows, Tally
from pima.core.source import Source
from pima.errors import PimaError
from pima.intake.change_file import ChangeBlock, ChangeFile
from pima.intake.comparing import compare
from pima.intake.guards import Comparison, require_sound
from pima.intake.pull_results import PulledSource, PullResult, as_read, as_would_be
from pima.intake.source_reading import BLOCK_ROWS, OutOfOrder, mapping_of, source_rows
from pima.logs import get_logger, tell
from pima.process.leasing import HeldLease, only_one
from pima.process.recorded_run import OpenRun
from pima.process.results import as_json
from pima.process.stopping import StopRequest
from pima.store import patients, runs
from pima.store.engine import reading, writing
from pima.store.source_rows import Changes, rows_after

LEASE_SECONDS = 60
"""How long a pull that died keeps the next one of its source out."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One run of the job."""

    engine: Engine
    """Of pima's own database."""
    features: Features
    run: OpenRun
    stop: StopRequest
    dry_run: bool
    """Read, compare and judge, and write nothing but the run."""
    results: dict[str, PulledSource] = field(default_factory=dict)
    """By source, as far as it has come."""

    def report(self, result: PulledSource) -> None:
        """What has become of a source so far."""
        self.results[result.source] = result
        self.run.report(self.result)

    @property
    def result(self) -> PullResult:
        """What has become of all sources so far."""
        return PullResult(tuple(self.results.values()))


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source and the way to it."""

    source: Source
    mapping: SourceMapping
    engine: Engine

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of `patients` that it brings."""
        person, outcome = bool(self.mapping.person_types), self.mapping.has_outcome
        names = (feature.name for feature in self.mapping.features)
        return (*(["person_key"] if person else []), *names, *(["outcome"] if outcome else []))


def open_source(source: Source, features: Features, engine: Engine) -> OpenSource:
    """Connects to nothing yet. Raises SourceUnusable where it does not fit the features."""
    return OpenSource(source, mapping_of(source, features), engine)


def pull_sources(pull: Pull, sources: Sequence[OpenSource]) -> None:
    """Each source in turn; one that fails keeps no other from being pulled.

    Raises the first of SourceUnusable, SourceKeysUnusable, SourceRefused, SourceAway, LeaseHeld; Interrupted.
    """
    first: PimaError | None = None
    for source in sources:
        try:
            _pull(pull, source)
        except PimaError as error:
            status = runs.status_of_exit_code(error.exit_code)
            pull.report(replace(pull.results[source.source.name], status=status, error_code=error.code))
            if first is not None:
                tell(f"error: {error}")
            first = first or error
    if first is not None:
        raise first


def _pull(pull: Pull, opened: OpenSource) -> None:
    pull.report(PulledSource(opened.source.name))
    # A dry run changes nothing and needs no lease.
    alone = only_one(pull.engine, f"pull {opened.source.name}", pull.run.id, LEASE_SECONDS)
    with nullcontext() if pull.dry_run else alone as lease, ExitStack() as at_the_end:
        with pull.stop.at_once():
            tally, comparison, changes = _compared(pull, opened, at_the_end)
        result = as_read(opened.source.name, tally, comparison)
        pull.report(result)
        require_sound(opened.source, opened.mapping, tally, comparison)
        if lease is None:
            result = as_would_be(result, comparison, opened.source.vanished == "delete")
            pull.report(result)
        else:
            for block in changes.blocks():
                pull.stop.check()
                result = _take(pull, opened, block, lease, result)
    result = replace(result, status=runs.Status.SUCCEEDED)
    pull.report(result)
    get_logger().info("source pulled", **as_json(result))


def _compared(pull: Pull, opened: OpenSource, at_the_end: ExitStack) -> tuple[Tally, Comparison, ChangeFile]:
    """All of the source beside all of our rows of it."""
    try:
        return _compared_once(pull, opened, at_the_end, ordered=True)
    except OutOfOrder:
        get_logger().info("the source's order is not that of its keys; its rows are sorted", source=opened.source.name)
        return _compared_once(pull, opened, at_the_end, ordered=False)


def _compared_once(
    pull: Pull, opened: OpenSource, at_the_end: ExitStack, ordered: bool
) -> tuple[Tally, Comparison, ChangeFile]:
    tally, comparison, mapping = Tally(), Comparison(), opened.mapping
    has_person, deletes = bool(mapping.person_types), opened.source.vanished == "delete"
    changes = ChangeFile(BLOCK_ROWS, has_person, mapping.has_outcome, deletes)
    at_the_end.callback(changes.close)
    with source_rows(opened.engine, opened.source, mapping, tally, ordered) as theirs:
        ours = _our_rows(pull, opened)
        for found in compare(theirs, ours, len(mapping.features), mapping.has_outcome, has_person):
            comparison.add(found, mapping)
            changes.add(found)
    return tally, comparison, changes


def _our_rows(pull: Pull, opened: OpenSource) -> Iterator[SourceRows]:
    """Our rows of the source, in blocks, each read by a transaction of its own: a source that answers slowly must not
    hold one open, and a row that somebody changes meanwhile is compared again where it is written."""
    names, last = [feature.name for feature in opened.mapping.features], ""
    while True:
        with reading(pull.engine) as connection:
            block = rows_after(connection, opened.source.name, names, last, BLOCK_ROWS)
        if not len(block):
            return
        last = block.keys[-1]
        yield block


def _take(pull: Pull, opened: OpenSource, block: ChangeBlock, lease: HeldLease, result: PulledSource) -> PulledSource:
    """Take in a block, in one transaction with the counts that it makes."""
    with writing(pull.engine) as connection:
        lease.require(connection)
        patients.only_one_load(connection)
        taken = Changes(connection, opened.source.name, opened.columns).take(block.new, block.changed, block.vanished)
        result = replace(
            result,
            inserted=result.inserted + taken.inserted,
            updated=result.updated + taken.updated,
            deleted=result.deleted + taken.deleted,
            outcomes_arrived=result.outcomes_arrived + block.arrived,
            outcomes_corrected=result.outcomes_corrected + block.corrected,
            outcomes_cleared=result.outcomes_cleared + block.cleared,
        )
        counts = as_json(PullResult(tuple((pull.results | {result.source: result}).values())))
        runs.record_progress(connection, pull.run.id, counts, None)
    pull.report(result)
    return result
