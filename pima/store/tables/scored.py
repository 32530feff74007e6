"""What became of the rows, and what each night counted of them."""

from sqlalchemy import CheckConstraint, Column, Integer, Text

from pima.store.tables.parts import now, table
from pima.store.types import Id, Json, Real, Timestamp

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
