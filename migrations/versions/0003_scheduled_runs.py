"""Runs as a scheduler sees them: how a child ended, ticks missed or skipped, and since when a schedule is known.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OLD = ("running", "succeeded", "refused", "failed", "try_again_later", "interrupted")
NEW = (*OLD, "crashed", "missed", "skipped")

SCHEDULES = """CREATE TABLE schedules (
    job TEXT NOT NULL CONSTRAINT pk_schedules PRIMARY KEY,
    expression TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    first_seen_at {time} NOT NULL,
    heartbeat_at {time} NOT NULL
) {end}"""
ADDED = ("exit_code INTEGER", "signal TEXT", "error_line TEXT")

# SQLite can't change a CHECK: the table is made anew. Nothing refers to it.
_SQLITE_NOW = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
_SQLITE_COLUMNS = (
    "id, job, trigger, scheduled_for, attempt, status, model_version, counts, error_code, host, started_at, "
    "heartbeat_at, finished_at"
)
_SQLITE_RUNS = f"""CREATE TABLE runs_anew (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    trigger TEXT NOT NULL,
    scheduled_for TEXT,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    model_version INTEGER,
    counts TEXT NOT NULL,
    error_code TEXT,
    host TEXT NOT NULL,
    started_at TEXT NOT NULL DEFAULT {_SQLITE_NOW},
    heartbeat_at TEXT NOT NULL DEFAULT {_SQLITE_NOW},
    finished_at TEXT,
    {{added}}
    CONSTRAINT uq_runs_job_scheduled_for_attempt UNIQUE (job, scheduled_for, attempt),
    CONSTRAINT ck_runs_status CHECK (status IN ({{statuses}}))
) STRICT"""


def upgrade() -> None:
    words = {"time": "TEXT", "end": "STRICT"} if _is_sqlite() else {"time": "TIMESTAMP WITH TIME ZONE", "end": ""}
    _run(SCHEDULES.format(**words))
    if _is_sqlite():
        _make_anew("".join(f"{column}," for column in ADDED), NEW)
        return
    for column in ADDED:
        _run(f"ALTER TABLE runs ADD COLUMN {column}")
    _check(NEW)


def downgrade() -> None:
    # The older schema has no words for these; a crashed run was a failed one, the others never ran.
    _run("DELETE FROM runs WHERE status IN ('missed', 'skipped')")
    _run("UPDATE runs SET status = 'failed' WHERE status = 'crashed'")
    if _is_sqlite():
        _make_anew("", OLD)
    else:
        _check(OLD)
        for column in reversed(ADDED):
            _run(f"ALTER TABLE runs DROP COLUMN {column.split()[0]}")
    _run("DROP TABLE schedules")


def _make_anew(added: str, statuses: tuple[str, ...]) -> None:
    _run(_SQLITE_RUNS.format(added=added, statuses=_quoted(statuses)))
    _run(f"INSERT INTO runs_anew ({_SQLITE_COLUMNS}) SELECT {_SQLITE_COLUMNS} FROM runs")
    _run("DROP TABLE runs")
    _run("ALTER TABLE runs_anew RENAME TO runs")


def _check(statuses: tuple[str, ...]) -> None:
    _run("ALTER TABLE runs DROP CONSTRAINT ck_runs_status")
    _run(f"ALTER TABLE runs ADD CONSTRAINT ck_runs_status CHECK (status IN ({_quoted(statuses)}))")


def _quoted(statuses: tuple[str, ...]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
