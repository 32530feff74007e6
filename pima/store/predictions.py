"""A batch of claimed rows, its predictions and its rejections."""

from dataclasses import dataclass

from pima.core.arrays import Float64Array, Int64Array
from pima.core.rows.validation import Measurements


@dataclass(frozen=True, slots=True)
class RowVersions:
    """Row versions of a batch."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""


@dataclass(frozen=True, slots=True)
class Batch(RowVersions):
    """Claimed rows, by patient id."""

    measurements: Measurements
    """n rows of the requested columns"""

    def __len__(self) -> int:
        return len(self.patient_ids)

    @property
    def last(self) -> int:
        """The highest patient id of a batch that is not empty."""
        return int(self.patient_ids[-1])


@dataclass(frozen=True, slots=True)
class Predictions(RowVersions):
    """Predictions of one model version for one batch."""

    probabilities: Float64Array
    """(n,)"""


@dataclass(frozen=True, slots=True)
class ScoresBeside(RowVersions):
    """What one score in use said of rows of a batch."""

    name: str
    values: Float64Array
    """(n,), finite"""


@dataclass(frozen=True, slots=True)
class Rejections(RowVersions):
    """Rows of one batch that can't be scored."""

    reasons: tuple[str, ...]
    """Reason codes of `pima.core.rows.validation`."""
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
# A score belongs to the moment of the prediction. A version that this model has predicted before,
# perhaps in this very run, keeps what was known then, and what came since doesn't count.
INSERT_SCORES = """
    INSERT INTO prediction_scores
        (patient_id, patient_version, model_version, score, value, scored_at)
    SELECT d.patient_id, d.patient_version, d.model_version, {score}, {value}, d.scored_at
    FROM {rows}
    WHERE d.patient_id = {id} AND d.patient_version = {version}
        AND d.model_version = {model_version} AND d.run_id = {run_id}
    ON CONFLICT DO NOTHING"""
# A version rejected before is judged again only after `requeue`; the newer rejection replaces it.
INSERT_REJECTIONS = """
    INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    {rows}
    ON CONFLICT (patient_id, patient_version)
    DO UPDATE SET run_id = EXCLUDED.run_id, reason = EXCLUDED.reason, field = EXCLUDED.field,
        rejected_at = EXCLUDED.rejected_at"""
