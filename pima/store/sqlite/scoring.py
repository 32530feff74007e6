"""Scoring on SQLite: the transaction has the file's write lock (BEGIN IMMEDIATE), so no other
process claims rows, and one statement writes many rows."""

from functools import cache, lru_cache
from itertools import chain

import numpy as np
from sqlalchemy import Connection

from pima.core.rows.validation import Measurements
from pima.store.engine import listed
from pima.store.predictions import (
    INSERT_PREDICTIONS,
    INSERT_REJECTIONS,
    INSERT_SCORES,
    Batch,
    Predictions,
    Rejections,
    ScoresBeside,
)

# REPLACE deletes rows that share a unique value, and without recursive_triggers that fires no
# trigger. Queue entries of such rows have no patient, and the claim deletes them. If the row exists
# in another version, requeue finds that one. CROSS JOIN reads both tables side by side in the
# queue's order; EXISTS would look each row up from the root. Each name has its table, since
# patients may have the clinic's own columns.
_READ = """
    SELECT q.patient_id, q.patient_version, {} FROM scoring_queue q CROSS JOIN patients p
        ON p.id = q.patient_id
    WHERE q.patient_id > ? ORDER BY q.patient_id LIMIT ?"""
_LARGEST = 2**63 - 1
_DELETE = "DELETE FROM scoring_queue WHERE patient_id > ? AND patient_id <= ?"


@cache
def _row(names: tuple[str, ...]) -> np.dtype[np.void]:
    return np.dtype(
        [("patient_id", "i8"), ("patient_version", "i8"), *((name, "f8") for name in names)]
    )


def claim(connection: Connection, names: tuple[str, ...], after: int, rows: int) -> Batch:
    """Read rows of the queue and delete their entries."""
    cursor = connection.connection.cursor()
    # Row by row into the array, so that the driver's objects of only one row are in memory.
    read = np.fromiter(
        cursor.execute(_READ.format(listed(names, "q")), (after, rows)), dtype=_row(names)
    )
    cursor.close()
    measured = read.view(np.float64).reshape(-1, 2 + len(names))[:, 2:]
    is_null = np.isnan(measured)  # a NULL; SQLite stores no NaN
    values = np.where(is_null, 0.0, measured)
    batch = Batch(read["patient_id"], read["patient_version"], Measurements(values, is_null))
    last = batch.last if len(batch) == rows else _LARGEST
    connection.exec_driver_sql(_DELETE, (after, last))
    return batch


# Rows of one statement: a statement for each row takes three times as long. SQLite allows 32,766
# parameters.
_ROWS_A_STATEMENT = 2_000


@lru_cache(maxsize=4)
def _insert(rows: int, model_version: int, run_id: int) -> str:
    """Make the INSERT. Values that are the same in all rows are bound once or written out: binding
    them for each row would take a fifth of the time."""
    first = (2 + 4 * row for row in range(rows))
    values = (f"(?{n}, ?{n + 1}, {model_version}, {run_id}, ?{n + 2}, ?{n + 3}, ?1)" for n in first)
    return INSERT_PREDICTIONS.format(rows="VALUES " + ", ".join(values))


def write_predictions(
    connection: Connection,
    predictions: Predictions,
    model_version: int,
    run_id: int,
    threshold: float,
) -> int:
    """Append the predictions; return how many were new. This model made the others before."""
    probabilities = predictions.probabilities
    columns = (
        predictions.patient_ids.tolist(),
        predictions.patient_versions.tolist(),
        probabilities.tolist(),
        (probabilities >= threshold).astype(np.int8).tolist(),
    )
    new = 0
    for start in range(0, len(probabilities), _ROWS_A_STATEMENT):
        part = [column[start : start + _ROWS_A_STATEMENT] for column in columns]
        statement = _insert(len(part[0]), int(model_version), int(run_id))
        parameters = (threshold, *chain.from_iterable(zip(*part, strict=True)))
        new += connection.exec_driver_sql(statement, parameters).rowcount
    return new


def write_scores(
    connection: Connection, scores: ScoresBeside, model_version: int, run_id: int
) -> None:
    """Write what a score in use said beside the predictions that this run has made."""
    statement = INSERT_SCORES.format(
        rows="predictions d",
        id="?1",
        version="?2",
        score=f"'{scores.name}'",
        value="?3",
        model_version=model_version,
        run_id=run_id,
    )
    ids = scores.patient_ids.tolist()
    versions = scores.patient_versions.tolist()
    rows = list(zip(ids, versions, scores.values.tolist(), strict=True))
    if rows:
        connection.exec_driver_sql(statement, rows)


def write_rejections(connection: Connection, rejections: Rejections, run_id: int) -> None:
    """Record them row by row."""
    statement = INSERT_REJECTIONS.format(rows=f"VALUES (?, ?, {run_id}, ?, ?)")
    ids = rejections.patient_ids.tolist()
    versions = rejections.patient_versions.tolist()
    rows = list(zip(ids, versions, rejections.reasons, rejections.fields, strict=True))
    if rows:
        connection.exec_driver_sql(statement, rows)
