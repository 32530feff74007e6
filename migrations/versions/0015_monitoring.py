"""Monitoring: what each version's training rows looked like, what each run of scoring counted, and the figures made of
the two.

Versions from before have no reference: their nights are counted, and compared with nothing.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SQLITE = {"id": "INTEGER", "real": "REAL", "json": "TEXT", "time": "TEXT", "end": "STRICT"}
SQLITE["now"] = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
POSTGRESQL = {"id": "BIGINT", "real": "DOUBLE PRECISION", "json": "JSONB", "end": ""}
POSTGRESQL |= {"time": "TIMESTAMP WITH TIME ZONE", "now": "clock_timestamp()"}

TALLIES = """CREATE TABLE tallies (
    run_id {id} NOT NULL,
    part {id} NOT NULL,
    model_version {id} NOT NULL,
    tally {json} NOT NULL,
    recorded_at {time} NOT NULL DEFAULT {now},
    CONSTRAINT pk_tallies PRIMARY KEY (run_id, part)
) {end}"""
MONITORING = """CREATE TABLE monitoring (
    run_id {id} NOT NULL,
    model_version {id} NOT NULL,
    feature TEXT NOT NULL,
    figure TEXT NOT NULL,
    value {real},
    low {real},
    high {real},
    rows {id} NOT NULL,
    reference {real},
    allowed {real},
    state TEXT NOT NULL,
    recorded_at {time} NOT NULL DEFAULT {now},
    CONSTRAINT pk_monitoring PRIMARY KEY (run_id, model_version, feature, figure),
    CONSTRAINT ck_monitoring_state CHECK (state IN ('usual', 'alert', 'insufficient_data', 'no_reference'))
) {end}"""


def upgrade() -> None:
    for statement in (TALLIES, MONITORING):
        _execute(statement)
    op.execute(f"ALTER TABLE model_versions ADD COLUMN reference {'TEXT' if _is_sqlite() else 'JSONB'}")


def downgrade() -> None:
    op.execute("ALTER TABLE model_versions DROP COLUMN reference")
    op.execute("DROP TABLE monitoring")
    op.execute("DROP TABLE tallies")


def _execute(statement: str) -> None:
    # Straight to the driver: the text holds colons and percent signs that are no parameters.
    made = statement.format(**(SQLITE if _is_sqlite() else POSTGRESQL))
    op.get_bind().exec_driver_sql(made if _is_sqlite() else made.replace("%", "%%"))


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
