"""The scoring queue: the waiting rows, putting lost rows back, the counter of row versions, and
those that were used twice.

Each database claims a batch in its own way, in its own `scoring.py`.

A claim reads rows and deletes them; the caller writes their results in the same transaction. If the
process dies at any point, the transaction rolls back and the rows wait again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from pima.errors import VersionCounterBehind, VersionUsedTwice
from pima.logs import tell_ids
from pima.store.database import database_of
from pima.store.engine import assigned, listed
from pima.store.models.registry import newest_declaration
from pima.store.predictions import Predictions
from pima.store.tables import scoring_queue


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queue's state."""

    rows: int
    oldest: datetime | None


_LARGEST_VALUE_BYTES = 900_000_000


def largest_batch(columns: int) -> int:
    """The most rows of a batch: PostgreSQL returns it as one value of at most 1 GB, with 8 bytes
    for each number."""
    return _LARGEST_VALUE_BYTES // (8 * (2 + columns))


def is_empty(connection: Connection) -> bool:
    """Whether nothing waits."""
    # One index look-up, however long the queue is.
    return connection.execute(select(scoring_queue.c.patient_id).limit(1)).first() is None


def waiting(connection: Connection) -> Waiting:
    """How many rows wait, and since when the oldest has waited."""
    # Reads the whole queue: for reports, not for the scoring loop.
    found = select(func.count(), func.min(scoring_queue.c.enqueued_at))
    return Waiting(*connection.execute(found).one())


_CURRENT = "p.outcome IS NULL"
_NOT_QUEUED = """NOT EXISTS (
    SELECT 1 FROM scoring_queue q WHERE q.patient_id = p.id AND q.patient_version >= p.version)"""
_NOT_REJECTED = """NOT EXISTS (
    SELECT 1 FROM rejections r WHERE r.patient_id = p.id AND r.patient_version = p.version)"""
_NOT_PREDICTED = """NOT EXISTS (
    SELECT 1 FROM predictions d WHERE d.patient_id = p.id
        AND d.patient_version = p.version {within})"""
_NOT_PREDICTED_BY_CHAMPION = """NOT EXISTS (
    SELECT 1 FROM predictions d JOIN champion c ON c.model_version = d.model_version
    WHERE d.patient_id = p.id AND d.patient_version = p.version)"""


@dataclass(frozen=True, slots=True)
class Requeued:
    """Row versions that were to be put on the queue again. The fields are the keys of the JSON."""

    requeued: int
    """Those that were put there."""
    skipped: int
    """Those that were not, since other transactions were changing their rows."""


def requeue_lost(connection: Connection) -> Requeued:
    """Queue the unlabelled versions that have no prediction, rejection or queue entry.

    Rows written while the triggers were disabled are such.
    """
    lost = f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED}"
    few = database_of(connection).find_ids_in_parallel(connection, f"{_CURRENT} AND {lost}")
    return _enqueue(connection, lost.format(within=""), few)


def requeue_stale(connection: Connection) -> Requeued:
    """Queue the unlabelled versions that today's champion has not predicted."""
    return _enqueue(
        connection, f"{_NOT_QUEUED} AND {_NOT_REJECTED} AND {_NOT_PREDICTED_BY_CHAMPION}"
    )


def rejected(connection: Connection) -> list[int]:
    """The ids of the unlabelled rows whose current version was rejected, under any champion."""
    of_the_version = "p.id = r.patient_id AND p.version = r.patient_version"
    return list(
        connection.scalars(
            text(
                f"SELECT p.id FROM rejections r JOIN patients p ON {of_the_version} WHERE "
                f"{_CURRENT}"
            )
        )
    )


_REJECTED = f"{_NOT_QUEUED} AND NOT ({_NOT_REJECTED})"


def requeue_rejected(connection: Connection, ids: Sequence[int] | None = None) -> Requeued:
    """Queue the current versions that were rejected, only for `ids` if given, and delete their
    rejections."""
    requeued = _enqueue(connection, _REJECTED, ids)
    # A version ends as a prediction or as a rejection, never both, so the old rejection goes before
    # the new attempt.
    connection.execute(
        text("""
            DELETE FROM rejections WHERE EXISTS (
                SELECT 1 FROM scoring_queue q
                WHERE q.patient_id = rejections.patient_id
                    AND q.patient_version = rejections.patient_version)""")
    )
    return requeued


def _enqueue(connection: Connection, condition: str, ids: Sequence[int] | None = None) -> Requeued:
    """Queue rows in key order, only of `ids` if given. An entry replaces an older version that
    still waits, but not a newer one."""
    columns = newest_declaration(connection).copied
    unless_held = database_of(connection).unless_held.format("SHARE OF p")
    parts = ["TRUE"] if ids is None else [f"p.id IN ({listed_ids})" for listed_ids in id_lists(ids)]
    requeued = skipped = 0
    for part in parts:
        found = f"FROM patients p WHERE {_CURRENT} AND {condition} AND {part}"
        # Each row is locked until the commit: whoever labels, deletes or forgets it could not take
        # off an entry that they don't see yet. Nobody who is at it already is waited for, which
        # could end in a deadlock. What changed between being found and being locked has an outcome
        # or another version, and is left to its triggers.
        statement = f"""
            INSERT INTO scoring_queue (patient_id, patient_version, requeued, {listed(columns)})
            WITH found AS MATERIALIZED (SELECT p.id, p.version {found})
            SELECT p.id, p.version, 1, {listed(columns, "p")}
            FROM found JOIN patients p ON p.id = found.id AND p.version = found.version
            WHERE {_CURRENT} ORDER BY p.id {unless_held}
            ON CONFLICT (patient_id) DO UPDATE
            SET patient_version = EXCLUDED.patient_version, enqueued_at = EXCLUDED.enqueued_at,
                requeued = 1, {assigned(columns, "EXCLUDED")}
            WHERE scoring_queue.patient_version < EXCLUDED.patient_version"""
        requeued += connection.execute(text(statement)).rowcount
        skipped += connection.scalar(text(f"SELECT count(*) {found}"))
    return Requeued(requeued, skipped)


_IDS_A_STATEMENT = 5_000


def id_lists(ids: Sequence[int]) -> Iterator[str]:
    """Split ids into lists for SQL's IN (...): a single statement with all of them could be too
    long to parse."""
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        yield ", ".join(map(str, ids[start : start + _IDS_A_STATEMENT]))


# ---- The counter of row versions.

# A pair (id, version) identifies one state of a patient's row, and a prediction belongs to that
# state. If the counter was set back, by hand or by a restore without it, a row that is deleted and
# inserted again may get a version that it had before. No index is by version alone, and this check
# runs before each scoring: it looks only at the last rows of each key.
_NEWEST = 100
_KEYS = {
    "scoring_queue": "patient_id",
    "predictions": "patient_id DESC, patient_version DESC, model_version",
    "rejections": "patient_id DESC, patient_version",
    "row_history": "patient_id DESC, patient_version",
}
_HIGHEST = " UNION ALL ".join(
    f"SELECT max(patient_version) AS version FROM "
    f"(SELECT patient_version FROM {table} ORDER BY {key} DESC LIMIT {_NEWEST}) AS {table}"
    for table, key in _KEYS.items()
)


def require_counter_above_them(connection: Connection) -> None:
    """Raises VersionCounterBehind if the counter is below versions that were drawn from it."""
    # In one statement: on PostgreSQL its visible rows drew their versions before it reads the
    # sequence.
    drawn, highest = connection.execute(
        text(f"""
            SELECT coalesce(({database_of(connection).last_version}), 0), coalesce(max(version), 0)
            FROM ({_HIGHEST}) AS ends""")
    ).one()
    if drawn < highest:
        raise VersionCounterBehind(counter=drawn, version=highest)


# ---- A row version that is used twice.

# The same row gives the same probability on any processor and with any batch size, up to less than
# a millionth.
_SAME_PROBABILITY = 1e-4


def require_same_rows(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int
) -> None:
    """Raises VersionUsedTwice if this model predicted one of these versions before with another
    probability."""
    ids = predictions.patient_ids.tolist()
    versions = predictions.patient_versions.tolist()
    made = dict(
        zip(zip(ids, versions, strict=True), predictions.probabilities.tolist(), strict=True)
    )
    earlier = """
        SELECT patient_id, patient_version, probability FROM predictions
        WHERE model_version = :model_version AND run_id <> :run_id AND patient_id IN"""
    by_whom = {"model_version": model_version, "run_id": run_id}
    others = sorted(
        patient_id
        for listed in id_lists(ids)
        for patient_id, version, probability in connection.execute(
            text(f"{earlier} ({listed})"), by_whom
        )
        if abs(made.get((patient_id, version), probability) - probability) > _SAME_PROBABILITY
    )
    if others:
        raise VersionUsedTwice(rows=tell_ids(others))
