"""What `current_predictions` shows: of a patient's newest scored version the champion's prediction.

Where the champion has not scored that version it is the last run's, whatever the clocks of the runs said. And a
prediction is superseded wherever the row has another version, not a higher one alone: a counter that was set back, or
rows that were stamped anew on their way here, give lower ones.

Frozen: this file imports nothing of the code.
"""

import importlib.util
from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IS_CHAMPIONS = "CASE WHEN {}.model_version = (SELECT model_version FROM champion) THEN 1 ELSE 0 END"

# The order ends with the model's version, so that it has no ties. A deleted row's newer version can only have been
# rejected. With the owner's rights on PostgreSQL: who reads it needs none on champion, patients or rejections.
CURRENT_PREDICTIONS = f"""
    CREATE VIEW current_predictions AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability, p.predicted_class, p.threshold,
           p.scored_at,
           (EXISTS (SELECT 1 FROM patients t WHERE t.id = p.patient_id AND t.version <> p.patient_version)
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)) AS superseded
    FROM predictions p
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions other
        WHERE other.patient_id = p.patient_id
          AND (other.patient_version, {IS_CHAMPIONS.format("other")}, other.run_id, other.model_version)
              > (p.patient_version, {IS_CHAMPIONS.format("p")}, p.run_id, p.model_version))
"""


def upgrade() -> None:
    _replace_view(CURRENT_PREDICTIONS)


def downgrade() -> None:
    _replace_view(_before().CURRENT_PREDICTIONS)


def _replace_view(statement: str) -> None:
    """Where the database can, without taking away rights on it and views that read it."""
    if _is_sqlite():
        _run("DROP VIEW current_predictions")
        _run(statement)
        return
    _run(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def _before():
    """The revision that made the view as it was, as frozen as this one."""
    path = Path(__file__).with_name("0006_true_whatever_fires.py")
    spec = importlib.util.spec_from_file_location("true_whatever_fires", path)
    before = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(before)
    return before


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
