"""What `current_predictions` shows, and that `unseen_rows` counts rows without a version.

Of a patient's newest scored version the champion's prediction is shown. Where the champion has not scored that version
it is the last run's, whatever the clocks of the runs said. And a prediction is superseded wherever the row has another
version, not a higher one alone: a counter that was set back, or rows that were stamped anew on their way here, give
lower ones.

A row that was inserted without its triggers has version 0, and waits for nothing.

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

# Index and view have the same condition, as one: by a part of it PostgreSQL would not go, nor read the index alone.
LACKS_STAMPS = "(outcome IS NULL) <> (labelled_at IS NULL) OR (version = 0 AND outcome IS NULL)"
UNSTAMPED = f"CREATE INDEX ix_patients_unstamped ON patients (id) WHERE {LACKS_STAMPS}"
UNSEEN_ROWS = f"""
    CREATE VIEW unseen_rows AS
    SELECT 'row_without_its_stamps' AS fault, count(*) AS found
    FROM patients WHERE {LACKS_STAMPS}
    UNION ALL
    SELECT 'queue_entry_that_is_not_the_row', count(*) FROM scoring_queue q
    WHERE NOT EXISTS (SELECT 1 FROM patients p
                      WHERE p.id = q.patient_id AND p.version = q.patient_version AND p.outcome IS NULL)
"""


def upgrade() -> None:
    _replace_view("current_predictions", CURRENT_PREDICTIONS)
    _replace_index(UNSTAMPED)
    _replace_view("unseen_rows", UNSEEN_ROWS)


def downgrade() -> None:
    before = _before()
    _replace_view("unseen_rows", before.UNSEEN_ROWS)
    _replace_index(before.UNSTAMPED)
    _replace_view("current_predictions", before.CURRENT_PREDICTIONS)


def _replace_index(statement: str) -> None:
    _run("DROP INDEX ix_patients_unstamped")
    _run(statement)


def _replace_view(name: str, statement: str) -> None:
    """Where the database can, without taking away rights on it and views that read it."""
    if _is_sqlite():
        _run(f"DROP VIEW {name}")
        _run(statement)
        return
    _run(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def _before():
    """The revision that made them as they were, as frozen as this one."""
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
