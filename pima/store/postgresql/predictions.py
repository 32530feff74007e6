"""Writing a batch on PostgreSQL: predictions by COPY, and by arrays in one statement where some are not new."""

import numpy as np
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, DOUBLE_PRECISION

from pima.store.batches import Predictions, Rejections
from pima.store.postgresql.copying import copy_in
from pima.store.predictions import INSERT_PREDICTIONS, INSERT_REJECTIONS

_INSERT_PREDICTIONS = text(
    INSERT_PREDICTIONS.format(
        rows="""
    SELECT id, version, :model_version, :run_id, probability,
           CASE WHEN probability >= :threshold THEN 1 ELSE 0 END, :threshold
    FROM unnest(:ids, :versions, :probabilities) AS scored (id, version, probability)"""
    )
).bindparams(
    bindparam("ids", type_=ARRAY(BIGINT)),
    bindparam("versions", type_=ARRAY(BIGINT)),
    bindparam("probabilities", type_=ARRAY(DOUBLE_PRECISION)),
    bindparam("threshold", type_=DOUBLE_PRECISION),
    bindparam("model_version", type_=BIGINT),
    bindparam("run_id", type_=BIGINT),
)
_INSERT_REJECTIONS = text(
    INSERT_REJECTIONS.format(
        rows="""
    SELECT id, version, :run_id, reason, field
    FROM unnest(:ids, :versions, :reasons, :fields) AS rejected (id, version, reason, field)"""
    )
).bindparams(
    bindparam("ids", type_=ARRAY(BIGINT)),
    bindparam("versions", type_=ARRAY(BIGINT)),
    bindparam("reasons", type_=ARRAY(Text)),
    bindparam("fields", type_=ARRAY(Text)),
    bindparam("run_id", type_=BIGINT),
)


def write_predictions(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> int:
    """Append the predictions; returns how many were new, the rest having been made by this model before."""
    if _copied(connection, predictions, model_version, run_id, threshold):
        return len(predictions.patient_ids)
    values = {
        "ids": predictions.patient_ids.tolist(),
        "versions": predictions.patient_versions.tolist(),
        "probabilities": predictions.probabilities.tolist(),
        "model_version": model_version,
        "run_id": run_id,
        "threshold": threshold,
    }
    return connection.execute(_INSERT_PREDICTIONS, values).rowcount


def _copied(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> bool:
    """Append all of them by COPY, which knows no ON CONFLICT; False, with nothing done, where one is not new."""
    if len(predictions.patient_ids) == 0:
        return True
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
            copy_in(connection, "predictions", columns)
    except UniqueViolation:
        return False
    return True


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
