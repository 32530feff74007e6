"""Rows and queue as the tests of the triggers look at them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.store.engine import writing
from tests.support.databases import Database
from tests.support.shipped import FEATURE_NAMES, SOUND

COLUMNS = ", ".join(FEATURE_NAMES)
VALUES = ", ".join(str(SOUND[name]) for name in FEATURE_NAMES)
SET_BACK = {
    "sqlite": "UPDATE patient_version_counter SET last = 0",
    "postgresql": "SELECT setval('patient_version', 1, false)",
}
"""The counter of versions, set back by hand."""
EARLIER = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-{minutes} minutes')",
    "postgresql": "{column} - interval '{minutes} minutes'",
}
A_DAY = 24 * 60 + 1


def become_older(database: Database, table: str, column: str, minutes: int = A_DAY) -> None:
    """The clock is not waited for: what is there becomes older, by default a day."""
    earlier = EARLIER[database.kind].format(column=column, minutes=minutes)
    database.execute(f"UPDATE {table} SET {column} = {earlier}")


def patient(database: Database, patient_id: int) -> Any:
    with writing(database.engine) as connection:
        return connection.execute(
            text("SELECT * FROM patients WHERE id = :id"), {"id": patient_id}
        ).one()


def queue(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        f"SELECT patient_id, patient_version, {COLUMNS} FROM scoring_queue ORDER BY patient_id"
    )


def unlabelled(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        f"SELECT id, version, {COLUMNS} FROM patients WHERE outcome IS NULL ORDER BY id"
    )


def predict(database: Database, patient_id: int, model: int = 1) -> None:
    """Write a prediction of the row's version by this model."""
    database.execute(
        """INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability,
                                    predicted_class, threshold)
        SELECT id, version, :model, 1, 0.5, 1, 0.5 FROM patients WHERE id = :id""",
        {"id": patient_id, "model": model},
    )


def assert_queue_is_true(database: Database) -> None:
    """As long as nothing was claimed, the queue holds the unlabelled rows as they are now and
    nothing else."""
    assert queue(database) == unlabelled(database)


@contextmanager
def as_sqlite3_does(database: Database) -> Iterator[sqlite3.Connection]:
    """A plain connection, with none of our settings, as people's own software has."""
    path = make_url(database.url).database
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection
