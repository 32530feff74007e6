"""`current_predictions` also says whose each row is, by its person key, and whether the row has been deleted.

Frozen: this file imports nothing of the code.
"""

import importlib.util
from pathlib import Path

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

IS_CHAMPIONS = "CASE WHEN {}.model_version = (SELECT model_version FROM champion) THEN 1 ELSE 0 END"
# With the owner's rights on PostgreSQL: who reads it needs none on patients or row_keys. Both are joined by their keys,
# so that who asks for nothing of them pays nothing, and who asks for much of it no look-up a row.
CURRENT_PREDICTIONS = f"""
    CREATE VIEW current_predictions AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability, p.predicted_class, p.threshold,
           p.scored_at,
           ((t.version <> p.patient_version) IS TRUE
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)) AS superseded,
           k.source, k.source_key, k.person_key,
           t.id IS NULL AS deleted
    FROM predictions p LEFT JOIN row_keys k ON k.patient_id = p.patient_id LEFT JOIN patients t ON t.id = p.patient_id
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions other
        WHERE other.patient_id = p.patient_id
          AND (other.patient_version, {IS_CHAMPIONS.format("other")}, other.run_id, other.model_version)
              > (p.patient_version, {IS_CHAMPIONS.format("p")}, p.run_id, p.model_version))
"""


def upgrade() -> None:
    if _is_sqlite():
        _run("DROP VIEW current_predictions")
        _run(CURRENT_PREDICTIONS)
    else:
        # Its new columns stand at the end, so it keeps the rights on it and the views that read it.
        _run(CURRENT_PREDICTIONS.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def downgrade() -> None:
    # A view can't lose columns: rights on it are given anew, by migrate --roles.
    _run("DROP VIEW current_predictions")
    _run(_before().CURRENT_PREDICTIONS)


def _before():
    """The revision that made the view as it was, as frozen as this one."""
    path = Path(__file__).with_name("0009_whose_row_it_is.py")
    spec = importlib.util.spec_from_file_location("whose_row_it_is", path)
    before = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(before)
    return before


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement)
