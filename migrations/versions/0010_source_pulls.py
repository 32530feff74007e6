"""What is known of a source since its last pull: how far that one came, and when all of it was compared last.

On SQLite the counter of versions gets the mark by which a pull says when outcomes became known.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SQLITE = {"key": "TEXT", "time": "TEXT", "end": "STRICT"}
POSTGRESQL = {"key": 'TEXT COLLATE "C"', "time": "TIMESTAMP WITH TIME ZONE", "end": ""}

SOURCE_PULLS = """CREATE TABLE source_pulls (
    source {key} NOT NULL CONSTRAINT pk_source_pulls PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    changed_up_to TEXT,
    compared_whole_at {time},
    completed_at {time}
) {end}"""


def upgrade() -> None:
    _run(SOURCE_PULLS.format(**(SQLITE if _is_sqlite() else POSTGRESQL)))
    if _is_sqlite():
        _run("ALTER TABLE patient_version_counter ADD COLUMN labelling INTEGER NOT NULL DEFAULT 0")


def downgrade() -> None:
    _run("DROP TABLE source_pulls")
    if _is_sqlite():
        _run("ALTER TABLE patient_version_counter DROP COLUMN labelling")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement)
