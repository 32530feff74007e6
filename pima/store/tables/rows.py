"""Patients, what they are called and where they come from, and the queue on which their versions wait."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Text, UniqueConstraint, text

from pima.store.tables.parts import identity, now, table
from pima.store.types import Id, Key, Timestamp, in_words

# One row is one patient; people's own software writes here. Its measurements are the features' columns.
patients = table(
    "patients",
    identity(),
    Column("outcome", Integer),
    Column("labelled_at", Timestamp),
    Column("version", Id, nullable=False, server_default=in_words("next_version")),
    Column("recorded_at", Timestamp, **now()),
    Column("updated_at", Timestamp, **now()),
    # Whose row it is, where it comes from a table of the clinic's own, and the person, where rows are visits. What is a
    # key row_keys says: three conditions here cost each insert of a single row without keys a third more.
    Column("source", Key),
    Column("source_key", Key),
    Column("person_key", Key),
    CheckConstraint("outcome IN (0, 1)", name="outcome"),
    CheckConstraint(in_words("id_in_range"), name="id"),
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
    CheckConstraint(in_words("source_is_name"), name="source"),
    CheckConstraint(in_words("source_key_in_range"), name="source_key"),
    CheckConstraint(in_words("person_key_in_range"), name="person_key"),
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
