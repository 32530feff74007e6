"""The tables as the code knows them. The migrations make them; a test holds the two equal.

`patients` and `scoring_queue` have a column for each declared feature besides. Those are made from the declaration, and
so stand in no list here.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import CheckConstraint, Column, Identity, Index, Integer, MetaData, Table, Text, UniqueConstraint, text
from sqlalchemy import ForeignKeyConstraint as ForeignKey

from pima.store.database import Bytes, Id, Json, Key, Real, Timestamp, by_database, database_now

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def table(name: str, *parts: Any) -> Table:
    """One of `metadata`."""
    return Table(name, metadata, *parts)


def identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True)


def now() -> dict[str, Any]:
    """Arguments of a column that has the time of the statement."""
    return {"nullable": False, "server_default": database_now()}


# Patients, what they are called and where they come from, and the queue on which their versions wait.

# One row is one patient; people's own software writes here. Its measurements are the features' columns.
patients = table(
    "patients",
    identity(),
    Column("outcome", Integer),
    Column("labelled_at", Timestamp),
    Column("version", Id, nullable=False, server_default=by_database(lambda database: database.next_version)),
    Column("recorded_at", Timestamp, **now()),
    Column("updated_at", Timestamp, **now()),
    # Whose row it is, where it comes from a table of the clinic's own, and the person, where rows are visits. What is a
    # key row_keys says: three conditions here cost each insert of a single row without keys a third more.
    Column("source", Key),
    Column("source_key", Key),
    Column("person_key", Key),
    CheckConstraint("outcome IN (0, 1)", name="outcome"),
    CheckConstraint(by_database(lambda database: database.id_in_range), name="id"),
)
# The newest outcomes, for the realised accuracy; the weekly read of all labelled rows goes through it too.
Index("ix_patients_labelled_at", patients.c.labelled_at, info={"where": text("labelled_at IS NOT NULL")})
IS_LABELLED = "labelled_at IS NOT NULL AND outcome IN (0, 1)"
"""The condition of a labelled row, by the index."""
NEWEST_FIRST = "labelled_at DESC, id DESC"
"""The order of outcomes for whatever takes the newest so many: of those that came at one moment, as with a file, the
highest id is the newest. SQLite reads it off the index. PostgreSQL sorts the rows of each moment that it takes any of:
0.3 s where 200,000 have the same one, under a millisecond where 500 have."""

Index(
    "ix_patients_source_source_key",
    patients.c.source,
    patients.c.source_key,
    unique=True,
    info={"where": text("source_key IS NOT NULL")},
)

# What rows with keys were called when they first came, by what their side of the holdout was decided, and whose they
# are by now or were in the end; it outlives them, and the triggers on patients write it.
row_keys = table(
    "row_keys",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("source", Key),
    Column("source_key", Key),
    Column("side_key", Key, nullable=False),
    Column("first_seen_at", Timestamp, **now()),
    Column("person_key", Key),
    UniqueConstraint("source", "source_key"),
    CheckConstraint(by_database(lambda database: database.source_is_name), name="source"),
    CheckConstraint(by_database(lambda database: database.source_key_in_range), name="source_key"),
    CheckConstraint(by_database(lambda database: database.person_key_in_range), name="person_key"),
)

# How far the last pull of each source came, so that the next one need not compare all of it.
source_pulls = table(
    "source_pulls",
    Column("source", Key, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("changed_up_to", Text),
    Column("compared_whole_at", Timestamp),
    Column("completed_at", Timestamp),
)

# Rows of sources that a pull could not take in as they are there, and since when; never their values.
source_rejections = table(
    "source_rejections",
    Column("source", Key, primary_key=True),
    Column("source_key", Key, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("since", Timestamp, **now()),
)

# Row versions that wait, with all that the scorer needs: the features' columns.
scoring_queue = table(
    "scoring_queue",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, nullable=False),
    Column("enqueued_at", Timestamp, **now()),
)

loads = table(
    "loads",
    identity(),
    Column("sha256", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("rows", Id, nullable=False),
    Column("loaded_at", Timestamp, **now()),
)

# Who was forgotten: a salted hash of each name that they had, by which loads and pulls refuse them.
forgotten = table(
    "forgotten",
    Column("mark", Text, primary_key=True),
    Column("since", Timestamp, **now()),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)


# What became of the rows, and what each night counted of them.

predictions = table(
    "predictions",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, primary_key=True, autoincrement=False),
    Column("model_version", Id, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False),
    Column("probability", Real, nullable=False),
    Column("predicted_class", Integer, nullable=False),
    Column("threshold", Real, nullable=False),
    Column("scored_at", Timestamp, **now()),
    CheckConstraint("probability >= 0 AND probability <= 1", name="probability"),
    CheckConstraint("predicted_class IN (0, 1)", name="predicted_class"),
)

rejections = table(
    "rejections",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("rejected_at", Timestamp, **now()),
)

# What each run of scoring counted, by the bins of its version's reference; later runs pool it where they are small.
tallies = table(
    "tallies",
    Column("run_id", Id, primary_key=True, autoincrement=False),
    # Of a run that several processes share, each leaves its own under some number; 0 has the night's last word.
    Column("part", Id, primary_key=True, autoincrement=False),
    Column("model_version", Id, nullable=False),
    Column("tally", Json, nullable=False),
    Column("recorded_at", Timestamp, **now()),
)

# A row a run, feature and figure; no feature where it is about all rows. Beyond its limit is a value that lies farther
# from the reference than allowed.
monitoring = table(
    "monitoring",
    Column("run_id", Id, primary_key=True, autoincrement=False),
    Column("model_version", Id, primary_key=True, autoincrement=False),
    Column("feature", Text, primary_key=True),
    Column("figure", Text, primary_key=True),
    Column("value", Real),
    Column("low", Real),
    Column("high", Real),
    Column("rows", Id, nullable=False),
    Column("reference", Real),
    Column("allowed", Real),
    Column("state", Text, nullable=False),
    Column("recorded_at", Timestamp, **now()),
    CheckConstraint("state IN ('usual', 'alert', 'insufficient_data', 'no_reference')", name="state"),
)


# Model versions, what they were fitted and judged on, and each decision about them.

model_versions = table(
    "model_versions",
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False),
    Column("keras_artifact", Bytes),
    Column("keras_sha256", Text, nullable=False),
    Column("compiled_artifact", Bytes),
    Column("compiled_sha256", Text, nullable=False),
    Column("threshold", Real, nullable=False),
    Column("seed", Id, nullable=False),
    Column("settings", Json, nullable=False),
    Column("libraries", Json, nullable=False),
    Column("data_fingerprint", Text, nullable=False),
    Column("settings_fingerprint", Text, nullable=False),
    Column("training_rows", Id, nullable=False),
    Column("holdout_rows", Id, nullable=False),
    Column("rows_left_out", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("created_at", Timestamp, **now()),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    # The features that it was fitted on, as they were declared then.
    Column("features", Json, nullable=False),
    # Of the rows that it learned from, as Parquet; kept whether its snapshot is or not.
    Column("training_ids", Bytes, nullable=False),
    # Their distributions, in bins of ten rows at least: what nights are compared with.
    Column("reference", Json, nullable=False),
    CheckConstraint("number > 0", name="number"),
)

# The exact rows that a version was fitted on, as Parquet; for the champion, the one before it and the newest.
training_snapshots = table(
    "training_snapshots",
    Column("model_version", Id, primary_key=True, autoincrement=False),
    Column("content", Bytes, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", Id, nullable=False),
    Column("created_at", Timestamp, **now()),
    # What it was before rows of people who were forgotten were taken out; NULL where none were.
    Column("first_sha256", Text),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

# Which holdout rows a verdict was judged on; several verdicts may share one.
test_sets = table(
    "test_sets",
    Column("fingerprint", Text, primary_key=True),
    Column("patient_ids", Json, nullable=False),
    Column("rows", Id, nullable=False),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    Column("created_at", Timestamp, **now()),
    # When ids of people who were forgotten were last taken out; the fingerprint stays that of all.
    Column("redacted_at", Timestamp),
)

# One row; the sequence number is what a compare-and-swap compares.
champion = table(
    "champion",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("model_version", Id),
    Column("sequence", Id, nullable=False),
    Column("pinned", Integer, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("pinned IN (0, 1)", name="pinned"),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

# The ledger of every decision; append-only.
promotions = table(
    "promotions",
    identity(),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("from_version", Id),
    Column("to_version", Id),
    Column("challenger", Id),
    Column("champion_sequence", Id, nullable=False),
    Column("data_fingerprint", Text),
    Column("settings_fingerprint", Text),
    Column("figures", Json, nullable=False),
    Column("run_id", Id),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", Timestamp, **now()),
    Column("test_set_fingerprint", Text),
    # Both models' figures on its rows, in all and by subgroup: some 100 kB, which the ledger's readers leave alone.
    Column("evidence", Json),
)

# What retrainings leave for people to look at: pages of HTML, the newest few.
reports = table(
    "reports",
    identity(),
    Column("made_at", Timestamp, **now()),
    Column("html", Text, nullable=False),
)

# What is declared, since when; append-only, the highest number counts.
declarations = table(
    "declarations",
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("declaration", Json, nullable=False),
    Column("since", Timestamp, **now()),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("number > 0", name="number"),
)


# Runs, schedules and leases, and what the service remembers of itself.

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


TABLES = tuple(metadata.tables.values())

VIEWS = {
    "current_predictions": ("champion", "patients", "predictions", "rejections", "row_keys", "source_rejections"),
    "patient_versions": ("patients",),
    "monitored_predictions": ("patients", "predictions"),
}
"""Each view -> the tables that it reads."""

WITH_FEATURES = ("patients", "scoring_queue")
"""The tables that have a column of type Real for each feature, declared or retired."""


def with_features(columns: Iterable[str]) -> MetaData:
    """Copies of the tables, with these features' columns."""
    whole = MetaData(naming_convention=metadata.naming_convention)
    for table in TABLES:
        table.to_metadata(whole)
    for name in WITH_FEATURES:
        for column in columns:
            whole.tables[name].append_column(Column(column, Real))
    return whole
