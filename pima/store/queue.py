"""The scoring queue: claim what waits, and put back what fell out.

A claim deletes rows and gets them back in one statement; the caller writes what became of them in the same
transaction. A process that dies anywhere rolls back, and the rows wait again.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, func, select, text

from pima.core.arrays import Int64Array
from pima.core.features import FEATURE_NAMES
from pima.core.validation import Measurements
from pima.store.engine import is_postgresql
from pima.store.measurements import as_measurements
from pima.store.tables import scoring_queue

_MEASUREMENTS = ", ".join(FEATURE_NAMES)

# The rows are locked first and deleted by key: with SKIP LOCKED a claim never waits, neither for another scorer nor
# for a clinic's own transaction; what such a one holds is the next run's. Going up by patient id instead of taking
# the first rows again and again spares each batch the dead entries that earlier ones left in the index.
_CLAIM_ON_POSTGRESQL = text(f"""
    WITH claimed AS MATERIALIZED (
        SELECT patient_id FROM scoring_queue WHERE patient_id > :after
        ORDER BY patient_id LIMIT :rows FOR UPDATE SKIP LOCKED)
    DELETE FROM scoring_queue q USING claimed WHERE q.patient_id = claimed.patient_id
    RETURNING q.patient_id, q.patient_version, {", ".join(f"q.{name}" for name in FEATURE_NAMES)}""")

# The transaction has the file's write lock (BEGIN IMMEDIATE), so nobody else claims now.
_CLAIM_ON_SQLITE = text(f"""
    DELETE FROM scoring_queue WHERE patient_id IN (
        SELECT patient_id FROM scoring_queue WHERE patient_id > :after ORDER BY patient_id LIMIT :rows)
    RETURNING patient_id, patient_version, {_MEASUREMENTS}""")


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed rows, in no particular order."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    measurements: Measurements
    """n rows of eight"""

    def __len__(self) -> int:
        return len(self.patient_ids)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queue's state."""

    rows: int
    oldest: datetime | None


def claim(connection: Connection, after: int, rows: int) -> Batch:
    """Take up to `rows` rows with a patient id above `after`; they are gone once the transaction commits."""
    statement = _CLAIM_ON_POSTGRESQL if is_postgresql(connection) else _CLAIM_ON_SQLITE
    fetched = connection.execute(statement, {"after": after, "rows": rows}).all()
    columns = list(zip(*fetched, strict=True)) or [()] * (2 + len(FEATURE_NAMES))
    return Batch(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int64),
        as_measurements(columns[2:], len(fetched)),
    )


def is_empty(connection: Connection) -> bool:
    """Whether nothing waits."""
    # SQL: one index look-up, however long the queue.
    return connection.execute(select(scoring_queue.c.patient_id).limit(1)).first() is None


def waiting(connection: Connection) -> Waiting:
    """How many rows wait and since when the oldest does."""
    # SQL: reads the whole queue; for people's eyes, not for the scorer's loop.
    rows, oldest = connection.execute(select(func.count(), func.min(scoring_queue.c.enqueued_at))).one()
    return Waiting(rows, oldest)


_CURRENT = "p.outcome IS NULL"
_NOT_QUEUED = """NOT EXISTS (
    SELECT 1 FROM scoring_queue q WHERE q.patient_id = p.id AND q.patient_version >= p.version)"""
_NOT_REJECTED = """NOT EXISTS (
    SELECT 1 FROM rejections r WHERE r.patient_id = p.id AND r.patient_version = p.version)"""
_NOT_PREDICTED = """NOT EXISTS (
    SELECT 1 FROM predictions d WHERE d.patient_id = p.id AND d.patient_version = p.version)"""
_NOT_PREDICTED_BY_CHAMPION = """NOT EXISTS (
    SELECT 1 FROM predictions d JOIN champion c ON c.model_version = d.model_version
    WHERE d.patient_id = p.id AND d.patient_version = p.version)"""


def requeue_lost(connection: Connection) -> int:
    """Queue the unlabelled versions that have neither prediction, rejection nor queue entry; how many.

    A trigger that did not fire leaves such rows: logical replication, session_replication_role = replica.
    """
    return _enqueue(connection, f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED}")


def requeue_stale(connection: Connection) -> int:
    """Queue the unlabelled versions that today's champion has not predicted; how many."""
    return _enqueue(connection, f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED_BY_CHAMPION}")


def requeue_rejected(connection: Connection) -> int:
    """Queue the current versions that were rejected, and take their rejections back; how many."""
    queued = _enqueue(connection, f"{_NOT_QUEUED} AND NOT ({_NOT_REJECTED})")
    # SQL: a version ends as a prediction or as a rejection, never both, so the old judgement goes with the new try.
    connection.execute(
        text("""
            DELETE FROM rejections WHERE EXISTS (
                SELECT 1 FROM scoring_queue q
                WHERE q.patient_id = rejections.patient_id AND q.patient_version = rejections.patient_version)""")
    )
    return queued


def _enqueue(connection: Connection, condition: str) -> int:
    # On PostgreSQL the rows are held until the commit, and those that someone is changing are left to their triggers:
    # an outcome or a deletion that is under way could not take back an entry that it can't see yet.
    locked = "FOR SHARE OF p SKIP LOCKED" if is_postgresql(connection) else "LIMIT -1"
    # SQL: in key order; it replaces an older version that still waits, and gives way to a newer one queued meanwhile.
    statement = f"""
        INSERT INTO scoring_queue (patient_id, patient_version, {_MEASUREMENTS})
        SELECT p.id, p.version, {", ".join(f"p.{name}" for name in FEATURE_NAMES)}
        FROM patients p WHERE {_CURRENT} AND {condition} ORDER BY p.id {locked}
        ON CONFLICT (patient_id) DO UPDATE
        SET patient_version = EXCLUDED.patient_version, enqueued_at = EXCLUDED.enqueued_at,
            {", ".join(f"{name} = EXCLUDED.{name}" for name in FEATURE_NAMES)}
        WHERE scoring_queue.patient_version < EXCLUDED.patient_version"""
    return connection.execute(text(statement)).rowcount
