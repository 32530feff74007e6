"""What a verdict was judged on and what a version was fitted on: test sets, training snapshots, label times.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQLITE = {"id": "INTEGER", "bytes": "BLOB", "json": "TEXT", "time": "TEXT", "end": "STRICT"}
SQLITE["now"] = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
POSTGRESQL = {"id": "BIGINT", "bytes": "BYTEA", "json": "JSONB", "time": "TIMESTAMP WITH TIME ZONE", "end": ""}
POSTGRESQL["now"] = "clock_timestamp()"

UPGRADE = (
    """CREATE TABLE test_sets (
        fingerprint TEXT NOT NULL CONSTRAINT pk_test_sets PRIMARY KEY,
        patient_ids {json} NOT NULL,
        rows {id} NOT NULL,
        first_labelled_at {time},
        last_labelled_at {time},
        created_at {time} NOT NULL DEFAULT {now}
    ) {end}""",
    """CREATE TABLE training_snapshots (
        model_version {id} NOT NULL CONSTRAINT pk_training_snapshots PRIMARY KEY,
        content {bytes} NOT NULL,
        sha256 TEXT NOT NULL,
        rows {id} NOT NULL,
        created_at {time} NOT NULL DEFAULT {now},
        CONSTRAINT fk_training_snapshots_model_version FOREIGN KEY (model_version) REFERENCES model_versions (number)
    ) {end}""",
    # NULL for versions and verdicts from before this revision.
    "ALTER TABLE model_versions ADD COLUMN first_labelled_at {time}",
    "ALTER TABLE model_versions ADD COLUMN last_labelled_at {time}",
    "ALTER TABLE promotions ADD COLUMN test_set_fingerprint TEXT",
)
DOWNGRADE = (
    "ALTER TABLE promotions DROP COLUMN test_set_fingerprint",
    "ALTER TABLE model_versions DROP COLUMN last_labelled_at",
    "ALTER TABLE model_versions DROP COLUMN first_labelled_at",
    "DROP TABLE training_snapshots",
    "DROP TABLE test_sets",
)


def upgrade() -> None:
    words = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for statement in UPGRADE:
        _run(statement.format(**words))


def downgrade() -> None:
    for statement in DOWNGRADE:
        _run(statement)


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    doubled = op.get_bind().dialect.name != "sqlite"
    op.get_bind().exec_driver_sql(statement.replace("%", "%%") if doubled else statement)
