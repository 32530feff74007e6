"""The scoring queue: claim what waits, and put back what fell out.

A claim reads rows and deletes them; the caller writes what became of them in the same transaction. A process that dies
anywhere rolls back, and the rows wait again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from pima.errors import VersionNotDrawn
from pima.store.batches import Batch
from pima.store.columns import any_differs, assigned, listed
from pima.store.database import database_of
from pima.store.declarations import newest_declaration
from pima.store.id_lists import id_lists
from pima.store.tables import LACKS_STAMPS, scoring_queue


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queue's state."""

    rows: int
    oldest: datetime | None


def claim(connection: Connection, names: tuple[str, ...], after: int, rows: int) -> Batch:
    """Take up to `rows` rows with a patient id above `after`, of the measurements those of these features.

    They are gone once the transaction commits. At most `largest_batch` rows at once.
    """
    return database_of(connection).claim(connection, names, after, rows)


_LARGEST_VALUE_BYTES = 900_000_000


def largest_batch(features: int) -> int:
    """Rows. On PostgreSQL a batch comes as one value of at most 1 GB, of eight bytes for each number of a row."""
    return _LARGEST_VALUE_BYTES // (8 * (2 + features))


def is_empty(connection: Connection) -> bool:
    """Whether nothing waits."""
    # One index look-up, however long the queue.
    return connection.execute(select(scoring_queue.c.patient_id).limit(1)).first() is None


def waiting(connection: Connection) -> Waiting:
    """How many rows wait and since when the oldest does."""
    # Reads the whole queue; for people's eyes, not for the scorer's loop.
    rows, oldest = connection.execute(select(func.count(), func.min(scoring_queue.c.enqueued_at))).one()
    return Waiting(rows, oldest)


_CURRENT = "p.outcome IS NULL"
_NOT_QUEUED = """NOT EXISTS (
    SELECT 1 FROM scoring_queue q WHERE q.patient_id = p.id AND q.patient_version >= p.version)"""
_WAITS = """EXISTS (
    SELECT 1 FROM scoring_queue q WHERE q.patient_id = p.id AND q.patient_version = p.version)"""
_NOT_REJECTED = """NOT EXISTS (
    SELECT 1 FROM rejections r WHERE r.patient_id = p.id AND r.patient_version = p.version)"""
_NOT_PREDICTED = """NOT EXISTS (
    SELECT 1 FROM predictions d WHERE d.patient_id = p.id AND d.patient_version = p.version {within})"""
_NOT_PREDICTED_BY_CHAMPION = """NOT EXISTS (
    SELECT 1 FROM predictions d JOIN champion c ON c.model_version = d.model_version
    WHERE d.patient_id = p.id AND d.patient_version = p.version)"""

_BELOW_PREDICTED = """EXISTS (
    SELECT 1 FROM predictions d WHERE d.patient_id = p.id AND d.patient_version > p.version)"""


def unseen_rows(connection: Connection) -> dict[str, int]:
    """How many rows and entries show that they were written while the triggers were away, by what is wrong with them.

    Lost versions are not among them: to find those takes a walk over all patients.
    """
    rows = connection.execute(text("SELECT fault, found FROM unseen_rows"))
    return {fault: int(found) for fault, found in rows if found}


def mend_unseen(connection: Connection) -> int:
    """Put right what `unseen_rows` counts, and entries with other measurements than their row; how many.

    An outcome that came unseen counts as known from now on. What can't be seen is a measurement that was changed behind
    the triggers in a row whose version has been scored.
    """
    database_of(connection).mend_counter(connection)
    stamped = 0
    if "row_without_its_stamps" in unseen_rows(connection):  # by its index; the update may read all patients
        # The triggers give a row that has no version one, and queue it, whatever became of an earlier row's version 0.
        stamped = _stamp(connection, LACKS_STAMPS)
    return stamped + _correct_entries(connection) + _remove_entries(connection)


def _correct_entries(connection: Connection) -> int:
    """In their place: a row that somebody holds could not be queued again."""
    columns = newest_declaration(connection).columns
    differ = any_differs(columns, "scoring_queue", database_of(connection).words.differs, "p")
    return connection.execute(
        text(f"""
            UPDATE scoring_queue SET {assigned(columns, "p")} FROM patients p
            WHERE p.id = scoring_queue.patient_id AND p.version = scoring_queue.patient_version
                AND {_CURRENT} AND ({differ})""")
    ).rowcount


def _remove_entries(connection: Connection) -> int:
    """Those of no row, of a labelled one, or of another version, except while somebody holds the row: that entry tells
    of it until it can be queued again."""
    unlocked = database_of(connection).words.share_if_unlocked
    # By the version that was found: an entry that is replaced meanwhile is true, and stays.
    return connection.execute(
        text(f"""
            DELETE FROM scoring_queue WHERE (patient_id, patient_version) IN (
                WITH untrue AS MATERIALIZED (
                    SELECT q.patient_id, q.patient_version FROM scoring_queue q JOIN patients p ON p.id = q.patient_id
                    WHERE NOT (p.version = q.patient_version AND {_CURRENT}) ORDER BY p.id {unlocked})
                SELECT * FROM untrue
                UNION ALL SELECT patient_id, patient_version FROM scoring_queue q
                WHERE NOT EXISTS (SELECT 1 FROM patients p WHERE p.id = q.patient_id))""")
    ).rowcount


def requeue_lost(connection: Connection) -> int:
    """Queue the unlabelled versions that have neither prediction, rejection nor queue entry; how many.

    Rows that were written while the triggers were away are such.
    """
    lost = f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED}"
    few_ids = database_of(connection).few_ids
    few = None if few_ids is None else few_ids(connection, f"{_CURRENT} AND {lost}")
    if few is None:
        return _enqueue(connection, lost.format(within=""))
    return _enqueue_some(connection, lost.format(within=""), few)


def _stamp(connection: Connection, condition: str) -> int:
    """Have the triggers stamp rows that lack their stamps."""
    touched = database_of(connection).words.touched
    return connection.execute(text(f"UPDATE patients SET {touched} WHERE {condition}")).rowcount


def requeue_stale(connection: Connection) -> int:
    """Queue the unlabelled versions that today's champion has not predicted; how many."""
    return _enqueue(connection, f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED_BY_CHAMPION}")


def count_below_predicted(connection: Connection) -> int:
    """How many waiting rows have a version below one that was predicted for the same id: theirs would not be shown."""
    waiting_rows = "scoring_queue q JOIN patients p ON p.id = q.patient_id AND p.version = q.patient_version"
    counted = f"SELECT count(*) FROM {waiting_rows} WHERE {_CURRENT} AND {_BELOW_PREDICTED}"
    return int(connection.execute(text(counted)).scalar_one())


def draw_new_versions(connection: Connection) -> int:
    """Give another version to each waiting row whose version today's champion has predicted already, and to each row,
    scored or not, whose version lies below one that was predicted for its id; how many.

    By an outcome that comes and is cleared again within the transaction, which draws one: so it takes the right to
    write outcomes. Raises VersionNotDrawn where a clinic's trigger keeps it.
    """
    unlocked = database_of(connection).words.share_if_unlocked
    found = connection.scalars(
        text(f"""
            SELECT p.id FROM patients p
            WHERE {_CURRENT} AND ({_BELOW_PREDICTED} OR {_WAITS} AND NOT ({_NOT_PREDICTED_BY_CHAMPION}))
            ORDER BY p.id {unlocked}""")
    ).all()
    for part in id_lists(found):
        for outcome in ("0", "NULL"):
            connection.execute(text(f"UPDATE patients SET outcome = {outcome} WHERE id IN ({part})"))
        drawn = f"{_CURRENT} AND {_NOT_PREDICTED_BY_CHAMPION} AND NOT {_BELOW_PREDICTED}"
        left = connection.scalar(text(f"SELECT count(*) FROM patients p WHERE p.id IN ({part}) AND NOT ({drawn})"))
        if left:
            raise VersionNotDrawn(rows=left)
    return len(found)


def rejected(connection: Connection) -> list[int]:
    """The ids of the unlabelled rows that were rejected as they are, whichever champion did it."""
    of_the_version = "p.id = r.patient_id AND p.version = r.patient_version"
    return list(
        connection.scalars(text(f"SELECT p.id FROM rejections r JOIN patients p ON {of_the_version} WHERE {_CURRENT}"))
    )


_REJECTED = f"{_NOT_QUEUED} AND NOT ({_NOT_REJECTED})"


def count_rejected(connection: Connection, ids: Sequence[int]) -> int:
    """How many `requeue_rejected` would queue, of these ids."""
    counted = f"SELECT count(*) FROM patients p WHERE {_CURRENT} AND {_REJECTED}"
    return sum(connection.execute(text(f"{counted} AND p.id IN ({part})")).scalar_one() for part in id_lists(ids))


def requeue_rejected(connection: Connection, ids: Sequence[int] | None = None) -> int:
    """Queue the current versions that were rejected, of these ids alone where they are given, and take their rejections
    back; how many."""
    queued = _enqueue(connection, _REJECTED) if ids is None else _enqueue_some(connection, _REJECTED, ids)
    # A version ends as a prediction or as a rejection, never both, so the old judgement goes with the new try.
    connection.execute(
        text("""
            DELETE FROM rejections WHERE EXISTS (
                SELECT 1 FROM scoring_queue q
                WHERE q.patient_id = rejections.patient_id AND q.patient_version = rejections.patient_version)""")
    )
    return queued


def _enqueue_some(connection: Connection, condition: str, ids: Sequence[int]) -> int:
    return sum(_enqueue(connection, f"{condition} AND p.id IN ({part})") for part in id_lists(ids))


def _enqueue(connection: Connection, condition: str) -> int:
    # Where there are row locks, the rows are held until the commit, and those that someone is changing are left to
    # their triggers: an outcome or a deletion that is under way could not take back an entry that it can't see yet.
    # They are found without locks first: beside locks, PostgreSQL reads whole rows of `predictions` instead of its
    # index alone.
    unlocked = database_of(connection).words.share_if_unlocked
    columns = newest_declaration(connection).columns
    # In key order; it replaces an older version that still waits, and gives way to a newer one queued meanwhile.
    statement = f"""
        INSERT INTO scoring_queue (patient_id, patient_version, {listed(columns)})
        WITH found AS MATERIALIZED (SELECT p.id, p.version FROM patients p WHERE {_CURRENT} AND {condition})
        SELECT p.id, p.version, {listed(columns, "p")}
        FROM found JOIN patients p ON p.id = found.id AND p.version = found.version
        WHERE {_CURRENT} ORDER BY p.id {unlocked}
        ON CONFLICT (patient_id) DO UPDATE
        SET patient_version = EXCLUDED.patient_version, enqueued_at = EXCLUDED.enqueued_at,
            {assigned(columns, "EXCLUDED")}
        WHERE scoring_queue.patient_version < EXCLUDED.patient_version"""
    return connection.execute(text(statement)).rowcount
