"""Erasing one person from every table, and seeing to it that no load or pull brings them back.

One transaction, so that it is done or not begun. Whoever might write something of the person meanwhile is kept out of
it: a retraining and what moves old rows to files, which have read the rows, by their leases; loads and pulls, which ask
who was forgotten as they write; a batch that is being scored by the queue's entry, which it holds.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from pima.core import identifiers as marks
from pima.core.history import rank_name
from pima.core.identifiers import ById, ByKey, ByPerson
from pima.errors import FileNotMadeAnew, NobodyToForget, PersonHasMoreRows, PimaError
from pima.logs import counted, get_logger
from pima.runs.recorded_run import take
from pima.store import erasing, lineage, registry, runs
from pima.store.database import database_of
from pima.store.engine import translated_errors, without_time_limit, writing
from pima.store.erasing import Found, everyone_forgotten, keep_marks
from pima.store.lineage import OF_IDS, without_rows
from pima.store.registry import holdout_rule

_LEASE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """Counts of what was erased; of a dry run, what would be. The fields are the keys of the JSON."""

    rows: int
    """Of `patients`."""
    queue_entries: int
    predictions: int
    rejections: int
    row_keys: int
    error_lines: int
    """Of runs, in which an id was made unreadable."""
    snapshots: tuple[int, ...]
    """Versions of whose training snapshot rows were taken out."""
    test_sets: int
    """Out of which ids were taken."""
    learned_by: tuple[int, ...]
    """Versions that learned from the rows, and still know what they learned."""
    forgotten_before: bool
    """Whether the person was known as forgotten already."""
    not_reached: tuple[str, ...]
    """What may still hold something of the person."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A person who is to be forgotten, and by whose decision."""

    who: ById | ByKey | ByPerson
    decided_by: str
    reason: str
    without_rows: bool = False
    """Of a person or key that is unknown here: they are kept out."""


def forget(engine: Engine, asked: Forgetting, dry_run: bool) -> ForgetResult:
    """Erase a person, and keep them out from then on.

    Raises NobodyToForget, PersonHasMoreRows, RowsKept; LeaseHeld where a retraining or `retain` is at work;
    FileNotMadeAnew once all is erased.
    """
    with writing(engine) as connection:
        without_time_limit(connection)
        database_of(connection).wait_for_other_loads(connection)
        names = (runs.RETRAINING, runs.RETAINING)
        fences = {name: take(connection, name, "forget", _LEASE_SECONDS) for name in names}
        result = _erase(connection, asked)
        for name, fence in fences.items():
            runs.release_lease(connection, name, fence)
        if dry_run:
            connection.rollback()
            return result
    # Also of somebody who was forgotten before: that command may have ended right here.
    try:
        with translated_errors(engine):
            database_of(engine).vacuum_after_erasure(engine)
    except PimaError as error:
        # What ended it says that all was rolled back, which is true of this step alone.
        raise FileNotMadeAnew(what=error.facts["what"]) from None
    get_logger().info("a person was forgotten", rows=result.rows, predictions=result.predictions)
    return result


def _erase(connection: Connection, asked: Forgetting) -> ForgetResult:
    known = everyone_forgotten(connection)
    found = _found(connection, asked.who)
    names, asked_names = _names(found), _asked_names(asked.who)
    was_forgotten = any(map(known.has, names + asked_names))
    sides = _hide_sides(connection, found)
    redacted = redact(connection, found.ids)
    erased = erasing.erase_rows(connection, found)
    # A row may have been rejected each time, and so be known by its key alone.
    asked_key = {(asked.who.source, asked.who.source_key)} if isinstance(asked.who, ByKey) else set()
    erasing.erase_source_rejections(connection, found.keys | asked_key)
    # An id may be known to a snapshot alone, so that there was somebody is known only by now.
    if not (redacted or any(erased.values()) or sides or was_forgotten or asked.without_rows):
        raise NobodyToForget(called=asked.who)
    # So files and sources may spell a key that has no row.
    is_known = any(name in names or known.has(name) for name in asked_names)
    keep_marks(connection, known, names if is_known else names + asked_names, asked.decided_by, asked.reason)
    return ForgetResult(
        **erased,
        snapshots=redacted.snapshots,
        test_sets=redacted.test_sets,
        learned_by=redacted.learned_by,
        forgotten_before=was_forgotten,
        not_reached=(*_left(redacted.learned_by, sides), *_NEVER_REACHED, database_of(connection).keeps_deleted),
    )


_NEVER_REACHED = (
    "backups and copies of the database",
    "exports, explanations, and rows that `retain --to` has moved",
    "the files and sources that the rows came from",
    "log files with lines that name ids",
)


def _found(connection: Connection, who: ById | ByKey | ByPerson) -> Found:
    match who:
        case ByPerson():
            return _first_known(connection, who.spellings)
        case ById():
            found = erasing.find_by_id(connection, who.patient_id)
        case _:
            found = erasing.find_by_key(connection, who.source, who.source_key)
    if found.persons:
        rows = erasing.find_by_persons(connection, sorted(found.persons)).ids
        if rows - found.ids:
            raise PersonHasMoreRows(rows=len(rows))
    return found


def _first_known(connection: Connection, spellings: Sequence[str]) -> Found:
    """Find the first spelling that is known. As it was written comes first: it may be one person's key, and what a
    source makes of it another's."""
    without_rows = Found()
    for person in spellings:
        if found := erasing.find_by_persons(connection, [person]):
            return found
        without_rows = without_rows if without_rows.persons else found
    return without_rows


def _names(found: Found) -> list[str]:
    ids = map(marks.name_of_id, sorted(found.ids))
    keys = (marks.name_of_key(*each) for each in sorted(found.keys))
    return [*ids, *keys, *map(marks.name_of_person, sorted(found.persons))]


def _asked_names(who: ById | ByKey | ByPerson) -> list[str]:
    """List the names that the key which was given may have."""
    match who:
        case ByPerson():
            return list(map(marks.name_of_person, who.spellings))
        case ById():
            return [marks.name_of_id(who.patient_id)]
        case _:
            return [marks.name_of_key(who.source, who.source_key)]


def _hide_sides(connection: Connection, found: Found) -> int:
    """Keep rows on their side that were the person's when they first came, and are another's by now; count them."""
    salt, hidden = holdout_rule(connection).salt, 0
    for person in sorted(found.persons):
        others = [each for each in erasing.sides_by_person(connection, person) if each not in found.ids]
        erasing.call_sides(connection, others, rank_name(marks.name_of_person(person), salt))
        hidden += len(others)
    return hidden


def _left(learned_by: Sequence[int], sides: int) -> Iterator[str]:
    if sides:
        yield f"{counted(sides, 'row')} that came under that key and are another person's or nobody's by now"
    if learned_by:
        versions = f"version{'' if len(learned_by) == 1 else 's'} {', '.join(map(str, learned_by))}"
        yield f"what models have learned: {versions} learned from the rows"


@dataclass(frozen=True, slots=True)
class Redacted:
    """The snapshots, lists of training rows and test sets that had rows of the person."""

    snapshots: tuple[int, ...]
    """Versions."""
    test_sets: int
    learned_by: tuple[int, ...]
    """Versions that were fitted on one of the rows."""

    def __bool__(self) -> bool:
        return bool(self.learned_by or self.test_sets)


def redact(connection: Connection, ids: Set[int]) -> Redacted:
    """Take the rows with these ids out of snapshots, lists of training rows and test sets, version by version.

    No retraining may record a version meanwhile.
    """
    registry.lock_champion(connection)
    kept = lineage.kept_snapshots(connection)
    snapshots = tuple(number for number in kept if _redact_snapshot(connection, number, ids))
    learned = set(snapshots)
    for number in registry.numbers(connection):
        left = without_rows(registry.training_ids(connection, number) or b"", ids, **OF_IDS)
        if left is not None:
            lineage.redact_training_ids(connection, number, left[0])
            learned.add(number)
    return Redacted(snapshots, lineage.redact_test_sets(connection, ids), tuple(sorted(learned)))


def _redact_snapshot(connection: Connection, number: int, ids: Set[int]) -> bool:
    snapshot = lineage.read_snapshot(connection, number)
    if snapshot is None:
        return False
    if hashlib.sha256(snapshot.content).hexdigest() != snapshot.sha256:
        # What it holds is not to be parsed, serves for nothing any more, and may be the person's.
        lineage.drop_snapshot(connection, number)
        get_logger().warning("a training snapshot was damaged and is gone", model_version=number)
        return False
    left = without_rows(snapshot.content, ids)
    if left is None:
        return False
    lineage.redact_snapshot(connection, number, snapshot, *left)
    return True
