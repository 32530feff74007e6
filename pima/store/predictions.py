"""Writing what became of the claimed rows, and reading it back."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, DOUBLE_PRECISION

from pima.store.batches import Predictions, Rejections
from pima.store.engine import is_postgresql
from pima.store.postgresql.copying import copy_in

# A version that this model has predicted before (after a rescore and a rollback, say) is left as it is.
_INSERT_PREDICTIONS = """
    INSERT INTO predictions
        (patient_id, patient_version, model_version, run_id, probability, predicted_class, threshold)
    {rows}
    ON CONFLICT (patient_id, patient_version, model_version) DO NOTHING"""
_INSERT_PREDICTIONS_POSTGRESQL = text(
    _INSERT_PREDICTIONS.format(
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
# Rows of one statement on SQLite: running it once a row takes three times as long. It takes 32,766 parameters.
_ROWS_A_STATEMENT = 4_000

# A version rejected before is judged again only after `requeue`; the newer judgement stands.
_INSERT_REJECTIONS = """
    INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    {rows}
    ON CONFLICT (patient_id, patient_version)
    DO UPDATE SET run_id = EXCLUDED.run_id, reason = EXCLUDED.reason, field = EXCLUDED.field,
        rejected_at = EXCLUDED.rejected_at"""
_INSERT_REJECTIONS_POSTGRESQL = text(
    _INSERT_REJECTIONS.format(
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
_INSERT_REJECTIONS_SQLITE = _INSERT_REJECTIONS.format(rows="VALUES (:id, :version, :run_id, :reason, :field)")


def write_predictions(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> int:
    """Append the predictions; returns how many were new, the rest having been made by this model before."""
    if not is_postgresql(connection):
        return _insert_on_sqlite(connection, predictions, model_version, run_id, threshold)
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
    return connection.execute(_INSERT_PREDICTIONS_POSTGRESQL, values).rowcount


def _insert_on_sqlite(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> int:
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
        statement = _INSERT_PREDICTIONS.format(rows="VALUES " + ", ".join([row] * len(part[0])))
        parameters = tuple(chain.from_iterable(zip(*part, strict=True)))
        new += connection.exec_driver_sql(statement, parameters).rowcount
    return new


def _copied(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> bool:
    """Append all of them by COPY, which knows no ON CONFLICT; False, with nothing done, where one is not new."""
    from psycopg.errors import UniqueViolation

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
    """Record the rejections."""
    ids, versions = rejections.patient_ids.tolist(), rejections.patient_versions.tolist()
    reasons, fields = list(rejections.reasons), list(rejections.fields)
    if is_postgresql(connection):
        arrays = {"ids": ids, "versions": versions, "reasons": reasons, "fields": fields}
        connection.execute(_INSERT_REJECTIONS_POSTGRESQL, {"run_id": run_id, **arrays})
        return
    rows = zip(ids, versions, reasons, fields, strict=True)
    many = [{"id": i, "version": v, "run_id": run_id, "reason": r, "field": f} for i, v, r, f in rows]
    _many(connection, _INSERT_REJECTIONS_SQLITE, many)


def _many(connection: Connection, statement: str, rows: list[dict[str, Any]]) -> int:
    return connection.exec_driver_sql(statement, rows).rowcount if rows else 0


@dataclass(frozen=True, slots=True)
class Realised:
    """How often predictions came true."""

    outcomes: int
    """The newest outcomes that were looked at, those with a prediction made before."""
    correct: int

    @property
    def accuracy(self) -> float | None:
        """The share; None where nothing can be compared yet."""
        return self.correct / self.outcomes if self.outcomes else None


# The newest outcomes, each with the last prediction that was made before it came.
_REALISED = text("""
    SELECT count(*), coalesce(sum(CASE WHEN predicted_class = outcome THEN 1 ELSE 0 END), 0)
    FROM (SELECT n.outcome, (
            SELECT d.predicted_class FROM predictions d
            WHERE d.patient_id = n.id AND d.scored_at <= n.labelled_at
            ORDER BY d.patient_version DESC, d.scored_at DESC, d.model_version DESC LIMIT 1) AS predicted_class
        FROM (SELECT id, outcome, labelled_at FROM patients
              WHERE labelled_at IS NOT NULL ORDER BY labelled_at DESC LIMIT :newest) AS n) AS compared
    WHERE predicted_class IS NOT NULL""")


def realised_accuracy(connection: Connection, newest: int) -> Realised:
    """Predictions against the outcomes that came after them, over the `newest` outcomes."""
    outcomes, correct = connection.execute(_REALISED, {"newest": newest}).one()
    return Realised(outcomes, correct)
