"""The tables as the code knows them. The migrations make them; a test holds the two equal.

`patients` and `scoring_queue` have a column for each declared feature besides. Those are made from the declaration, and
so stand in no list here.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import ForeignKeyConstraint as ForeignKey

from pima.store.types import Bytes, Id, Json, Key, Real, Timestamp, database_now, in_words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts)


def _decided(name: str, *parts: Any) -> Table:
    """What was decided since when, by whom and why; append-only, the highest number counts."""
    return _table(
        name,
        Column("number", Id, primary_key=True, autoincrement=False),
        *parts,
        Column("since", Timestamp, **_now()),
        Column("decided_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        CheckConstraint("number > 0", name="number"),
    )


def _identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True)


def _now() -> dict[str, Any]:
    return {"nullable": False, "server_default": database_now()}


# One row is one patient; people's own software writes here. Its measurements are the features' columns.
patients = _table(
    "patients",
    _identity(),
    Column("outcome", Integer),
    Column("labelled_at", Timestamp),
    Column("version", Id, nullable=False, server_default=text("0")),
    Column("recorded_at", Timestamp, **_now()),
    Column("updated_at", Timestamp, **_now()),
    # Whose row it is, where it comes from a table of the clinic's own, and the person, where rows are visits. What is a
    # key the triggers say: three conditions here cost each insert of a single row without keys a third more.
    Column("source", Key),
    Column("source_key", Key),
    Column("person_key", Key),
    CheckConstraint("outcome IN (0, 1)", name="outcome"),
    CheckConstraint(in_words("id_in_range"), name="id"),
)
# The newest outcomes, for the realised accuracy; the weekly read of all labelled rows goes through it too.
Index("ix_patients_labelled_at", patients.c.labelled_at, info={"where": text("labelled_at IS NOT NULL")})
IS_LABELLED = "labelled_at IS NOT NULL AND outcome IN (0, 1)"
"""Of a row of patients, by the index. An outcome that was cleared while the triggers were switched off has left its
time; one that is neither came while SQLite checked no constraints."""
LACKS_STAMPS = "(outcome IS NULL) <> (labelled_at IS NULL) OR (version = 0 AND outcome IS NULL)"
"""Of a row of patients that was written while the triggers were switched off."""
# Empty but for those: what health and requeue look for.
Index("ix_patients_unstamped", patients.c.id, info={"where": text(LACKS_STAMPS)})

Index(
    "ix_patients_source_source_key",
    patients.c.source,
    patients.c.source_key,
    unique=True,
    info={"where": text("source_key IS NOT NULL")},
)

# What rows with keys were called when they first came, by what their side of the holdout was decided, and whose they
# are by now or were in the end; it outlives them, and the triggers on patients write it.
row_keys = _table(
    "row_keys",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("source", Key),
    Column("source_key", Key),
    Column("side_key", Key, nullable=False),
    Column("first_seen_at", Timestamp, **_now()),
    Column("person_key", Key),
    UniqueConstraint("source", "source_key"),
    CheckConstraint(in_words("source_is_name"), name="source"),
    CheckConstraint(in_words("source_key_in_range"), name="source_key"),
)

# How far the last pull of each source came, so that the next one need not compare all of it.
source_pulls = _table(
    "source_pulls",
    Column("source", Key, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("changed_up_to", Text),
    Column("compared_whole_at", Timestamp),
    Column("completed_at", Timestamp),
)

# Keys of sources' tables that triggers on those noted, for the next pull; NULL stands for all keys. Nothing in it is
# unique but the number that is drawn, so that no two writers wait for each other.
source_changes = _table(
    "source_changes",
    _identity(),
    Column("source", Key, nullable=False),
    Column("source_key", Text),
)

# Which sources have such triggers.
attached_sources = _table(
    "attached_sources",
    Column("source", Key, primary_key=True),
    Column("attached_at", Timestamp, **_now()),
)

# Row versions that wait, with all that the scorer needs: the features' columns.
scoring_queue = _table(
    "scoring_queue",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, nullable=False),
    Column("enqueued_at", Timestamp, **_now()),
)

predictions = _table(
    "predictions",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, primary_key=True, autoincrement=False),
    Column("model_version", Id, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False),
    Column("probability", Real, nullable=False),
    Column("predicted_class", Integer, nullable=False),
    Column("threshold", Real, nullable=False),
    Column("scored_at", Timestamp, **_now()),
    CheckConstraint("probability >= 0 AND probability <= 1", name="probability"),
    CheckConstraint("predicted_class IN (0, 1)", name="predicted_class"),
)

rejections = _table(
    "rejections",
    Column("patient_id", Id, primary_key=True, autoincrement=False),
    Column("patient_version", Id, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("rejected_at", Timestamp, **_now()),
)

loads = _table(
    "loads",
    _identity(),
    Column("sha256", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("rows", Id, nullable=False),
    Column("loaded_at", Timestamp, **_now()),
)

model_versions = _table(
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
    Column("created_at", Timestamp, **_now()),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    Column("holdout_generation", Id),
    # The features that it was fitted on, as they were declared then.
    Column("features", Json),
    # Of the rows that it learned from, as Parquet; kept whether its snapshot is or not.
    Column("training_ids", Bytes),
    # Their distributions, in bins of ten rows at least: what nights are compared with.
    Column("reference", Json),
    CheckConstraint("number > 0", name="number"),
)

# The exact rows that a version was fitted on, as Parquet; for the champion, the one before it and the newest.
training_snapshots = _table(
    "training_snapshots",
    Column("model_version", Id, primary_key=True, autoincrement=False),
    Column("content", Bytes, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", Id, nullable=False),
    Column("created_at", Timestamp, **_now()),
    # What it was before rows of people who were forgotten were taken out; NULL where none were.
    Column("first_sha256", Text),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

# Which holdout rows a verdict was judged on; several verdicts may share one.
test_sets = _table(
    "test_sets",
    Column("fingerprint", Text, primary_key=True),
    Column("patient_ids", Json, nullable=False),
    Column("rows", Id, nullable=False),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    Column("created_at", Timestamp, **_now()),
    # When ids of people who were forgotten were last taken out; the fingerprint stays that of all.
    Column("redacted_at", Timestamp),
)

# One row; the sequence number is what a compare-and-swap compares.
champion = _table(
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
promotions = _table(
    "promotions",
    _identity(),
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
    Column("decided_at", Timestamp, **_now()),
    Column("test_set_fingerprint", Text),
    # Both models' figures on its rows, in all and by subgroup: some 100 kB, which the ledger's readers leave alone.
    Column("evidence", Json),
)

runs = _table(
    "runs",
    _identity(),
    Column("job", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("scheduled_for", Timestamp),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("model_version", Id),
    Column("counts", Json, nullable=False),
    Column("error_code", Text),
    Column("host", Text, nullable=False),
    Column("started_at", Timestamp, **_now()),
    Column("heartbeat_at", Timestamp, **_now()),
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
removed_runs = _table(
    "removed_runs",
    Column("job", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("runs", Id, nullable=False),
    Column("predicted", Id, nullable=False),
    Column("rejected", Id, nullable=False),
    Column("already_scored", Id, nullable=False),
)

# What each run of scoring counted, by the bins of its version's reference; later runs pool it where they are small.
tallies = _table(
    "tallies",
    Column("run_id", Id, primary_key=True, autoincrement=False),
    # Of a run that several processes share, each leaves its own under some number; 0 has the night's last word.
    Column("part", Id, primary_key=True, autoincrement=False),
    Column("model_version", Id, nullable=False),
    Column("tally", Json, nullable=False),
    Column("recorded_at", Timestamp, **_now()),
)

# A row a run, feature and figure; no feature where it is about all rows. Beyond its limit is a value that lies farther
# from the reference than allowed.
monitoring = _table(
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
    Column("recorded_at", Timestamp, **_now()),
    CheckConstraint("state IN ('usual', 'alert', 'insufficient_data', 'no_reference')", name="state"),
)

# What retrainings leave for people to look at: pages of HTML, the newest few.
reports = _table(
    "reports",
    _identity(),
    Column("made_at", Timestamp, **_now()),
    Column("html", Text, nullable=False),
)

# What each receiver of alerts was told of each condition that holds, and for a day of each that does no more.
alerts = _table(
    "alerts",
    Column("receiver", Integer, primary_key=True, autoincrement=False),
    Column("condition", Text, primary_key=True),
    Column("since", Timestamp, nullable=False),
    Column("told_at", Timestamp),
    Column("is_open", Integer, nullable=False),
    # Until when somebody is sending.
    Column("claimed_until", Timestamp),
    CheckConstraint("receiver > 0", name="receiver"),
    CheckConstraint("is_open IN (0, 1)", name="is_open"),
)

# Since when each job has had its present schedule, and when a scheduler last said that it lives.
schedules = _table(
    "schedules",
    Column("job", Text, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("first_seen_at", Timestamp, nullable=False),
    Column("heartbeat_at", Timestamp, nullable=False),
)

leases = _table(
    "leases",
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", Id, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
)

# What is decided once, when the schema is made.
installation = _table(
    "installation",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holdout_salt", Text, nullable=False),
    Column("created_at", Timestamp, **_now()),
    # Another one: whoever may ask who was forgotten could choose keys by the holdout's.
    Column("forgetting_salt", Text),
    CheckConstraint("id = 1", name="one_row"),
)

# Who was forgotten: a salted hash of each name that they had, by which loads and pulls refuse them.
forgotten = _table(
    "forgotten",
    Column("mark", Text, primary_key=True),
    Column("since", Timestamp, **_now()),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# Which share the holdout has had since when.
holdout_generations = _decided(
    "holdout_generations",
    Column("share", Real, nullable=False),
    CheckConstraint("share > 0 AND share < 1", name="share"),
)

# What is scored, since when.
declarations = _decided("declarations", Column("declaration", Json, nullable=False))

TABLES = tuple(metadata.tables.values())

VIEWS = {
    "current_predictions": ("champion", "patients", "predictions", "rejections", "row_keys"),
    "unseen_rows": ("patients", "scoring_queue"),
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
