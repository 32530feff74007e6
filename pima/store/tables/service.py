"""Runs, schedules and leases, and what the service remembers of itself."""

from sqlalchemy import CheckConstraint, Column, Integer, Text, UniqueConstraint

from pima.store.tables.parts import identity, now, table
from pima.store.types import Id, Json, Real, Timestamp

runs = table(
    "runs",
    identity(),
    Column("job", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("scheduled_for", Timestamp),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("model_version", Id),
    Column("counts", Json, nullable=False),
    Column("error_code", Text),
    Column("host", Text, nullable=False),
    Column("started_at", Timestamp, **now()),
    Column("heartbeat_at", Timestamp, **now()),
    Column("finished_at", Timestamp),
    # How the child process ended, where a scheduler started it.
    Column("exit_code", Integer),
    Column("signal", Text),
    Column("error_line", Text),
    UniqueConstraint("job", "scheduled_for", "attempt"),
    CheckConstraint(
        "status IN ('running', 'succeeded', 'refused', 'failed', 'try_again_later', 'interrupted',"
        " 'crashed', 'missed', 'skipped')",
        name="status",
    ),
)

# What runs have counted that are removed: metrics go on from there.
removed_runs = table(
    "removed_runs",
    Column("job", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("runs", Id, nullable=False),
    Column("predicted", Id, nullable=False),
    Column("rejected", Id, nullable=False),
    Column("already_scored", Id, nullable=False),
)

# What each receiver of alerts was told of each condition that holds, and for an hour of each that does no more.
alerts = table(
    "alerts",
    Column("receiver", Integer, primary_key=True, autoincrement=False),
    Column("condition", Text, primary_key=True),
    Column("since", Timestamp, nullable=False),
    Column("told_at", Timestamp),
    Column("is_open", Integer, nullable=False),
    # Until when somebody is sending.
    Column("claimed_until", Timestamp),
    Column("cause", Text),
    Column("told_lately", Json),
    # Of one that comes and goes, when it last did.
    Column("flapped_at", Timestamp),
    CheckConstraint("receiver > 0", name="receiver"),
    CheckConstraint("is_open IN (0, 1)", name="is_open"),
)

# Since when each job has had its present schedule, and when a scheduler last said that it lives.
schedules = table(
    "schedules",
    Column("job", Text, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("first_seen_at", Timestamp, nullable=False),
    Column("heartbeat_at", Timestamp, nullable=False),
)

leases = table(
    "leases",
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", Id, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
)

# What is decided once, when the schema is made.
installation = table(
    "installation",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holdout_salt", Text, nullable=False),
    Column("holdout_share", Real, nullable=False),
    # Another one: whoever may ask who was forgotten could choose keys by the holdout's.
    Column("forgetting_salt", Text, nullable=False),
    Column("created_at", Timestamp, **now()),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("holdout_share > 0 AND holdout_share < 1", name="holdout_share"),
)
