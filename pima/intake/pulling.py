"""Bringing `patients` up to date from a source: it is read beside our rows, judged, and then taken in by blocks.

What ends it in between is completed by the next pull, which compares again.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Engine

from pima.core.mapping import SourceTally
from pima.core.wording import counted
from pima.errors import TRY_AGAIN_LATER, DatabaseFailed, KeptIdTaken, PimaError
from pima.intake.change_file import ChangeBlock, ChangeFile
from pima.intake.comparing import compared
from pima.intake.contested import until_free
from pima.intake.extent import Whole
from pima.intake.forgotten_rows import still_wanted
from pima.intake.former_names import require_no_other_name
from pima.intake.guards import Comparison, require_sound
from pima.intake.our_rows import OurRows
from pima.intake.planning import OpenSource, Plan, begin, complete, plan
from pima.intake.pull_results import PulledSource, PullResult, as_read, as_would_be
from pima.intake.source_reading import BLOCK_ROWS, OutOfOrder, SourceReader
from pima.logs import get_logger, tell
from pima.process.leasing import HeldLease, only_one
from pima.process.recorded_run import OpenRun, as_json
from pima.process.stopping import StopRequest
from pima.store import patients, runs
from pima.store.contested import told_as_contested
from pima.store.engine import reading, writing
from pima.store.forgotten import everyone_forgotten
from pima.store.registry import require_still_declared
from pima.store.source_engine import are_one_file
from pima.store.source_rows import Changes, count_outcomes

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
    with nullcontext() if pull.dry_run else alone as lease, ExitStack() as at_the_end:
        with pull.stop.at_once():
            planned = plan(pull.engine, opened, pull.whole)
            if lease is not None:
                begin(pull.engine, opened, planned, lease)
            tally, comparison, changes = _compared(pull, opened, planned, at_the_end)
            outcomes_in_all = None if isinstance(planned.extent, Whole) else _outcomes_in_all(pull.engine, name)
        result = as_read(PulledSource(name, compared=planned.extent.called), tally, comparison, opened.source.columns)
        pull.report(result)
        require_sound(opened.source, opened.mapping, tally, comparison, outcomes_in_all)
        if outcomes_in_all is None and not comparison.ours:
            require_no_other_name(pull.engine, name, pull.declared, comparison.new_keys.keys)
        if lease is None:
            result = as_would_be(result, comparison, opened.source.vanished == "delete")
            pull.report(result)
        else:
            for block in changes.blocks():
                pull.stop.check()
                result = until_free(partial(_take, pull, opened, planned, block, lease, result), pull.pause)
            complete(pull.engine, opened, planned, lease)
    result = replace(result, status=runs.Status.SUCCEEDED)
    pull.report(result)
    get_logger().info("source pulled", **as_json(result))


def _compared(
    pull: Pull, opened: OpenSource, planned: Plan, at_the_end: ExitStack
) -> tuple[SourceTally, Comparison, ChangeFile]:
    """What is to be compared of the source beside our rows of it."""
    try:
        return _compared_once(pull, opened, planned, at_the_end, ordered=True)
    except OutOfOrder:
        get_logger().info("the source's order is not that of its keys; its rows are sorted", source=opened.source.name)
        return _compared_once(pull, opened, planned, at_the_end, ordered=False)


def _compared_once(
    pull: Pull, opened: OpenSource, planned: Plan, at_the_end: ExitStack, ordered: bool
) -> tuple[SourceTally, Comparison, ChangeFile]:
    tally, comparison, mapping = SourceTally(), Comparison(), opened.mapping
    changes = ChangeFile(BLOCK_ROWS, opened.source)
    at_the_end.callback(changes.close)
    reader = SourceReader(opened.source, mapping, planned.now, tally, planned.forgotten)
    with reader.rows(opened.engine, planned.extent, ordered) as (connection, theirs):
        within = connection if are_one_file(opened.engine, pull.engine) else None
        ours = OurRows(pull.engine, opened.our_columns, within)
        for pair in ours.beside(theirs, planned.extent):
            found = compared(*pair, mapping.has_outcome, bool(mapping.person_types))
            comparison.add(found, mapping)
            changes.add(found)
    return tally, comparison, changes


def _outcomes_in_all(engine: Engine, name: str) -> int:
    with reading(engine) as connection:
        return count_outcomes(connection, name)


def _take(
    pull: Pull, opened: OpenSource, planned: Plan, block: ChangeBlock, lease: HeldLease, result: PulledSource
) -> PulledSource:
    """Take in a block, in one transaction with the counts that it makes. Raises RowsContested, KeptIdTaken."""
    try:
        return _taken(pull, opened, planned, block, lease, result)
    except DatabaseFailed:
        _require_kept_ids_free(pull, opened.source.name, block)
        raise


_SHOWN = 20


def _require_kept_ids_free(pull: Pull, source: str, block: ChangeBlock) -> None:
    with reading(pull.engine) as connection:
        taken = patients.ids_kept_and_taken(connection, source, block.new.keys)
    if taken:
        first = ", ".join(map(str, taken[:_SHOWN]))
        raise KeptIdTaken(source=source, rows=counted(len(taken), "row"), first=first)


def _taken(
    pull: Pull, opened: OpenSource, planned: Plan, block: ChangeBlock, lease: HeldLease, result: PulledSource
) -> PulledSource:
    with writing(pull.engine) as connection:
        lease.require(connection)
        patients.only_one_load(connection)
        require_still_declared(connection, opened.declared)
        name, known = opened.source.name, everyone_forgotten(connection)
        new, changed = still_wanted(name, block.new, known), still_wanted(name, block.changed, known)
        if len(new):
            patients.draw_ids_above_given(connection)
        with told_as_contested(connection):
            changes = Changes(connection, name, opened.columns)
            taken = changes.take(new, changed, block.vanished, planned.so_far)
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
