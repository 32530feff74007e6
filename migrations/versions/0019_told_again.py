"""Alerts: why a condition held when it was told, how often that was lately, and since when it has not settled.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQLITE = {"cause": "TEXT", "told_lately": "TEXT", "flapped_at": "TEXT"}
POSTGRESQL = {"cause": "TEXT", "told_lately": "JSONB", "flapped_at": "TIMESTAMP WITH TIME ZONE"}


def upgrade() -> None:
    for column, column_type in (SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL).items():
        op.execute(f"ALTER TABLE alerts ADD COLUMN {column} {column_type}")


def downgrade() -> None:
    for column in SQLITE:
        op.execute(f"ALTER TABLE alerts DROP COLUMN {column}")
