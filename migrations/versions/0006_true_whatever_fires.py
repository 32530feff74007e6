"""Triggers that go by the row as it stands, ids that leave the counter room, and what a row without stamps looks like.

The triggers themselves are made by `jobs.migrate` after the last revision; this one takes the older ones away.

Frozen: this file imports nothing of the code.
"""

import importlib.util
from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FUNCTIONS = ("stamp_patient", "enqueue_inserted", "enqueue_updated", "dequeue_deleted", "dequeue_truncated")
TRIGGERS = {
    "sqlite": (
        "patients_inserted",
        "patients_updated",
        "patients_deleted",
        "patients_id_is_fixed",
        "patients_stamps_are_drawn",
    ),
    "postgresql": (
        "patients_stamped",
        "patients_inserted",
        "patients_updated",
        "patients_deleted",
        "patients_truncated",
    ),
}

UNSTAMPED = "CREATE INDEX ix_patients_unstamped ON patients (id) WHERE (outcome IS NULL) <> (labelled_at IS NULL)"

# `superseded` says that the row has a newer version, which waits, was rejected or has its outcome: not to be read as
# current. A deleted row's newer version can only have been rejected.
CURRENT_PREDICTIONS = """
    CREATE VIEW current_predictions AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability, p.predicted_class, p.threshold,
           p.scored_at,
           (EXISTS (SELECT 1 FROM patients t WHERE t.id = p.patient_id AND t.version > p.patient_version)
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)) AS superseded
    FROM predictions p
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions newer
        WHERE newer.patient_id = p.patient_id
          AND (newer.patient_version, newer.scored_at, newer.model_version)
              > (p.patient_version, p.scored_at, p.model_version))
"""

# How many rows the triggers have not seen; with the owner's rights, so that who watches needs none on patients.
UNSEEN_ROWS = """
    CREATE VIEW unseen_rows AS
    SELECT 'outcome_without_its_time' AS fault, count(*) AS found
    FROM patients WHERE (outcome IS NULL) <> (labelled_at IS NULL)
    UNION ALL
    SELECT 'queue_entry_that_is_not_the_row', count(*) FROM scoring_queue q
    WHERE NOT EXISTS (SELECT 1 FROM patients p
                      WHERE p.id = q.patient_id AND p.version = q.patient_version AND p.outcome IS NULL)
"""

LARGEST_GIVEN_ID = 2**62
LARGEST_ID = 2**62 + 2**61


def upgrade() -> None:
    _drop_triggers()
    _run(UNSTAMPED)
    _replace_view(CURRENT_PREDICTIONS)
    _run(UNSEEN_ROWS)
    if _is_sqlite():
        # One id at the end of the range, long gone, would have left none to draw.
        _run(f"""UPDATE sqlite_sequence SET seq = coalesce((SELECT max(id) FROM patients), 0)
            WHERE name = 'patients' AND seq > {LARGEST_GIVEN_ID}""")
        return
    _check_id(f"id > 0 AND id <= {LARGEST_ID}")
    _run(f"""SELECT setval('patients_id_seq', coalesce((SELECT max(id) FROM patients), 1))
        FROM patients_id_seq WHERE last_value > {LARGEST_GIVEN_ID}""")


def downgrade() -> None:
    _run("DROP VIEW unseen_rows")
    first = _first_schema()
    _replace_view(first.CURRENT_PREDICTIONS)
    _run("DROP INDEX ix_patients_unstamped")
    if not _is_sqlite():
        _check_id("id > 0")
    made = first.SQLITE_TRIGGERS if _is_sqlite() else first.POSTGRESQL_TRIGGERS
    for statement in made:
        # The counter, or the sequence, is there and goes on.
        if not statement.startswith(("CREATE TABLE", "INSERT", "CREATE SEQUENCE")):
            _run(statement)


def _replace_view(statement: str) -> None:
    """Where the database can, without taking away rights on it and views that read it."""
    if _is_sqlite():
        _run("DROP VIEW current_predictions")
        _run(statement)
        return
    _run(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def _drop_triggers() -> None:
    table = "" if _is_sqlite() else " ON patients"
    for name in TRIGGERS["sqlite" if _is_sqlite() else "postgresql"]:
        _run(f"DROP TRIGGER IF EXISTS {name}{table}")
    if not _is_sqlite():
        for function in FUNCTIONS:
            _run(f"DROP FUNCTION IF EXISTS {function}()")


def _check_id(condition: str) -> None:
    _run("ALTER TABLE patients DROP CONSTRAINT ck_patients_id")
    _run(f"ALTER TABLE patients ADD CONSTRAINT ck_patients_id CHECK ({condition})")


def _first_schema():
    """The revision that made the older triggers, as frozen as this one."""
    spec = importlib.util.spec_from_file_location("first_schema", Path(__file__).with_name("0001_first_schema.py"))
    first = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(first)
    return first


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
