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


def table(name: str, meaning: str, *parts: Any) -> Table:
    """One of `metadata`, with what it holds, as its columns say by `doc` what they do."""
    return Table(name, metadata, *parts, info={"meaning": meaning})


def identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True, doc="drawn by the database")


def now() -> dict[str, Any]:
    """Arguments of a column that has the time of the statement."""
    return {"nullable": False, "server_default": database_now()}


# Patients, what they are called and where they come from, and the queue on which their versions wait.

patients = table(
    "patients",
    "One row per patient, or per visit; your own software writes here, and so do `load` and `pull`.",
    identity(),
    Column("outcome", Integer, doc="0 or 1; NULL as long as it is not known"),
    Column("labelled_at", Timestamp, doc="when the outcome became known; NULL without one"),
    Column(
        "version",
        Id,
        nullable=False,
        server_default=by_database(lambda database: database.next_version),
        doc="drawn anew when a measurement changes; pima's trigger sets it",
    ),
    Column("recorded_at", Timestamp, **now(), doc="when the row was inserted"),
    Column("updated_at", Timestamp, **now(), doc="when the row was last changed"),
    # Whose row it is, where it comes from a table of the clinic's own, and the person, where rows are visits. What is a
    # key row_keys says: three conditions here cost each insert of a single row without keys a third more.
    Column("source", Key, doc="the `[[source]]` that the row comes from, if any"),
    Column("source_key", Key, doc="what the row is called there"),
    Column("person_key", Key, doc="whose row it is, where rows are visits"),
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

# The triggers on patients write it.
row_keys = table(
    "row_keys",
    "Which id a source's key has, what decided the row's side of the holdout, and whose it is; outlives the row.",
    Column("patient_id", Id, primary_key=True, autoincrement=False, doc="`patients.id`"),
    Column("source", Key, doc="the source's name"),
    Column("source_key", Key, doc="the row's key there"),
    Column("side_key", Key, nullable=False, doc="the key that decided whether the row is held out"),
    Column("first_seen_at", Timestamp, **now(), doc="when the row first came"),
    Column("person_key", Key, doc="the person it belongs to, or belonged to at last"),
    UniqueConstraint("source", "source_key"),
    CheckConstraint(by_database(lambda database: database.source_is_name), name="source"),
    CheckConstraint(by_database(lambda database: database.source_key_in_range), name="source_key"),
    CheckConstraint(by_database(lambda database: database.person_key_in_range), name="person_key"),
)

source_pulls = table(
    "source_pulls",
    "How far the last pull of each source came.",
    Column("source", Key, primary_key=True, doc="the source's name"),
    Column("fingerprint", Text, nullable=False, doc="hash of the settings that the pull went by"),
    Column("changed_up_to", Text, doc="the newest `changed_since` that was read"),
    Column("compared_whole_at", Timestamp, doc="when all of the source was last compared"),
    Column("completed_at", Timestamp, doc="when a pull last ended well"),
)

source_rejections = table(
    "source_rejections",
    "Rows of sources that a pull could not take in as they are there; never their values.",
    Column("source", Key, primary_key=True, doc="the source's name"),
    Column("source_key", Key, primary_key=True, doc="the row's key there"),
    Column("reason", Text, nullable=False, doc="the rule that it broke"),
    Column("field", Text, nullable=False, doc="the column that broke it"),
    Column("since", Timestamp, **now(), doc="when a pull first saw it so"),
)

scoring_queue = table(
    "scoring_queue",
    "Row versions that wait to be scored, with a copy of their measurements.",
    Column("patient_id", Id, primary_key=True, autoincrement=False, doc="`patients.id`"),
    Column("patient_version", Id, nullable=False, doc="the version that waits"),
    Column("enqueued_at", Timestamp, **now(), doc="since when it waits"),
)

loads = table(
    "loads",
    "Files that were loaded.",
    identity(),
    Column("sha256", Text, nullable=False, doc="hash of the file's text; of Parquet, of its bytes"),
    Column("file_name", Text, nullable=False, doc="its name, without the folder"),
    Column("rows", Id, nullable=False, doc="how many it had"),
    Column("loaded_at", Timestamp, **now(), doc="when it was loaded"),
)

forgotten = table(
    "forgotten",
    "Who was forgotten, so that loads and pulls refuse them: hashes, no names.",
    Column("mark", Text, primary_key=True, doc="salted hash of one of the names that the person had"),
    Column("since", Timestamp, **now(), doc="when the person was forgotten"),
    Column("decided_by", Text, nullable=False, doc="who gave the command"),
    Column("reason", Text, nullable=False, doc="why, in that person's words"),
)


# What became of the rows, and what each night counted of them.

predictions = table(
    "predictions",
    "Every prediction; never changed.",
    Column("patient_id", Id, primary_key=True, autoincrement=False, doc="`patients.id`"),
    Column("patient_version", Id, primary_key=True, autoincrement=False, doc="the row version that was scored"),
    Column("model_version", Id, primary_key=True, autoincrement=False, doc="the version that scored it"),
    Column("run_id", Id, nullable=False, doc="the run that did"),
    Column("probability", Real, nullable=False, doc="the probability of outcome 1"),
    Column("predicted_class", Integer, nullable=False, doc="1 from the threshold on, else 0"),
    Column("threshold", Real, nullable=False, doc="the threshold in force"),
    Column("scored_at", Timestamp, **now(), doc="when it was made"),
    CheckConstraint("probability >= 0 AND probability <= 1", name="probability"),
    CheckConstraint("predicted_class IN (0, 1)", name="predicted_class"),
)

rejections = table(
    "rejections",
    "Row versions that could not be scored; never their values.",
    Column("patient_id", Id, primary_key=True, autoincrement=False, doc="`patients.id`"),
    Column("patient_version", Id, primary_key=True, autoincrement=False, doc="the row version"),
    Column("run_id", Id, nullable=False, doc="the run that rejected it"),
    Column("reason", Text, nullable=False, doc="the first rule that it broke"),
    Column("field", Text, nullable=False, doc="the column that broke it"),
    Column("rejected_at", Timestamp, **now(), doc="when it was rejected"),
)

tallies = table(
    "tallies",
    "What each run of scoring counted of its rows, by the bins of its version's reference.",
    Column("run_id", Id, primary_key=True, autoincrement=False, doc="the run"),
    Column(
        "part",
        Id,
        primary_key=True,
        autoincrement=False,
        doc="of a run that several processes share, whose count; 0 is the night's whole",
    ),
    Column("model_version", Id, nullable=False, doc="the version that scored"),
    Column("tally", Json, nullable=False, doc="the counts"),
    Column("recorded_at", Timestamp, **now(), doc="when it was written"),
)

monitoring = table(
    "monitoring",
    "The figures made of the tallies and of outcomes: a row per run, feature and figure.",
    Column("run_id", Id, primary_key=True, autoincrement=False, doc="the run"),
    Column("model_version", Id, primary_key=True, autoincrement=False, doc="the version that it is about"),
    Column("feature", Text, primary_key=True, doc="the feature; empty where it is about all rows"),
    Column("figure", Text, primary_key=True, doc="the figure's name"),
    Column("value", Real, doc="the figure"),
    Column("low", Real, doc="lower bound of its 95 % interval"),
    Column("high", Real, doc="the upper bound"),
    Column("rows", Id, nullable=False, doc="how many rows it rests on"),
    Column("reference", Real, doc="what it is compared with"),
    Column("allowed", Real, doc="how far from the reference it may lie"),
    Column("state", Text, nullable=False, doc="`usual`, `alert`, or why there is nothing to compare"),
    Column("recorded_at", Timestamp, **now(), doc="when it was written"),
    CheckConstraint("state IN ('usual', 'alert', 'insufficient_data', 'no_reference')", name="state"),
)


# Model versions, what they were fitted and judged on, and each decision about them.

model_versions = table(
    "model_versions",
    "The models: bytes, settings, figures.",
    Column("number", Id, primary_key=True, autoincrement=False, doc="from 1 on"),
    Column("run_id", Id, nullable=False, doc="the retraining that made it"),
    Column("keras_artifact", Bytes, doc="the `.keras` file; NULL once it is pruned"),
    Column("keras_sha256", Text, nullable=False, doc="its hash"),
    Column("compiled_artifact", Bytes, doc="the LiteRT bytes that score; NULL once pruned"),
    Column("compiled_sha256", Text, nullable=False, doc="their hash"),
    Column("threshold", Real, nullable=False, doc="probabilities from here on predict 1"),
    Column("seed", Id, nullable=False, doc="the seed of its fit"),
    Column("settings", Json, nullable=False, doc="the settings of its fit"),
    Column("libraries", Json, nullable=False, doc="the libraries that made it, with their versions"),
    Column("data_fingerprint", Text, nullable=False, doc="hash of the rows that it learned from"),
    Column("settings_fingerprint", Text, nullable=False, doc="hash of the settings"),
    Column("training_rows", Id, nullable=False, doc="how many rows it learned from"),
    Column("holdout_rows", Id, nullable=False, doc="how many rows were held out"),
    Column("rows_left_out", Json, nullable=False, doc="rows that were used for nothing, by reason"),
    Column("metrics", Json, nullable=False, doc="its figures on the holdout"),
    Column("created_at", Timestamp, **now(), doc="when it was written"),
    Column("first_labelled_at", Timestamp, doc="the oldest outcome that it learned from"),
    Column("last_labelled_at", Timestamp, doc="the newest one"),
    Column("features", Json, nullable=False, doc="the features that it was fitted on, as declared then"),
    # Kept whether its snapshot is or not.
    Column("training_ids", Bytes, nullable=False, doc="ids of the rows that it learned from, as Parquet"),
    # In bins of ten rows at least: what nights are compared with.
    Column("reference", Json, nullable=False, doc="how those rows are distributed, in bins"),
    CheckConstraint("number > 0", name="number"),
)

training_snapshots = table(
    "training_snapshots",
    "The exact rows that a version was fitted on; `[lineage]` says which are kept.",
    Column("model_version", Id, primary_key=True, autoincrement=False, doc="the version"),
    Column("content", Bytes, nullable=False, doc="ids, measurements and outcomes, as Parquet"),
    Column("sha256", Text, nullable=False, doc="its hash"),
    Column("rows", Id, nullable=False, doc="how many rows it holds"),
    Column("created_at", Timestamp, **now(), doc="when it was written"),
    Column("first_sha256", Text, doc="the hash before rows of forgotten people were taken out; NULL where none were"),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

test_sets = table(
    "test_sets",
    "Which holdout rows verdicts were given on; several may share one.",
    Column("fingerprint", Text, primary_key=True, doc="hash of the ids"),
    Column("patient_ids", Json, nullable=False, doc="the ids"),
    Column("rows", Id, nullable=False, doc="how many there are"),
    Column("first_labelled_at", Timestamp, doc="the oldest outcome"),
    Column("last_labelled_at", Timestamp, doc="the newest one"),
    Column("created_at", Timestamp, **now(), doc="when it was written"),
    # The fingerprint stays that of all.
    Column("redacted_at", Timestamp, doc="when ids of forgotten people were last taken out"),
)

# The sequence number is what a compare-and-swap compares.
champion = table(
    "champion",
    "One row: which version scores.",
    Column("id", Integer, primary_key=True, autoincrement=False, doc="always 1"),
    Column("model_version", Id, doc="the champion; NULL as long as there is none"),
    Column("sequence", Id, nullable=False, doc="grows with each change, so that of two changes at once one is refused"),
    Column("pinned", Integer, nullable=False, doc="1 while a person holds the champion"),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("pinned IN (0, 1)", name="pinned"),
    ForeignKey(["model_version"], ["model_versions.number"]),
)

promotions = table(
    "promotions",
    "The ledger: every verdict, and every move by a person; append-only.",
    identity(),
    Column("verdict", Text, nullable=False, doc="what was decided"),
    Column("reason", Text, nullable=False, doc="the rule that decided, or `by_hand`"),
    Column("explanation", Text, nullable=False, doc="the same in a sentence, with figures"),
    Column("from_version", Id, doc="the champion before"),
    Column("to_version", Id, doc="the champion afterwards"),
    Column("challenger", Id, doc="the version that was judged"),
    Column("champion_sequence", Id, nullable=False, doc="`champion.sequence` afterwards"),
    Column("data_fingerprint", Text, doc="that of the challenger"),
    Column("settings_fingerprint", Text, doc="that of the challenger"),
    Column("figures", Json, nullable=False, doc="the figures that the verdict rests on"),
    Column("run_id", Id, doc="the retraining"),
    Column("decided_by", Text, nullable=False, doc="who: the gate, or a person"),
    Column("decided_at", Timestamp, **now(), doc="when it was decided"),
    Column("test_set_fingerprint", Text, doc="the test set"),
    # Some 100 kB, which the ledger's readers leave alone.
    Column("evidence", Json, doc="both models' figures on its rows, in all and by subgroup"),
)

reports = table(
    "reports",
    "The pages that the newest retrainings left.",
    identity(),
    Column("made_at", Timestamp, **now(), doc="when it was written"),
    Column("html", Text, nullable=False, doc="the page"),
)

declarations = table(
    "declarations",
    "What is scored: outcome and features; append-only, the highest number counts.",
    Column("number", Id, primary_key=True, autoincrement=False, doc="from 1 on"),
    Column("declaration", Json, nullable=False, doc="the outcome and the features"),
    Column("since", Timestamp, **now(), doc="since when"),
    Column("decided_by", Text, nullable=False, doc="who changed it"),
    Column("reason", Text, nullable=False, doc="why"),
    CheckConstraint("number > 0", name="number"),
)


# Runs, schedules and leases, and what the service remembers of itself.

runs = table(
    "runs",
    "Every run of a job, and every tick that was missed or skipped.",
    identity(),
    Column("job", Text, nullable=False, doc="`score`, `retrain`, `pull` and others"),
    Column("trigger", Text, nullable=False, doc="`schedule`, `catch_up`, `first_run`, `manual` or `dry_run`"),
    Column("scheduled_for", Timestamp, doc="the tick; NULL for a run by hand"),
    Column("attempt", Integer, nullable=False, doc="of the tick, from 1 on"),
    Column("status", Text, nullable=False, doc="how it ended; `running` until then"),
    Column("model_version", Id, doc="the version that scored, or was made"),
    Column("counts", Json, nullable=False, doc="what it counted"),
    Column("error_code", Text, doc="why it ended so; `jobs.health --why CODE` explains it"),
    Column("host", Text, nullable=False, doc="the machine"),
    Column("started_at", Timestamp, **now(), doc="when it began"),
    Column("heartbeat_at", Timestamp, **now(), doc="its latest sign of life"),
    Column("finished_at", Timestamp, doc="when it ended"),
    Column("exit_code", Integer, doc="exit code of the process, where a scheduler started it"),
    Column("signal", Text, doc="the signal that ended it"),
    Column("error_line", Text, doc="the last line that it logged, where it failed"),
    UniqueConstraint("job", "scheduled_for", "attempt"),
    CheckConstraint(
        "status IN ('running', 'succeeded', 'refused', 'failed', 'try_again_later', 'interrupted',"
        " 'crashed', 'missed', 'skipped')",
        name="status",
    ),
)

removed_runs = table(
    "removed_runs",
    "What runs have counted that `retain` removed; metrics go on from there.",
    Column("job", Text, primary_key=True, doc="the job"),
    Column("status", Text, primary_key=True, doc="how they ended"),
    Column("runs", Id, nullable=False, doc="how many there are"),
    Column("predicted", Id, nullable=False, doc="rows that they predicted"),
    Column("rejected", Id, nullable=False, doc="rows that they rejected"),
    Column("already_scored", Id, nullable=False, doc="rows that had been scored before"),
)

alerts = table(
    "alerts",
    "What each receiver of alerts was told.",
    Column("receiver", Integer, primary_key=True, autoincrement=False, doc="its place in `alerts.urls`, from 1"),
    Column("condition", Text, primary_key=True, doc="what it is about"),
    Column("since", Timestamp, nullable=False, doc="when it was first seen"),
    Column("told_at", Timestamp, doc="when the receiver last took it"),
    Column("is_open", Integer, nullable=False, doc="1 as long as it holds"),
    Column("claimed_until", Timestamp, doc="until when somebody is sending"),
    Column("cause", Text, doc="the error code behind it"),
    Column("told_lately", Json, doc="when it was told within the last hour"),
    Column("flapped_at", Timestamp, doc="when it last came or went, if it comes and goes"),
    CheckConstraint("receiver > 0", name="receiver"),
    CheckConstraint("is_open IN (0, 1)", name="is_open"),
)

schedules = table(
    "schedules",
    "Each job's schedule, and the scheduler's sign of life.",
    Column("job", Text, primary_key=True, doc="the job, or a source's pull"),
    Column("expression", Text, nullable=False, doc="the crontab fields"),
    Column("time_zone", Text, nullable=False, doc="the time zone of these fields"),
    Column("first_seen_at", Timestamp, nullable=False, doc="since when it is so"),
    Column("heartbeat_at", Timestamp, nullable=False, doc="when a scheduler last said that it lives"),
)

leases = table(
    "leases",
    "Who is retraining, and who pulls which source.",
    Column("name", Text, primary_key=True, doc="what it is for"),
    Column("owner", Text, nullable=False, doc="who has it"),
    Column("fence", Id, nullable=False, doc="grows with each owner"),
    Column("expires_at", Timestamp, nullable=False, doc="until when, unless it is renewed"),
)

installation = table(
    "installation",
    "One row, decided when the schema is made.",
    Column("id", Integer, primary_key=True, autoincrement=False, doc="always 1"),
    Column("holdout_salt", Text, nullable=False, doc="the secret that decides who is held out"),
    Column("holdout_share", Real, nullable=False, doc="the share of patients that are held out"),
    # Another one: whoever may ask who was forgotten could choose keys by the holdout's.
    Column("forgetting_salt", Text, nullable=False, doc="the secret of the hashes in `forgotten`"),
    Column("created_at", Timestamp, **now(), doc="when it was written"),
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
VIEWS_HOLD = {
    "current_predictions": "One prediction per patient row: that of its newest version, by the champion if it has one. "
    "`superseded` is true where the row has changed since, or can't be used any more; `deleted` where it is gone.",
    "patient_versions": "Each row's id and version, and whether it has an outcome; no value.",
    "monitored_predictions": "Every prediction with the outcome that came after it (`label`), by the names that "
    "monitoring tools expect, without the patient.",
}
"""Each view -> what it holds."""

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
