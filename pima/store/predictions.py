"""Writing what became of the claimed rows, and reading it back."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from pima.store.batches import Predictions, Rejections
from pima.store.database import database_of
from pima.store.tables import IS_LABELLED, NEWEST_FIRST

# A version that this model has predicted before (after a rescore and a rollback, say) is left as it is.
INSERT_PREDICTIONS = """
    INSERT INTO predictions
        (patient_id, patient_version, model_version, run_id, probability, predicted_class, threshold)
    {rows}
    ON CONFLICT (patient_id, patient_version, model_version) DO NOTHING"""
# A version rejected before is judged again only after `requeue`; the newer judgement stands.
INSERT_REJECTIONS = """
    INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    {rows}
    ON CONFLICT (patient_id, patient_version)
    DO UPDATE SET run_id = EXCLUDED.run_id, reason = EXCLUDED.reason, field = EXCLUDED.field,
        rejected_at = EXCLUDED.rejected_at"""


def write_predictions(
    connection: Connection, predictions: Predictions, model_version: int, run_id: int, threshold: float
) -> int:
    """Append the predictions; returns how many were new, the rest having been made by this model before."""
    return database_of(connection).write_predictions(connection, predictions, model_version, run_id, threshold)


def write_rejections(connection: Connection, rejections: Rejections, run_id: int) -> None:
    """Record the rejections."""
    database_of(connection).write_rejections(connection, rejections, run_id)


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
_REALISED = text(f"""
    SELECT count(*), coalesce(sum(CASE WHEN predicted_class = outcome THEN 1 ELSE 0 END), 0)
    FROM (SELECT n.outcome, (
            SELECT d.predicted_class FROM predictions d
            WHERE d.patient_id = n.id AND d.scored_at <= n.labelled_at
            ORDER BY d.patient_version DESC, d.run_id DESC, d.model_version DESC LIMIT 1) AS predicted_class
        FROM (SELECT id, outcome, labelled_at FROM patients
              WHERE {IS_LABELLED}
              ORDER BY {NEWEST_FIRST} LIMIT :newest) AS n) AS compared
    WHERE predicted_class IS NOT NULL""")


def realised_accuracy(connection: Connection, newest: int) -> Realised:
    """Predictions against the outcomes that came after them, over the `newest` outcomes."""
    outcomes, correct = connection.execute(_REALISED, {"newest": newest}).one()
    return Realised(outcomes, correct)
