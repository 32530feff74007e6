"""Whose row it is: where it comes from and its key there, the person, and what outlives the row.

A row of its own has none of the three. `row_keys` keeps which id a source's key had, and by what the row's side of the
holdout was decided when it first came; the triggers write it, for rows that have a key.

Frozen: this file imports nothing of the code.
"""

import importlib.util
from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SQLITE = {"id": "INTEGER", "key": "TEXT", "time": "TEXT", "bytes": "length(CAST(source_key AS BLOB))", "end": "STRICT"}
SQLITE["now"] = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
SQLITE["is_name"] = "source GLOB '[a-z]*' AND source NOT GLOB '*[^a-z0-9_]*' AND length(source) <= 30"
# By bytes, as SQLite has it: sources are merged with their rows in this order.
POSTGRESQL = {"id": "BIGINT", "key": 'TEXT COLLATE "C"', "time": "TIMESTAMP WITH TIME ZONE", "end": ""}
POSTGRESQL["now"] = "clock_timestamp()"
POSTGRESQL["bytes"] = "octet_length(source_key)"
POSTGRESQL["is_name"] = "source ~ '^[a-z][a-z0-9_]*$' AND length(source) <= 30"

COLUMNS = ("source", "source_key", "person_key")
ROW_KEYS = """CREATE TABLE row_keys (
    patient_id {id} NOT NULL CONSTRAINT pk_row_keys PRIMARY KEY,
    source {key},
    source_key {key},
    side_key {key} NOT NULL,
    first_seen_at {time} NOT NULL DEFAULT {now},
    CONSTRAINT uq_row_keys_source_source_key UNIQUE (source, source_key),
    CONSTRAINT ck_row_keys_source CHECK ({is_name}),
    CONSTRAINT ck_row_keys_source_key CHECK ((source IS NULL) = (source_key IS NULL) AND {bytes} BETWEEN 1 AND 200)
) {end}"""
INDEX = """CREATE UNIQUE INDEX ix_patients_source_source_key ON patients (source, source_key)
    WHERE source_key IS NOT NULL"""

IS_CHAMPIONS = "CASE WHEN {}.model_version = (SELECT model_version FROM champion) THEN 1 ELSE 0 END"
# With the owner's rights on PostgreSQL: who reads it needs none on row_keys.
CURRENT_PREDICTIONS = f"""
    CREATE VIEW current_predictions AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability, p.predicted_class, p.threshold,
           p.scored_at,
           (EXISTS (SELECT 1 FROM patients t WHERE t.id = p.patient_id AND t.version <> p.patient_version)
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)) AS superseded,
           k.source, k.source_key
    FROM predictions p LEFT JOIN row_keys k ON k.patient_id = p.patient_id
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions other
        WHERE other.patient_id = p.patient_id
          AND (other.patient_version, {IS_CHAMPIONS.format("other")}, other.run_id, other.model_version)
              > (p.patient_version, {IS_CHAMPIONS.format("p")}, p.run_id, p.model_version))
"""


def upgrade() -> None:
    words = SQLITE if _is_sqlite() else POSTGRESQL
    for name in COLUMNS:
        # Without conditions of the table's own, which each insert of a row without keys would pay for: the triggers
        # hold them.
        _run(f"ALTER TABLE patients ADD COLUMN {name} {words['key']}")
    _run(INDEX)
    _run(ROW_KEYS.format(**words))
    if _is_sqlite():
        _run("DROP VIEW current_predictions")
        _run(CURRENT_PREDICTIONS)
    else:
        # Its new columns stand at the end, so it keeps the rights on it and the views that read it.
        _run(CURRENT_PREDICTIONS.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def downgrade() -> None:
    # A view can't lose columns: rights on it are given anew, by migrate --roles.
    _run("DROP VIEW current_predictions")
    _run(_before().CURRENT_PREDICTIONS)
    _run("DROP TABLE row_keys")
    _run("DROP INDEX ix_patients_source_source_key")
    for name in COLUMNS:
        _run(f"ALTER TABLE patients DROP COLUMN {name}")


def _before():
    """The revision that made the view as it was, as frozen as this one."""
    path = Path(__file__).with_name("0008_shown_and_unseen.py")
    spec = importlib.util.spec_from_file_location("shown_and_unseen", path)
    before = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(before)
    return before


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
