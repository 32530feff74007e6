"""A person can stop the champion; who reads predictions is told.

What came true of the predictions is counted by day. The first night counts what is there.

A row has a time at which somebody acted on its prediction.

Alerts are kept by condition, not by receiver, and nobody acknowledges them. Messages of errors name
no ids of rows.

Replaced values are a plain history, which lives as long as the predictions. Values whose prediction
`retain` has removed say no longer when that was; versions that were not replaced had no values.

Revision ID: 0003
"""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Integer, Text, text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    # On PostgreSQL `migrate` has locked what changes. SQLite's STRICT tables know no timestamps or
    # BIGINT.
    moment = DateTime(timezone=True).with_variant(Text(), "sqlite")
    whole = BigInteger().with_variant(Integer(), "sqlite")
    # `migrate` has made it there beside those who write, unless the column was not there yet.
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_patients_index_at ON patients (index_at) "
        "WHERE index_at IS NOT NULL"
    )
    op.execute(_SERVED_DAYS_ON_SQLITE if is_sqlite else _SERVED_DAYS)
    op.execute(_CHANGED_OUTCOMES_ON_SQLITE if is_sqlite else _CHANGED_OUTCOMES)
    op.add_column("patients", Column("acted_at", moment))
    op.add_column("champion", Column("suspended_at", moment))
    op.drop_table("acknowledgements")
    # What holds is told once more.
    op.drop_table("alerts")
    op.execute(_ALERTS_ON_SQLITE if is_sqlite else _ALERTS)
    # Of forgotten persons, too.
    op.execute(
        "UPDATE runs SET error_line = NULL WHERE error_line LIKE '%by patient_id: %' "
        "OR error_line LIKE '%by id: %'"
    )
    op.add_column("champion", Column("last_stop", whole, nullable=False, server_default="0"))
    if is_sqlite:
        op.execute("DROP VIEW current_predictions")
        op.execute(f"CREATE VIEW {_CURRENT_PREDICTIONS.format(barrier='')}")
    else:
        barrier = " WITH (security_barrier)"
        op.execute(f"CREATE OR REPLACE VIEW {_CURRENT_PREDICTIONS.format(barrier=barrier)}")
    _begin_history(is_sqlite)


def _begin_history(is_sqlite: bool) -> None:
    if is_sqlite:
        columns = op.get_bind().execute(text("SELECT * FROM replaced_rows WHERE false")).keys()
        others = ("patient_id", "patient_version", "replaced_at", "predicted_at")
        features = [f'"{name}"' for name in columns if name not in others]
        declared = ", ".join(f"{name} REAL" for name in features)
        op.execute(_HISTORY_ON_SQLITE.format(features=declared))
        copied = f"patient_id, patient_version, {', '.join(features)}, replaced_at"
        op.execute(
            f"INSERT INTO row_history ({copied}) SELECT {copied} FROM replaced_rows "
            "WHERE replaced_at IS NOT NULL"
        )
        op.execute("DROP TABLE replaced_rows")
        op.execute("CREATE INDEX ix_row_history_replaced_at ON row_history (replaced_at)")
        return
    op.get_bind().exec_driver_sql(_HISTORY)


_HISTORY_ON_SQLITE = """
    CREATE TABLE row_history (
        patient_id INTEGER NOT NULL,
        patient_version INTEGER NOT NULL,
        {features},
        replaced_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        CONSTRAINT pk_row_history PRIMARY KEY (patient_id, patient_version, replaced_at)
    ) STRICT"""
# `migrate` has made both indexes beside those who write, unless the table was not there yet.
_HISTORY = """
    DROP TRIGGER IF EXISTS replaced_rows_written ON replaced_rows;
    DROP FUNCTION IF EXISTS drop_replaced();
    DELETE FROM replaced_rows WHERE replaced_at IS NULL;
    DROP INDEX ix_replaced_rows_replaced_at;
    ALTER TABLE replaced_rows DROP COLUMN predicted_at, DROP CONSTRAINT pk_replaced_rows;
    CREATE UNIQUE INDEX IF NOT EXISTS pk_row_history
        ON replaced_rows (patient_id, patient_version, replaced_at);
    CREATE INDEX IF NOT EXISTS ix_row_history_replaced_at ON replaced_rows (replaced_at);
    ALTER TABLE replaced_rows
        ADD CONSTRAINT pk_row_history PRIMARY KEY USING INDEX pk_row_history;
    ALTER TABLE replaced_rows RENAME TO row_history"""


_CURRENT_PREDICTIONS = """current_predictions{barrier} AS
    SELECT p.patient_id, p.patient_version, p.model_version, p.run_id, p.probability,
           p.predicted_class, p.threshold, p.scored_at,
           ((t.version <> p.patient_version) IS TRUE
            OR EXISTS (SELECT 1 FROM rejections r
                       WHERE r.patient_id = p.patient_id AND r.patient_version > p.patient_version)
            OR EXISTS (SELECT 1 FROM source_rejections r
                       WHERE r.source = k.source AND r.source_key = k.source_key)) AS superseded,
           k.source, k.source_key, k.person_key,
           t.id IS NULL AS deleted,
           (SELECT suspended_at IS NOT NULL FROM champion) AS suspended
    FROM predictions p
    LEFT JOIN row_keys k ON k.patient_id = p.patient_id
    LEFT JOIN patients t ON t.id = p.patient_id
    WHERE NOT EXISTS (
        SELECT 1 FROM predictions other
        WHERE other.patient_id = p.patient_id
          AND (other.patient_version,
               CASE WHEN other.model_version = (SELECT model_version FROM champion)
                   THEN 1 ELSE 0 END,
               other.run_id, other.model_version)
              > (p.patient_version,
                 CASE WHEN p.model_version = (SELECT model_version FROM champion)
                   THEN 1 ELSE 0 END,
                 p.run_id, p.model_version))"""


_SERVED_DAYS = """
    CREATE TABLE served_days (
        model_version BIGINT NOT NULL,
        day BIGINT NOT NULL,
        predicted_in BIGINT NOT NULL,
        predicted_class INTEGER NOT NULL,
        bin BIGINT NOT NULL,
        outcomes BIGINT NOT NULL,
        ones BIGINT NOT NULL,
        expected DOUBLE PRECISION NOT NULL,
        missing BIGINT NOT NULL,
        expected_missing DOUBLE PRECISION NOT NULL,
        acted BIGINT NOT NULL,
        counted_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_served_days
            PRIMARY KEY (model_version, day, predicted_in, predicted_class, bin)
    )"""
_SERVED_DAYS_ON_SQLITE = """
    CREATE TABLE served_days (
        model_version INTEGER NOT NULL,
        day INTEGER NOT NULL,
        predicted_in INTEGER NOT NULL,
        predicted_class INTEGER NOT NULL,
        bin INTEGER NOT NULL,
        outcomes INTEGER NOT NULL,
        ones INTEGER NOT NULL,
        expected REAL NOT NULL,
        missing INTEGER NOT NULL,
        expected_missing REAL NOT NULL,
        acted INTEGER NOT NULL,
        counted_at TEXT NOT NULL,
        CONSTRAINT pk_served_days
            PRIMARY KEY (model_version, day, predicted_in, predicted_class, bin)
    ) STRICT"""


_CHANGED_OUTCOMES = """
    CREATE TABLE changed_outcomes (
        id BIGINT GENERATED BY DEFAULT AS IDENTITY CONSTRAINT pk_changed_outcomes PRIMARY KEY,
        labelled_at TIMESTAMP WITH TIME ZONE,
        index_at TIMESTAMP WITH TIME ZONE
    )"""
_CHANGED_OUTCOMES_ON_SQLITE = """
    CREATE TABLE changed_outcomes (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        labelled_at TEXT,
        index_at TEXT
    ) STRICT"""


_ALERTS = """
    CREATE TABLE alerts (
        condition TEXT NOT NULL,
        since TIMESTAMP WITH TIME ZONE NOT NULL,
        sent_at TIMESTAMP WITH TIME ZONE,
        is_open INTEGER NOT NULL,
        claimed_until TIMESTAMP WITH TIME ZONE,
        cause TEXT,
        CONSTRAINT pk_alerts PRIMARY KEY (condition),
        CONSTRAINT ck_alerts_is_open CHECK (is_open IN (0, 1))
    )"""
_ALERTS_ON_SQLITE = """
    CREATE TABLE alerts (
        condition TEXT NOT NULL CONSTRAINT pk_alerts PRIMARY KEY,
        since TEXT NOT NULL,
        sent_at TEXT,
        is_open INTEGER NOT NULL,
        claimed_until TEXT,
        cause TEXT,
        CONSTRAINT ck_alerts_is_open CHECK (is_open IN (0, 1))
    ) STRICT"""
