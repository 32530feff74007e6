"""Settings of a database that change what a value means, and idle sessions that it ends: nothing comes out wrong."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pima.errors import NoChampion, PimaError
from pima.process.recorded_run import recorded_run
from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine, reading, writing
from pima.store.histories import labelled_history
from pima.store.schema import holdout_rule
from tests.support.databases import Database, Ended, call, the_json
from tests.support.patient_files import write
from tests.support.session_defaults import default_to
from tests.support.shipped import FEATURE_NAMES
from tests.support.trained import install_models

THRESHOLD = 0.40000000000000013
"""With fewer digits it is another number."""

SETTINGS = {
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "DateStyle": "German, DMY",
    "TimeZone": "America/St_Johns",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "quote_all_identifiers": "on",
    "exit_on_error": "on",
    "client_encoding": "SQL_ASCII",
}
"""What a clinic's server has of its own: pima says each anew for its sessions."""


def test_what_the_jobs_do_and_tell_is_the_same(postgresql: Database, trained: Path, tmp_path: Path) -> None:
    postgresql.remove_schema()
    default_to(postgresql, SETTINGS)
    done = _everything(postgresql, trained, tmp_path)
    postgresql.execute(f"ALTER DATABASE {postgresql.value('SELECT current_database()')} RESET ALL")
    postgresql.engine.dispose()
    assert _stored(postgresql) == [
        (1, 6.1, 148.125, None, 1),
        (2, 1.0, 100.00000000000001, 66.00000000000001, 0),
        (3, 8.0, 183.0, 64.0, None),
        (4, 8.0, 183.0, None, None),
        (5, 8.0, 183.0, 80.0, None),
    ]
    assert done["history"] == _history(postgresql)
    assert done["predictions"] == _predictions(postgresql)
    postgresql.execute("DELETE FROM predictions")
    _ended_well(call(postgresql, "requeue", "--stale"))
    _ended_well(call(postgresql, "score"))
    assert done["predictions"] == _predictions(postgresql)
    default_to(postgresql, SETTINGS)
    for command in (("migrate",), ("retain", "--older-than", "365"), ("requeue",)):
        _ended_well(call(postgresql, *command))


HEADER = "id,pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age,outcome"
LINES = (
    "1,6.1,148.125,,35,0,33.6,0.627,50,1",
    "2,1,100.00000000000001,66.00000000000001,29,0,26.6,0.351,31,0",
    "3,8,183,64,0,0,23.3,0.672,32,",
    "4,8,183,,,,23.3,0.672,32,",
    "5,8,183,80,,,23.3,0.672,32,",
)


def _everything(database: Database, trained: Path, folder: Path) -> dict[str, Any]:
    _ended_well(call(database, "migrate"))
    _ended_well(call(database, "load", write(folder, HEADER, *LINES, name="Jörg 李.csv")))
    install_models(database, trained)
    with writing(database.engine) as connection:
        connection.execute(text("UPDATE model_versions SET threshold = :threshold"), {"threshold": THRESHOLD})
    _ended_well(call(database, "score"))
    _ended_well(call(database, "requeue", "--rejected"))
    for _ in range(2):
        _ended_well(call(database, "requeue", "--stale"))
    _ended_well(call(database, "models", "promote", "2", "--reason", "Jörg and 李"))
    _ended_well(call(database, "models", "promote", "1", "--reason", "a \\ and a ' too"))
    copied = ", ".join(("version", *FEATURE_NAMES))
    database.execute(
        f"INSERT INTO scoring_queue (patient_id, patient_{copied}) SELECT id, {copied} FROM patients WHERE id = 3"
    )
    again = call(database, "score", "--json")
    _ended_well(again)
    assert the_json(again)["already_scored"] == 1
    for command in (("status",), ("models", "list"), ("models", "show", "1"), ("migrate",)):
        _ended_well(call(database, *command))
    health = call(database, "health")
    assert "scheduler_silent" in health.stderr  # it looked, and found nothing wrong with the database
    assert "database_" not in health.stderr
    kept = folder / "kept.keras"
    _ended_well(call(database, "models", "export", "1", str(kept)))
    with closing(sqlite3.connect(trained)) as source:
        (original,) = source.execute("SELECT keras_artifact FROM model_versions WHERE number = 1").fetchone()
    assert kept.read_bytes() == original
    return {"history": _history(database), "predictions": _predictions(database)}


def _ended_well(ended: Ended) -> None:
    assert ended.exit_code == 0, ended.stdout + ended.stderr


def _stored(database: Database) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = database.execute(
        "SELECT id, pregnancies, glucose, blood_pressure, outcome FROM patients ORDER BY id"
    )
    return found


def _history(database: Database) -> list[list[Any]]:
    with reading(database.engine) as connection:
        read = labelled_history(connection, FEATURE_NAMES, holdout_rule(connection))
    return [column.fillna("none").tolist() for _, column in read.astype(object).reset_index().items()]


def _predictions(database: Database) -> list[tuple[Any, ...]]:
    """Bit by bit, without a float's text."""
    probability, threshold = (f"encode(float8send({name}), 'hex')" for name in ("probability", "threshold"))
    found: list[tuple[Any, ...]] = database.execute(f"""
        SELECT patient_id, {probability}, predicted_class, {threshold} FROM predictions
        WHERE model_version = 1 ORDER BY patient_id""")
    return found


END_ALL = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.parametrize(
    ("error", "ends_as"), [(None, ("succeeded", None)), (NoChampion(waiting="1 row"), ("refused", "no_champion"))]
)
def test_a_run_whose_idle_sessions_were_ended_is_closed(
    postgresql: Database, error: PimaError | None, ends_as: tuple[str, str | None]
) -> None:
    engine = make_engine(postgresql.url, DatabaseSettings())
    with suppress(NoChampion), recorded_run(engine, "score", None, dry_run=False):
        assert postgresql.execute(END_ALL) != []
        if error is not None:
            raise error
    engine.dispose()
    assert postgresql.execute("SELECT status, error_code FROM runs") == [ends_as]
