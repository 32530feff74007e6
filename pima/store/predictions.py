"""Predictions and rejections of claimed rows."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from pima.core.arrays import Float64Array, Int64Array
from pima.errors import VersionUsedTwice
from pima.store.queue import id_lists


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one model version for one batch."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    probabilities: Float64Array
    """(n,)"""


@dataclass(frozen=True, slots=True)
class Rejections:
    """Rows of one batch that can't be scored."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    reasons: tuple[str, ...]
    """Reason codes of `pima.core.validation`."""
    fields: tuple[str, ...]
    """The column that broke the rule."""


# A version that this model has predicted before (after a rescore and a rollback, for example) keeps
# its prediction.
INSERT_PREDICTIONS = """
    INSERT INTO predictions
        (patient_id, patient_version, model_version, run_id, probability, predicted_class,
        threshold)
    {rows}
    ON CONFLICT (patient_id, patient_version, model_version) DO NOTHING"""
# A version rejected before is judged again only after `requeue`; the newer rejection replaces it.
INSERT_REJECTIONS = """
    INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    {rows}
    ON CONFLICT (patient_id, patient_version)
    DO UPDATE SET run_id = EXCLUDED.run_id, reason = EXCLUDED.reason, field = EXCLUDED.field,
        rejected_at = EXCLUDED.rejected_at"""


# ---- A row version that is used twice.

_SHOWN = 20
# The same row gives the same probability on any processor and with any batch size, up to less than
# a millionth.
_SAME_PROBABILITY = 1e-4


def require_same_rows(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int
) -> None:
    """Raises VersionUsedTwice if this model predicted one of these versions before with another
    probability."""
    ids, versions = predictions.patient_ids.tolist(), predictions.patient_versions.tolist()
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
        shown = ", ".join(map(str, others[:_SHOWN]))
        raise VersionUsedTwice(
            rows=len(others), first=shown + (", ..." if len(others) > _SHOWN else "")
        )
