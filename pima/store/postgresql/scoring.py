"""Scoring on PostgreSQL. A batch is claimed by two statements, whatever other scorers and the
clinic's transactions hold. Predictions are written by COPY, or from arrays in one statement if some
are not new."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, text

from pima.core.rows.validation import Measurements
from pima.errors import DatabaseBusy
from pima.store.engine import column, listed
from pima.store.predictions import (
    INSERT_PREDICTIONS,
    INSERT_REJECTIONS,
    INSERT_SCORES,
    Batch,
    Predictions,
    Rejections,
    ScoresBeside,
)

# A NULL is sent as a NaN that no arithmetic produces, so that every row has the same width. It is
# no bytes literal, whose backslash would change its meaning if standard_conforming_strings is off.
NULL_AS_BITS = 0x7FF80000_4E554C4C
# With SKIP LOCKED a claim never waits for another scorer or for a clinic's transaction; rows that
# those hold are left to the next run. The batch comes as one value, which costs the server half as
# much as ten columns for each row.
_LOCK = """
    SELECT string_agg({packed}, ''::bytea)
    FROM (SELECT patient_id, patient_version, requeued, {measurements} FROM scoring_queue
          WHERE patient_id > %s ORDER BY patient_id LIMIT %s FOR UPDATE SKIP LOCKED) AS locked"""
# A transaction whose snapshot is older than a requeue does not see an entry, and deletes or labels
# its row. So of these entries it is looked whether the row still stands, each by its key.
_GONE = -1
_STANDING = f"""CASE WHEN requeued IS NULL OR EXISTS (SELECT FROM patient_versions v
        WHERE v.patient_id = locked.patient_id AND v.patient_version = locked.patient_version
            AND NOT v.is_labelled OFFSET 0)
    THEN patient_version ELSE {_GONE} END"""
# Only the rows of the range that this transaction has locked, so it does not wait for the owners of
# the others.
_DELETE = """
    DELETE FROM scoring_queue
    WHERE patient_id > %s AND patient_id <= %s AND xmax = pg_current_xact_id()::xid"""
# The queue fills and empties between two visits of autovacuum, so its statistics mean nothing:
# always read it by key.
_BY_KEY = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
)


@cache
def _locking(names: tuple[str, ...]) -> str:
    """The statement that locks entries, and packs them for `_locked`."""
    measured = [f"coalesce(float8send({column(name)}), int8send({NULL_AS_BITS}))" for name in names]
    packed = " || ".join(["int8send(patient_id)", f"int8send({_STANDING})", *measured])
    return _LOCK.format(packed=packed, measurements=listed(names))


def claim(connection: Connection, names: tuple[str, ...], after: int, rows: int) -> Batch:
    """Lock, read and delete rows of the queue without waiting for another transaction."""
    cursor = connection.connection.cursor(binary=True)
    connection.exec_driver_sql(_BY_KEY)
    parts = []
    while rows > 0:
        words = _locked(cursor, names, after, rows)
        standing = words[words[:, 1].view(np.int64) != _GONE]
        parts.append(standing)
        if len(words) < rows:
            break
        after = int(words[-1, 0])
        rows -= len(standing)
    cursor.close()
    words = np.concatenate(parts)
    measured = words[:, 2:]
    is_null = measured == NULL_AS_BITS
    values = np.where(is_null, 0, measured).view(np.float64)
    return Batch(
        words[:, 0].astype(np.int64), words[:, 1].astype(np.int64), Measurements(values, is_null)
    )


def _locked(
    cursor: Any, names: tuple[str, ...], after: int, rows: int
) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Lock and delete entries; return for each its id, its version or _GONE, and its values."""
    cursor.execute(_locking(names), (after, rows))
    (packed,) = cursor.fetchone() or (None,)
    words = np.frombuffer(packed or b"", dtype=">u8").reshape(-1, 2 + len(names)).astype(np.uint64)
    if len(words):
        cursor.execute(_DELETE, (after, int(words[-1, 0])))
        if cursor.rowcount != len(words):
            # A row locked by two others at once has a number from another counter in xmax, which
            # may equal ours.
            raise DatabaseBusy(
                what=f"{cursor.rowcount} queue entries would have gone for {len(words)} rows"
            )
    return words


_INSERT_PREDICTIONS = text(
    INSERT_PREDICTIONS.format(
        rows="""
    SELECT id, version, CAST(:model_version AS BIGINT), CAST(:run_id AS BIGINT), probability,
           CASE WHEN probability >= threshold THEN 1 ELSE 0 END, threshold
    FROM unnest(CAST(:ids AS BIGINT[]), CAST(:versions AS BIGINT[]),
        CAST(:probabilities AS DOUBLE PRECISION[]))
        AS scored (id, version, probability), CAST(:threshold AS DOUBLE PRECISION) AS threshold"""
    )
)
_INSERT_REJECTIONS = text(
    INSERT_REJECTIONS.format(
        rows="""
    SELECT id, version, CAST(:run_id AS BIGINT), reason, field
    FROM unnest(CAST(:ids AS BIGINT[]), CAST(:versions AS BIGINT[]), CAST(:reasons AS TEXT[]),
        CAST(:fields AS TEXT[]))
        AS rejected (id, version, reason, field)"""
    )
)


def write_predictions(
    connection: Connection,
    predictions: Predictions,
    model_version: int,
    run_id: int,
    threshold: float,
) -> int:
    """Append the predictions; return how many were new. This model made the others before."""
    if len(predictions.patient_ids) == 0:
        return 0
    columns = {
        "patient_id": predictions.patient_ids,
        "patient_version": predictions.patient_versions,
        "model_version": np.int64(model_version),
        "run_id": np.int64(run_id),
        "probability": predictions.probabilities,
        "predicted_class": (predictions.probabilities >= threshold).astype(np.int32),
        "threshold": np.float64(threshold),
    }
    try:
        with connection.begin_nested():
            copy_in(connection, "predictions", columns, _rows(columns))
    except UniqueViolation:
        # COPY has no ON CONFLICT: one was not new, so none is written yet.
        values = {
            "ids": predictions.patient_ids.tolist(),
            "versions": predictions.patient_versions.tolist(),
            "probabilities": predictions.probabilities.tolist(),
            "model_version": model_version,
            "run_id": run_id,
            "threshold": threshold,
        }
        return connection.execute(_INSERT_PREDICTIONS, values).rowcount
    return len(predictions.patient_ids)


def write_rejections(connection: Connection, rejections: Rejections, run_id: int) -> None:
    """Record them all in one statement."""
    values = {
        "ids": rejections.patient_ids.tolist(),
        "versions": rejections.patient_versions.tolist(),
        "reasons": list(rejections.reasons),
        "fields": list(rejections.fields),
        "run_id": run_id,
    }
    connection.execute(_INSERT_REJECTIONS, values)


_INSERT_SCORES = text(
    INSERT_SCORES.format(
        rows="""unnest(CAST(:ids AS BIGINT[]), CAST(:versions AS BIGINT[]),
        CAST(:values AS DOUBLE PRECISION[])) AS known (id, version, value), predictions d""",
        id="known.id",
        version="known.version",
        value="known.value",
        score=":score",
        model_version=":model_version",
        run_id=":run_id",
    )
)


def write_scores(
    connection: Connection, scores: ScoresBeside, model_version: int, run_id: int
) -> None:
    """Write what a score in use said beside the predictions that this run has made."""
    values = {
        "ids": scores.patient_ids.tolist(),
        "versions": scores.patient_versions.tolist(),
        "values": scores.values.tolist(),
        "score": scores.name,
        "model_version": model_version,
        "run_id": run_id,
    }
    connection.execute(_INSERT_SCORES, values)


_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


def copy_in(connection: Connection, table: str, columns: Iterable[str], rows: bytes) -> None:
    """Append rows to these columns; the rows are in COPY's binary form."""
    with connection.connection.cursor().copy(
        f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.write(_HEAD)
        copy.write(rows)
        copy.write(_END)


def _rows(columns: Mapping[str, Any]) -> bytes:
    """Make rows in COPY's binary form: the number of fields, then each field's length in bytes and
    its bytes. Of each column a numpy array (n,), or a numpy scalar if the value is the same in all
    rows.

    Types must match the columns exactly: int32, int64 or float64 for integer, bigint or double
    precision. No NULLs.
    """
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    fields = [("fields", ">i2")]
    for name, array in arrays.items():
        fields += [(f"length of {name}", ">i4"), (name, array.dtype.newbyteorder(">").str)]
    rows = np.empty(max(array.size for array in arrays.values() if array.ndim), dtype=fields)
    rows["fields"] = len(arrays)
    for name, array in arrays.items():
        rows[f"length of {name}"] = array.itemsize
        rows[name] = array
    return rows.tobytes()
