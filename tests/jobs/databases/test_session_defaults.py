"""What a database or a role defaults to for its sessions and transactions is nothing to ours: each
says its own."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import text

from pima.store.engine import clock, reading, writing
from pima.store.models.registry import holdout_rule
from pima.store.rows.histories import labelled_history
from pima.store.rows.settling import settling
from tests.support.databases import Database, Ended, call
from tests.support.patient_files import write
from tests.support.shipped import SHIPPED_DECLARATION
from tests.support.trained import install_models
from tests.support.versions import hash_again

ALL_AT_ONCE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
}


def default_to(database: Database, settings: dict[str, str]) -> None:
    """Set them for all sessions to come, the test's own among them."""
    name = database.value("SELECT current_database()")
    with writing(database.engine) as connection:
        for setting, value in settings.items():
            parts = ", ".join(f"'{part}'" for part in value.split(", "))
            connection.execute(text(f"ALTER DATABASE {name} SET {setting} = {parts}"))
    database.engine.dispose()


def test_each_transaction_says_its_own_isolation_and_whether_it_writes(
    postgresql: Database,
) -> None:
    default_to(postgresql, ALL_AT_ONCE)
    shown = (
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
    )
    for transaction, read_only in ((reading, "on"), (writing, "off"), (reading, "on")):
        with transaction(postgresql.engine) as connection:
            assert connection.execute(text(shown)).one() == ("read committed", read_only)
            for (
                name,
                value,
            ) in (
                ALL_AT_ONCE.items()
            ):  # the defaults stay as they are for whoever else uses the session
                assert connection.scalar(text(f"SHOW {name}")) == value
    postgresql.execute("INSERT INTO patients (glucose) VALUES (100)")
    assert postgresql.value("SELECT count(*) FROM patients") == 1


THRESHOLD = 0.40000000000000013
"""With fewer digits it is another number."""

SETTINGS = {
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "DateStyle": "German, DMY",
    "TimeZone": "America/St_Johns",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "client_encoding": "SQL_ASCII",
}
"""What a clinic's server has of its own: pima says each anew for its sessions."""


HEADER = (
    "id,pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age,outcome"
)
LINES = (
    "1,6.1,148.125,,35,0,33.6,0.627,50,1",
    "2,1,100.00000000000001,66.00000000000001,29,0,26.6,0.351,31,0",
    "3,8,183,64,0,0,23.3,0.672,32,",
    "4,8,183,80,,,23.3,0.672,32,",
)


def test_what_the_jobs_do_and_tell_is_the_same(
    postgresql: Database, trained: Path, tmp_path: Path
) -> None:
    def well(*command: str) -> Ended:
        ended = call(postgresql, *command)
        assert ended.exit_code == 0, ended.stdout + ended.stderr
        return ended

    postgresql.remove_schema()
    default_to(postgresql, SETTINGS)
    well("migrate")
    well("load", write(tmp_path, HEADER, *LINES, name="Jörg 李.csv"))
    install_models(postgresql, trained)
    postgresql.execute("UPDATE model_versions SET threshold = :threshold", {"threshold": THRESHOLD})
    hash_again(postgresql)
    well("score")
    well("models", "promote", "2", "--reason", "Jörg and 李")
    well("models", "promote", "1", "--reason", "a \\ and a ' too")
    well("models", "export", "1", str(tmp_path / "kept.keras"))
    for command in (("migrate",), ("retain", "--older-than", "365"), ("requeue",), ("status",)):
        well(*command)
    history, predictions = _history(postgresql), _predictions(postgresql)
    postgresql.execute(f"ALTER DATABASE {postgresql.value('SELECT current_database()')} RESET ALL")
    postgresql.engine.dispose()
    stored = "SELECT id, pregnancies, glucose, blood_pressure, outcome FROM patients ORDER BY id"
    assert postgresql.execute(stored) == [
        (1, 6.1, 148.125, None, 1),
        (2, 1.0, 100.00000000000001, 66.00000000000001, 0),
        (3, 8.0, 183.0, 64.0, None),
        (4, 8.0, 183.0, 80.0, None),
    ]
    assert history == _history(postgresql)
    with closing(sqlite3.connect(trained)) as source:
        (original,) = source.execute(
            "SELECT keras_artifact FROM model_versions WHERE number = 1"
        ).fetchone()
    assert (tmp_path / "kept.keras").read_bytes() == original
    postgresql.execute("DELETE FROM predictions")
    well("requeue", "--stale")
    well("score")
    assert predictions == _predictions(postgresql)


def _history(database: Database) -> list[list[Any]]:
    with reading(database.engine) as connection:
        settled = settling(connection, SHIPPED_DECLARATION.outcome, clock(connection))
        rule = holdout_rule(connection)
        read, *_ = labelled_history(connection, SHIPPED_DECLARATION, rule, settled)
    return [
        column.fillna("none").tolist() for _, column in read.astype(object).reset_index().items()
    ]


def _predictions(database: Database) -> list[tuple[Any, ...]]:
    """Bit by bit, without a float's text."""
    probability, threshold = (
        f"encode(float8send({name}), 'hex')" for name in ("probability", "threshold")
    )
    found: list[tuple[Any, ...]] = database.execute(f"""
        SELECT patient_id, {probability}, predicted_class, {threshold} FROM predictions
        WHERE model_version = 1 ORDER BY patient_id""")
    return found
