"""Erasing one person from every table, and keeping later loads and pulls from bringing them back.

It is one transaction, so it happens completely or not at all. Work that might write the person's
data meanwhile is kept out. A retraining and the job that moves old rows to files have read the
rows; their leases are taken. Loads and pulls check who was forgotten as they write. A batch that is
being scored locks its queue entries, and a requeue the rows that it queues, so erasing waits for
them.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.core.declared import identifiers as marks
from pima.core.declared.identifiers import ById, ByPerson, Forgotten, Who, mark_of
from pima.core.rows.history import rank_name
from pima.errors import (
    FileNotMadeAnew,
    ForgottenListRefused,
    NobodyToForget,
    PersonHasMoreRows,
    PimaError,
    SnapshotDamaged,
    TrainingIdsDamaged,
)
from pima.logs import counted, get_logger
from pima.runs.lease import take
from pima.runs.whole_file import whole_file
from pima.store.database import database_of
from pima.store.engine import reading, translated_errors, without_time_limit, writing
from pima.store.models import beside_verdicts, lineage, registry
from pima.store.models.lineage import OF_IDS, without_rows
from pima.store.models.registry import holdout_rule
from pima.store.rows import erasing
from pima.store.rows.erasing import Found, everyone_forgotten, keep_marks
from pima.store.service import leases

_LEASE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """Counts of what was erased, or by a dry run what would be. The fields are the keys of the
    JSON."""

    rows: int
    """Rows of `patients`."""
    queue_entries: int
    predictions: int
    prediction_scores: int
    """What the scores in use said beside them."""
    rejections: int
    row_history: int
    """Values of earlier versions."""
    row_keys: int
    snapshots: tuple[int, ...]
    """Versions whose training snapshot had rows removed."""
    test_sets: int
    """Test sets that had ids removed."""
    learned_by: tuple[int, ...]
    """Versions that learned from the rows; what they learned is not erased."""
    forgotten_before: bool
    """Whether the person was already known as forgotten."""
    not_reached: tuple[str, ...]
    """Other places that may still hold data of the person."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Who is to be forgotten, and whose decision that is."""

    who: Who
    decided_by: str
    reason: str
    without_rows: bool = False
    """Whether to keep out who has no rows here."""


def forget(engine: Engine, asked: Forgetting, dry_run: bool) -> ForgetResult:
    """Erase a person, and keep them out from then on.

    Raises NobodyToForget, PersonHasMoreRows or RowsKept; LeaseHeld if a retraining or `retain` is
    running; FileNotMadeAnew after everything was erased.
    """
    with writing(engine) as connection:
        without_time_limit(connection)
        database_of(connection).wait_for_other_loads(connection)
        names = (leases.RETRAINING, leases.RETAINING)
        fences = {name: take(connection, name, "forget", _LEASE_SECONDS) for name in names}
        result = _erase(connection, asked)
        for name, fence in fences.items():
            leases.release_lease(connection, name, fence)
        if dry_run:
            connection.rollback()
            return result
    # Also if the person was forgotten before: that command may have ended right here.
    try:
        with translated_errors(engine):
            database_of(engine).vacuum_after_erasure(engine)
    except PimaError as error:
        # The error's own message says that all was rolled back, which is true only of this step.
        raise FileNotMadeAnew(what=error.facts["what"]) from None
    get_logger().info("a person was forgotten", rows=result.rows, predictions=result.predictions)
    return result


def _erase(connection: Connection, asked: Forgetting) -> ForgetResult:
    known = everyone_forgotten(connection)
    found = _found(connection, asked.who)
    called = _as_asked(asked.who)
    names = _names(found)
    asked_names = _names(called)
    was_forgotten = any(map(known.has, names + asked_names))
    sides = _hide_sides(connection, found)
    redacted = redact(connection, found.ids)
    erased = erasing.erase_rows(connection, found)
    # A row that was always rejected is known only by its key.
    erasing.erase_source_rejections(connection, found.keys | called.keys)
    # Checked only now, since an id may be known only to a snapshot.
    if not (redacted or any(erased.values()) or sides or was_forgotten or asked.without_rows):
        raise NobodyToForget(called=asked.who)
    # If the key has no row, all spellings that files and sources may use are marked.
    is_known = any(name in names or known.has(name) for name in asked_names)
    if not is_known:
        names += asked_names
    new = {mark_of(name, known.salt) for name in names}
    if isinstance(asked.who, Forgotten):
        new |= asked.who.marks
    keep_marks(connection, new - known.marks, asked.decided_by, asked.reason)
    return ForgetResult(
        **erased,
        snapshots=redacted.snapshots,
        test_sets=redacted.test_sets,
        learned_by=redacted.learned_by,
        forgotten_before=was_forgotten,
        not_reached=(
            *_left(redacted.learned_by, redacted.damaged, sides),
            *_NEVER_REACHED,
            database_of(connection).keeps_deleted,
        ),
    )


_NEVER_REACHED = (
    "backups and copies of the database",
    "exports, explanations, and rows that `retain --to` has moved",
    "the files and sources that the rows came from",
    "log files with lines that name ids",
)


def _found(connection: Connection, who: Who) -> Found:
    match who:
        case Forgotten():
            return erasing.find_marked(connection, who)
        case ByPerson():
            return _first_known(connection, who.spellings)
        case ById():
            found = erasing.find_by_ids(connection, [who.patient_id])
        case _:
            found = erasing.find_by_key(connection, who.source, who.source_key)
    if found.persons:
        rows = erasing.find_by_persons(connection, sorted(found.persons)).ids
        if rows - found.ids:
            raise PersonHasMoreRows(rows=len(rows))
    return found


def _first_known(connection: Connection, spellings: Sequence[str]) -> Found:
    """Find the first known spelling. The one as written comes first: it may be one person's key,
    while a source's form of it is another's."""
    without_rows = Found()
    for person in spellings:
        if found := erasing.find_by_persons(connection, [person]):
            return found
        if not without_rows.persons:
            without_rows = found
    return without_rows


def _names(found: Found) -> list[str]:
    ids = map(marks.name_of_id, sorted(found.ids))
    keys = (marks.name_of_key(*each) for each in sorted(found.keys))
    return [*ids, *keys, *map(marks.name_of_person, sorted(found.persons))]


def _as_asked(who: Who) -> Found:
    """What the given key may stand for, whether it is known or not."""
    match who:
        case Forgotten():
            return Found()
        case ByPerson():
            return Found(persons=frozenset(who.spellings))
        case ById():
            return Found(ids=frozenset({who.patient_id}))
        case _:
            return Found(keys=frozenset({(who.source, who.source_key)}))


def _hide_sides(connection: Connection, found: Found) -> int:
    """Keep the sides of rows that came with this person's key and now belong to someone else;
    return how many."""
    salt = holdout_rule(connection).salt
    hidden = 0
    for person in sorted(found.persons):
        others = [
            each for each in erasing.sides_by_person(connection, person) if each not in found.ids
        ]
        erasing.call_sides(connection, others, rank_name(marks.name_of_person(person), salt))
        hidden += len(others)
    return hidden


def _left(learned_by: Sequence[int], damaged: Sequence[int], sides: int) -> Iterator[str]:
    if sides:
        yield (
            f"{counted(sides, 'row')} that came under that key and now belong to another person "
            "or to none"
        )
    if learned_by:
        versions = f"version{'' if len(learned_by) == 1 else 's'} {', '.join(map(str, learned_by))}"
        yield f"what models have learned: {versions} learned from the rows"
    for number in damaged:
        yield (
            f"what version {number} has learned: the list of its training rows is damaged, so it "
            "is deleted"
        )


@dataclass(frozen=True, slots=True)
class Redacted:
    """The snapshots, lists of training rows and test sets that had rows of the person."""

    snapshots: tuple[int, ...]
    """Versions whose snapshot had such rows."""
    test_sets: int
    learned_by: tuple[int, ...]
    """Versions that were fitted on one of the rows."""
    damaged: tuple[int, ...]
    """Versions whose list of training rows was damaged, so that it was deleted."""

    def __bool__(self) -> bool:
        return bool(self.learned_by or self.test_sets)


def redact(connection: Connection, ids: Set[int]) -> Redacted:
    """Remove the rows with these ids from snapshots, lists of training rows and test sets, version
    by version.

    The champion's lock keeps retrainings from recording a version meanwhile.
    """
    registry.lock_champion(connection)
    kept = lineage.kept_snapshots(connection)
    snapshots = tuple(number for number in kept if _redact_snapshot(connection, number, ids))
    learned = set(snapshots)
    damaged = []
    for number in registry.numbers(connection):
        try:
            left = without_rows(lineage.training_ids(connection, number), ids, **OF_IDS)
        except TrainingIdsDamaged:
            # As with a damaged snapshot: it must not be parsed, and may hold the person's rows.
            lineage.redact_training_ids(connection, number, b"")
            damaged.append(number)
            continue
        if left is not None:
            lineage.redact_training_ids(connection, number, left[0])
            learned.add(number)
    return Redacted(
        snapshots,
        beside_verdicts.redact_test_sets(connection, ids),
        tuple(sorted(learned)),
        tuple(damaged),
    )


def _redact_snapshot(connection: Connection, number: int, ids: Set[int]) -> bool:
    try:
        snapshot = lineage.read_snapshot(connection, number)
    except SnapshotDamaged:
        # A damaged snapshot must not be parsed, is of no use, and may hold the person's rows.
        lineage.drop_snapshot(connection, number)
        get_logger().warning("a damaged training snapshot was deleted", model_version=number)
        return False
    if snapshot is None:
        return False
    left = without_rows(snapshot.content, ids)
    if left is None:
        return False
    lineage.redact_snapshot(connection, number, snapshot, *left)
    return True


# ---- The list of everyone who was forgotten. It is kept beside backups, and deploy/backup.sh
# writes the same.


def write_list(engine: Engine, path: Path) -> None:
    """Write the list to a new file. Raises WrongUsage."""
    with reading(engine) as connection, whole_file(path, "--export") as file:
        file.write(everyone_forgotten(connection).as_list.encode())


def read_list(engine: Engine, path: Path) -> Forgotten:
    """Read a list of this installation. Raises ForgottenListRefused."""
    with reading(engine) as connection:
        salt = everyone_forgotten(connection).salt
    try:
        text = path.read_text("latin-1")  # it may be any file
    except OSError as error:
        raise ForgottenListRefused(file=path, what=f"it can't be read ({error.strerror})") from None
    listed = Forgotten(salt, frozenset(text.splitlines()[:-1]))
    if listed.as_list != text:
        raise ForgottenListRefused(file=path, what="it is another installation's, or not whole")
    return listed
