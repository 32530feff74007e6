"""Who was forgotten, as salted hashes, and what was taken out of snapshots and test sets for it; and what runs that are
removed have counted.

The salt is drawn by whoever migrates, as the holdout's is.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SQLITE = {"time": "TEXT", "now": "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", "number": "INTEGER", "end": "STRICT"}
POSTGRESQL = {"time": "TIMESTAMP WITH TIME ZONE", "now": "clock_timestamp()", "number": "BIGINT", "end": ""}

FORGOTTEN = """CREATE TABLE forgotten (
    mark TEXT NOT NULL,
    since {time} NOT NULL DEFAULT {now},
    decided_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_forgotten PRIMARY KEY (mark)
) {end}"""
# What metrics count must not go back.
REMOVED_RUNS = """CREATE TABLE removed_runs (
    job TEXT NOT NULL,
    status TEXT NOT NULL,
    runs {number} NOT NULL,
    predicted {number} NOT NULL,
    rejected {number} NOT NULL,
    already_scored {number} NOT NULL,
    CONSTRAINT pk_removed_runs PRIMARY KEY (job, status)
) {end}"""
COLUMNS = (
    ("installation", "forgetting_salt", "TEXT"),
    # What the snapshot's was before anybody was taken out.
    ("training_snapshots", "first_sha256", "TEXT"),
    ("test_sets", "redacted_at", "{time}"),
)


def upgrade() -> None:
    _run(FORGOTTEN)
    _run(REMOVED_RUNS)
    for table, column, kind in COLUMNS:
        _run(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def downgrade() -> None:
    for table, column, _ in COLUMNS:
        _run(f"ALTER TABLE {table} DROP COLUMN {column}")
    _run("DROP TABLE removed_runs")
    _run("DROP TABLE forgotten")


def _run(statement: str) -> None:
    # Straight to the driver: the text holds colons and percent signs that are no parameters.
    made = statement.format(**(SQLITE if _is_sqlite() else POSTGRESQL))
    op.get_bind().exec_driver_sql(made if _is_sqlite() else made.replace("%", "%%"))


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
