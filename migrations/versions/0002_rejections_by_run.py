"""Rejections are found by the run that made them. Those of sources that are there already count as
seen by no run.

Each model version has a hash of what makes its predictions, and one of its list of training rows.
Versions that are there already get both now, which `hashed_at` says: what changed before can't be
told from them.

Rows have a moment from which on their outcome is waited for.

Values that an update replaces are kept. Those that were replaced before are not known.

What the score in use today said of a row is kept beside its prediction.

The queue tells its entries that a requeue put there.

Conditions that alerts tell can be acknowledged.

Figures have a kind. Those that are there already are of three.

Revision ID: 0002
"""

import hashlib
import json
from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Integer, Text, text
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"

_NOW_ON_SQLITE = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_ON_SQLITE = {
    "BIGINT": "INTEGER",
    "DOUBLE PRECISION": "REAL",
    "TIMESTAMP WITH TIME ZONE": "TEXT",
    "clock_timestamp()": f"({_NOW_ON_SQLITE})",
}


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:  # on PostgreSQL `migrate` has made it, beside those who write
        op.execute("CREATE INDEX ix_rejections_run_id ON rejections (run_id)")
    # On PostgreSQL `migrate` has locked the tables. patients before source_rejections, as the view
    # current_predictions: a deadlock was seen with whoever reads it on a standby. SQLite's STRICT
    # tables know no timestamps or BIGINT.
    moment = DateTime(timezone=True).with_variant(Text(), "sqlite")
    op.add_column("patients", Column("index_at", moment))
    op.add_column(
        "source_rejections", Column("run_id", BigInteger().with_variant(Integer(), "sqlite"))
    )
    op.execute("UPDATE source_rejections SET run_id = 0")
    op.execute("CREATE INDEX ix_source_rejections_run_id ON source_rejections (source, run_id)")
    op.execute(_PREDICTION_SCORES_ON_SQLITE if is_sqlite else _PREDICTION_SCORES)
    op.execute(_ACKNOWLEDGEMENTS_ON_SQLITE if is_sqlite else _ACKNOWLEDGEMENTS)
    _hash_versions(moment)
    _keep_replaced()
    op.add_column("scoring_queue", Column("requeued", Integer()))
    # SQLite wants a default for a column that may not be NULL.
    op.add_column("monitoring", Column("kind", Text, nullable=False, server_default="night"))
    op.execute("UPDATE monitoring SET kind = 'volume' WHERE figure IN ('rows', 'rows_in_week')")
    op.execute("UPDATE monitoring SET kind = 'realised' WHERE figure LIKE 'realised%'")


def _keep_replaced() -> None:
    connection = op.get_bind()
    # The queue has a column for each feature that was ever declared.
    columns = connection.execute(text("SELECT * FROM scoring_queue WHERE false")).keys()
    others = ("patient_id", "patient_version", "enqueued_at")
    features = [f'"{name}" DOUBLE PRECISION' for name in columns if name not in others]
    statement = f"""
        CREATE TABLE replaced_rows (
            patient_id BIGINT NOT NULL,
            patient_version BIGINT NOT NULL,
            {", ".join(features)},
            replaced_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp(),
            predicted_at TIMESTAMP WITH TIME ZONE,
            CONSTRAINT pk_replaced_rows PRIMARY KEY (patient_id, patient_version)
        )"""
    if connection.dialect.name == "sqlite":
        for word, instead in _ON_SQLITE.items():
            statement = statement.replace(word, instead)
        statement += " STRICT"
    op.execute(statement)
    op.execute(
        "CREATE INDEX ix_replaced_rows_replaced_at ON replaced_rows (replaced_at) "
        "WHERE predicted_at IS NULL"
    )


_PREDICTION_SCORES = """
    CREATE TABLE prediction_scores (
        patient_id BIGINT NOT NULL,
        patient_version BIGINT NOT NULL,
        model_version BIGINT NOT NULL,
        score TEXT NOT NULL,
        value DOUBLE PRECISION NOT NULL,
        scored_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pk_prediction_scores
            PRIMARY KEY (patient_id, patient_version, model_version, score)
    )"""
_PREDICTION_SCORES_ON_SQLITE = """
    CREATE TABLE prediction_scores (
        patient_id INTEGER NOT NULL,
        patient_version INTEGER NOT NULL,
        model_version INTEGER NOT NULL,
        score TEXT NOT NULL,
        value REAL NOT NULL,
        scored_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        CONSTRAINT pk_prediction_scores
            PRIMARY KEY (patient_id, patient_version, model_version, score)
    ) STRICT"""


_ACKNOWLEDGEMENTS = """
    CREATE TABLE acknowledgements (
        condition TEXT NOT NULL,
        acknowledged_at TIMESTAMP WITH TIME ZONE NOT NULL,
        acknowledged_by TEXT NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        reason TEXT NOT NULL,
        CONSTRAINT pk_acknowledgements PRIMARY KEY (condition, acknowledged_at)
    )"""
_ACKNOWLEDGEMENTS_ON_SQLITE = """
    CREATE TABLE acknowledgements (
        condition TEXT NOT NULL,
        acknowledged_at TEXT NOT NULL,
        acknowledged_by TEXT NOT NULL,
        until TEXT NOT NULL,
        reason TEXT NOT NULL,
        CONSTRAINT pk_acknowledgements PRIMARY KEY (condition, acknowledged_at)
    ) STRICT"""


def _hash_versions(moment: TypeEngine[Any]) -> None:
    for name in ("scorer_sha256", "training_ids_sha256"):
        # SQLite wants a default for a column that may not be NULL. No bytes have this hash.
        op.add_column("model_versions", Column(name, Text, nullable=False, server_default=""))
    op.add_column("model_versions", Column("hashed_at", moment))
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    now = _NOW_ON_SQLITE if is_sqlite else "clock_timestamp()"
    columns = "number, compiled_sha256, threshold, features, reference, training_ids"
    select = text(f"SELECT {columns} FROM model_versions WHERE number = :number")
    hashes = "scorer_sha256 = :scorer, training_ids_sha256 = :training_ids"
    update = text(f"UPDATE model_versions SET {hashes}, hashed_at = {now} WHERE number = :number")
    for number in connection.scalars(text("SELECT number FROM model_versions")).all():
        *scorer, training_ids = connection.execute(select, {"number": number}).one()
        made = {
            "scorer": _hash_of(scorer),
            "training_ids": hashlib.sha256(training_ids).hexdigest(),
        }
        connection.execute(update, {"number": number} | made)


def _hash_of(scorer: list[Any]) -> str:
    """As `scorer_sha256` of pima/store/models/registry.py makes it."""
    try:
        read = [
            json.loads(each) if isinstance(each, str) and each[:1] in "[{" else each
            for each in scorer
        ]
        plain = json.loads(json.dumps(read), parse_int=_plain_number, parse_float=_plain_number)
    except ValueError:
        return ""  # a damaged version, which must not keep the others from the upgrade
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain_number(digits: str) -> float:
    return float(digits) + 0.0
