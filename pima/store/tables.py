"""The tables as the code knows them. migrations/versions/0001.sql makes them, and says what each is for.

`patients` and `scoring_queue` have a column for each declared feature besides. Those are made from the declaration, and
so stand in no list here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Identity, Index, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy import ForeignKeyConstraint as ForeignKey
from sqlalchemy.types import TypeEngine

from pima.store.database import Bytes, Id, Json, Key, Real, Timestamp

metadata = MetaData()


def table(name: str, *parts: Any, checks: Sequence[str] = ()) -> Table:
    """One of `metadata`, with the names of its CHECK constraints."""
    return Table(name, metadata, *parts, info={"checks": checks})


def identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True)


def primary(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    """A part of the primary key, which whoever inserts gives."""
    return Column(name, kind, primary_key=True, autoincrement=False)


def required(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    """A column that is never NULL; where a statement leaves it out, the database has a default."""
    return Column(name, kind, nullable=False)


patients = table(
    "patients",
    identity(),
    Column("outcome", Integer),
    Column("labelled_at", Timestamp),
    required("version", Id),
    required("recorded_at", Timestamp),
    required("updated_at", Timestamp),
    Column("source", Key),
    Column("source_key", Key),
    Column("person_key", Key),
    checks=("outcome", "id"),
)
Index("ix_patients_labelled_at", patients.c.labelled_at)
IS_LABELLED = "labelled_at IS NOT NULL AND outcome IN (0, 1)"
"""The condition of a labelled row, by the index."""
NEWEST_FIRST = "labelled_at DESC, id DESC"
"""The order of outcomes for whatever takes the newest so many: of those that came at one moment, as with a file, the
highest id is the newest. SQLite reads it off the index. PostgreSQL sorts the rows of each moment that it takes any of:
0.3 s where 200,000 have the same one, under a millisecond where 500 have."""

Index("ix_patients_source_source_key", patients.c.source, patients.c.source_key, unique=True)

row_keys = table(
    "row_keys",
    primary("patient_id", Id),
    Column("source", Key),
    Column("source_key", Key),
    required("side_key", Key),
    required("first_seen_at", Timestamp),
    Column("person_key", Key),
    UniqueConstraint("source", "source_key"),
    checks=("source", "source_key", "person_key"),
)

source_pulls = table(
    "source_pulls",
    primary("source", Key),
    required("fingerprint", Text),
    Column("changed_up_to", Text),
    Column("compared_whole_at", Timestamp),
    Column("completed_at", Timestamp),
)

source_rejections = table(
    "source_rejections",
    primary("source", Key),
    primary("source_key", Key),
    required("reason", Text),
    required("field", Text),
    required("since", Timestamp),
)

scoring_queue = table(
    "scoring_queue",
    primary("patient_id", Id),
    required("patient_version", Id),
    required("enqueued_at", Timestamp),
)

loads = table(
    "loads",
    identity(),
    required("sha256", Text),
    required("file_name", Text),
    required("rows", Id),
    required("loaded_at", Timestamp),
)

forgotten = table(
    "forgotten",
    primary("mark", Text),
    required("since", Timestamp),
    required("decided_by", Text),
    required("reason", Text),
)


predictions = table(
    "predictions",
    primary("patient_id", Id),
    primary("patient_version", Id),
    primary("model_version", Id),
    required("run_id", Id),
    required("probability", Real),
    required("predicted_class", Integer),
    required("threshold", Real),
    required("scored_at", Timestamp),
    checks=("probability", "predicted_class"),
)

rejections = table(
    "rejections",
    primary("patient_id", Id),
    primary("patient_version", Id),
    required("run_id", Id),
    required("reason", Text),
    required("field", Text),
    required("rejected_at", Timestamp),
)

tallies = table(
    "tallies",
    primary("run_id", Id),
    primary("part", Id),
    required("model_version", Id),
    required("tally", Json),
    required("recorded_at", Timestamp),
)

monitoring = table(
    "monitoring",
    primary("run_id", Id),
    primary("model_version", Id),
    primary("feature", Text),
    primary("figure", Text),
    Column("value", Real),
    Column("low", Real),
    Column("high", Real),
    required("rows", Id),
    Column("reference", Real),
    Column("allowed", Real),
    required("state", Text),
    required("recorded_at", Timestamp),
    checks=("state",),
)


model_versions = table(
    "model_versions",
    primary("number", Id),
    required("run_id", Id),
    Column("keras_artifact", Bytes),
    required("keras_sha256", Text),
    Column("compiled_artifact", Bytes),
    required("compiled_sha256", Text),
    required("threshold", Real),
    required("seed", Id),
    required("settings", Json),
    required("libraries", Json),
    required("data_fingerprint", Text),
    required("settings_fingerprint", Text),
    required("training_rows", Id),
    required("holdout_rows", Id),
    required("rows_left_out", Json),
    required("metrics", Json),
    required("created_at", Timestamp),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    required("features", Json),
    required("training_ids", Bytes),
    required("reference", Json),
    checks=("number",),
)

training_snapshots = table(
    "training_snapshots",
    primary("model_version", Id),
    required("content", Bytes),
    required("sha256", Text),
    required("rows", Id),
    required("created_at", Timestamp),
    Column("first_sha256", Text),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

test_sets = table(
    "test_sets",
    primary("fingerprint", Text),
    required("patient_ids", Json),
    required("rows", Id),
    Column("first_labelled_at", Timestamp),
    Column("last_labelled_at", Timestamp),
    required("created_at", Timestamp),
    Column("redacted_at", Timestamp),
)

champion = table(
    "champion",
    primary("id", Integer),
    Column("model_version", Id),
    required("sequence", Id),
    required("pinned", Integer),
    ForeignKey(["model_version"], ["model_versions.number"]),
    checks=("one_row", "pinned"),
)

promotions = table(
    "promotions",
    identity(),
    required("verdict", Text),
    required("reason", Text),
    required("explanation", Text),
    Column("from_version", Id),
    Column("to_version", Id),
    Column("challenger", Id),
    required("champion_sequence", Id),
    Column("data_fingerprint", Text),
    Column("settings_fingerprint", Text),
    required("figures", Json),
    Column("run_id", Id),
    required("decided_by", Text),
    required("decided_at", Timestamp),
    Column("test_set_fingerprint", Text),
    Column("evidence", Json),
)

reports = table(
    "reports",
    identity(),
    required("made_at", Timestamp),
    required("html", Text),
)

declarations = table(
    "declarations",
    primary("number", Id),
    required("declaration", Json),
    required("since", Timestamp),
    required("decided_by", Text),
    required("reason", Text),
    checks=("number",),
)


runs = table(
    "runs",
    identity(),
    required("job", Text),
    required("trigger", Text),
    Column("scheduled_for", Timestamp),
    required("attempt", Integer),
    required("status", Text),
    Column("model_version", Id),
    required("counts", Json),
    Column("error_code", Text),
    required("host", Text),
    required("started_at", Timestamp),
    required("heartbeat_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("exit_code", Integer),
    Column("signal", Text),
    Column("error_line", Text),
    UniqueConstraint("job", "scheduled_for", "attempt"),
    checks=("status",),
)

removed_runs = table(
    "removed_runs",
    primary("job", Text),
    primary("status", Text),
    required("runs", Id),
    required("predicted", Id),
    required("rejected", Id),
    required("already_scored", Id),
)

alerts = table(
    "alerts",
    primary("receiver", Integer),
    primary("condition", Text),
    required("since", Timestamp),
    Column("told_at", Timestamp),
    required("is_open", Integer),
    Column("claimed_until", Timestamp),
    Column("cause", Text),
    Column("told_lately", Json),
    Column("flapped_at", Timestamp),
    checks=("receiver", "is_open"),
)

schedules = table(
    "schedules",
    primary("job", Text),
    required("expression", Text),
    required("time_zone", Text),
    required("first_seen_at", Timestamp),
    required("heartbeat_at", Timestamp),
)

leases = table(
    "leases",
    primary("name", Text),
    required("owner", Text),
    required("fence", Id),
    required("expires_at", Timestamp),
)

installation = table(
    "installation",
    primary("id", Integer),
    required("holdout_salt", Text),
    required("holdout_share", Real),
    required("forgetting_salt", Text),
    required("created_at", Timestamp),
    checks=("one_row", "holdout_share"),
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
    whole = MetaData()
    for table in TABLES:
        table.to_metadata(whole)
    for name in WITH_FEATURES:
        for column in columns:
            whole.tables[name].append_column(Column(column, Real))
    return whole
