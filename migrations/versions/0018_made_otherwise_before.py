"""What 0010, 0013 and 0015 make today, and did not in the first commits that had them: the mark by which a pull says
when outcomes became known (SQLite), which rows a version learned from, and parts of a run's tally.

Where a later commit made the database there is nothing to do.

Frozen: this file imports nothing of the code.
"""

from alembic import op
from sqlalchemy import inspect

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SQLITE = {
    "patient_version_counter.labelling": (
        "ALTER TABLE patient_version_counter ADD COLUMN labelling INTEGER NOT NULL DEFAULT 0",
    ),
    "model_versions.training_ids": ("ALTER TABLE model_versions ADD COLUMN training_ids BLOB",),
    "tallies.part": (
        "ALTER TABLE tallies RENAME TO tallies_before",
        """CREATE TABLE tallies (
            run_id INTEGER NOT NULL,
            part INTEGER NOT NULL,
            model_version INTEGER NOT NULL,
            tally TEXT NOT NULL,
            recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
            CONSTRAINT pk_tallies PRIMARY KEY (run_id, part)
        ) STRICT""",
        """INSERT INTO tallies (run_id, part, model_version, tally, recorded_at)
            SELECT run_id, 0, model_version, tally, recorded_at FROM tallies_before""",
        "DROP TABLE tallies_before",
    ),
}
POSTGRESQL = {
    "model_versions.training_ids": ("ALTER TABLE model_versions ADD COLUMN training_ids BYTEA",),
    # In place, so that the roles keep their rights.
    "tallies.part": (
        "ALTER TABLE tallies ADD COLUMN part BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE tallies ALTER COLUMN part DROP DEFAULT",
        "ALTER TABLE tallies DROP CONSTRAINT pk_tallies",
        "ALTER TABLE tallies ADD CONSTRAINT pk_tallies PRIMARY KEY (run_id, part)",
    ),
}


def upgrade() -> None:
    for missing, statements in (SQLITE if _is_sqlite() else POSTGRESQL).items():
        table, column = missing.split(".")
        if not _has(table, column):
            for statement in statements:
                # Straight to the driver: the text holds colons that are no parameters.
                op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Nothing: the revisions before make it so."""


def _has(table: str, column: str) -> bool:
    return any(found["name"] == column for found in inspect(op.get_bind()).get_columns(table))


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
