"""Model versions, what they were fitted and judged on, and each decision about them."""

from sqlalchemy import CheckConstraint, Column, Integer, Text
from sqlalchemy import ForeignKeyConstraint as ForeignKey

from pima.store.tables.parts import identity, now, table
from pima.store.types import Bytes, Id, Json, Real, Timestamp

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
