"""Writing a batch on SQLite: many rows a statement."""

from itertools import chain

import numpy as np
from sqlalchemy import Connection

from pima.store.batches import Predictions, Rejections
from pima.store.predictions import INSERT_PREDICTIONS, INSERT_REJECTIONS

# Rows of one statement: running it once a row takes three times as long. It takes 32,766 parameters.
_ROWS_A_STATEMENT = 4_000
_INSERT_REJECTIONS = INSERT_REJECTIONS.format(rows="VALUES (:id, :version, :run_id, :reason, :field)")


def write_predictions(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> int:
    """Append the predictions; returns how many were new, the rest having been made by this model before."""
    row = f"(?, ?, {int(model_version)}, {int(run_id)}, ?, ?, ?)"
    probabilities = predictions.probabilities
    columns = (
        predictions.patient_ids.tolist(),
        predictions.patient_versions.tolist(),
        probabilities.tolist(),
        (probabilities >= threshold).astype(np.int8).tolist(),
        [threshold] * len(probabilities),
    )
    new = 0
    for start in range(0, len(probabilities), _ROWS_A_STATEMENT):
        part = [column[start : start + _ROWS_A_STATEMENT] for column in columns]
        statement = INSERT_PREDICTIONS.format(rows="VALUES " + ", ".join([row] * len(part[0])))
        parameters = tuple(chain.from_iterable(zip(*part, strict=True)))
        new += connection.exec_driver_sql(statement, parameters).rowcount
    return new


def write_rejections(connection: Connection, rejections: Rejections, run_id: int) -> None:
    """Record them row by row."""
    ids, versions = rejections.patient_ids.tolist(), rejections.patient_versions.tolist()
    rows = zip(ids, versions, rejections.reasons, rejections.fields, strict=True)
    many = [{"id": i, "version": v, "run_id": run_id, "reason": r, "field": f} for i, v, r, f in rows]
    if many:
        connection.exec_driver_sql(_INSERT_REJECTIONS, many)
