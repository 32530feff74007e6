"""Alerts: what each receiver was told of which condition. And a view for tools that watch models.

A prediction's label is the outcome that became known after it was made. With the owner's rights on PostgreSQL: who
reads the view needs none on predictions or patients, and learns whose a row is from neither.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SQLITE = {"time": "TEXT", "end": "STRICT"}
POSTGRESQL = {"time": "TIMESTAMP WITH TIME ZONE", "end": ""}

ALERTS = """CREATE TABLE alerts (
    receiver INTEGER NOT NULL,
    condition TEXT NOT NULL,
    since {time} NOT NULL,
    told_at {time},
    is_open INTEGER NOT NULL,
    claimed_until {time},
    CONSTRAINT pk_alerts PRIMARY KEY (receiver, condition),
    CONSTRAINT ck_alerts_receiver CHECK (receiver > 0),
    CONSTRAINT ck_alerts_is_open CHECK (is_open IN (0, 1))
) {end}"""
MONITORED = """CREATE VIEW monitored_predictions AS
    SELECT p.model_version AS model_id, p.scored_at AS timestamp, p.probability AS prediction, t.outcome AS label
    FROM predictions p
    LEFT JOIN patients t ON t.id = p.patient_id AND t.outcome IN (0, 1) AND t.labelled_at >= p.scored_at"""


def upgrade() -> None:
    for statement in (ALERTS, MONITORED):
        op.get_bind().exec_driver_sql(statement.format(**(SQLITE if _is_sqlite() else POSTGRESQL)))


def downgrade() -> None:
    op.execute("DROP VIEW monitored_predictions")
    op.execute("DROP TABLE alerts")


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
