"""The nightly job as child processes: many at once, killed, held up, asked to stop."""

import json
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.store.engine import writing
from pima.store.service.runs import start_run
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    held_in_the_middle,
    insert_patients,
    the_json,
)
from tests.support.ledger import document
from tests.support.scored_once import QUEUED, assert_each_once, insert_mostly_sound
from tests.support.shipped import ROOT, SOUND
from tests.support.trained import install_models

# The view of current predictions is shown on both by tests/store/test_predictions.py.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@pytest.mark.judge
def test_two_at_once_score_every_row_once(scored_database: Database) -> None:
    insert_mostly_sound(scored_database)
    patient = {"PIMA_DATABASE__LOCK_TIMEOUT_SECONDS": str(PATIENCE_SECONDS)}
    processes = [
        scored_database.start("score", "--json", "--batch-size", "100", **patient) for _ in range(2)
    ]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    claimed = [json.loads(stdout)["claimed"] for stdout, _ in ended]
    assert sum(claimed) == QUEUED
    assert_each_once(scored_database)
    assert scored_database.value("SELECT count(*) FROM rejections") == QUEUED // 1000


@pytest.mark.judge
def test_killed_in_the_middle_and_run_again(scored_database: Database) -> None:
    insert_mostly_sound(scored_database)
    killed = scored_database.start("score", "--batch-size", "20")
    with held_in_the_middle(scored_database, killed, range(600, QUEUED // 2)):
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=PATIENCE_SECONDS)
    assert killed.returncode == -signal.SIGKILL
    assert call(scored_database, "score").exit_code == 0
    assert_each_once(scored_database)
    # The killed one's row stays as it left it.
    assert scored_database.execute("SELECT status FROM runs ORDER BY id") == [
        ("running",),
        ("succeeded",),
    ]
    of_the_killed = "SELECT count(*) FROM tallies JOIN runs ON id = run_id WHERE status = 'running'"
    assert scored_database.value(of_the_killed) == 0


@pytest.mark.parametrize(
    ("copied", "number", "exit_code"),
    [("sqlite", signal.SIGINT, 130), ("postgresql", signal.SIGTERM, 143)],
    indirect=["copied"],
)
def test_asked_to_stop_it_ends_at_a_batch_boundary(
    scored_database: Database, number: int, exit_code: int
) -> None:
    insert_mostly_sound(scored_database)
    process = scored_database.start("score", "--json", "--batch-size", "10")
    with held_in_the_middle(scored_database, process, range(200, QUEUED // 2)):
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == exit_code, stderr
    counts = json.loads(stdout)
    assert 0 < counts["claimed"] < QUEUED
    assert_each_once(scored_database, waiting=QUEUED - counts["claimed"])
    assert scored_database.value("SELECT status FROM runs") == "interrupted"
    assert document(scored_database, "SELECT counts FROM runs")["claimed"] == counts["claimed"]
    assert document(scored_database, "SELECT tally FROM tallies")["rows"] == counts["claimed"]
    assert call(scored_database, "score").exit_code == 0
    assert_each_once(scored_database)


def test_two_workers_of_one_run_score_every_row_once_and_count_what_they_committed(
    postgresql: Database, trained: Path
) -> None:
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql)
    postgresql.execute("UPDATE patients SET insulin = NULL WHERE id % 3 = 0")
    environ = {"PIMA_SCORE__WORKERS": "2", "PIMA_LOGS__FORMAT": "json"}
    ended = call(postgresql, "score", "--json", "--batch-size", "140", **environ)
    assert ended.exit_code == 0, ended.stderr
    counts = the_json(ended)
    assert (counts["claimed"], counts["rejected"], counts["batches"]) == (
        QUEUED,
        QUEUED // 1000,
        72,
    )
    assert_each_once(postgresql)
    recorded = document(postgresql, "SELECT counts FROM runs")
    assert recorded == {name: counts[name] for name in recorded}
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {line.get("run_id") for line in lines} == {counts["run_id"]}


def test_scoring_and_a_clinics_own_transactions_never_deadlock(
    postgresql: Database, trained: Path
) -> None:
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql, 8_000)
    processes = [postgresql.start("score", "--batch-size", "80", "--json") for _ in range(2)]
    corrected = 0
    # Each transaction corrects rows in falling order of id, against the scorers' rising one.
    while any(process.poll() is None for process in processes):
        with postgresql.engine.begin() as clinic:
            for patient_id in (
                7_600 - corrected % 3_600,
                3_600 - corrected % 3_600,
                1 + corrected % 50,
            ):
                clinic.execute(
                    text("UPDATE patients SET age = 51 WHERE id = :id"), {"id": patient_id}
                )
        corrected += 37
    ended = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert call(postgresql, "score").exit_code == 0
    assert (
        postgresql.value(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        == 0
    )
    assert postgresql.value("SELECT count(*) FROM scoring_queue") == 0


@on_sqlite
def test_the_documented_way_back_to_an_earlier_model_shows_its_predictions_for_every_waiting_row(
    scored_database: Database,
) -> None:
    def make_champion(*move: str) -> int:
        assert call(scored_database, "models", *move, "--reason", "a test").exit_code == 0
        requeued = the_json(call(scored_database, "requeue", "--stale", "--json"))["requeued"]
        assert call(scored_database, "score").exit_code == 0
        return int(requeued)

    def shown() -> list[tuple[int, int, bool]]:
        rows = scored_database.execute(
            "SELECT patient_id, model_version, superseded FROM current_predictions"
        )
        return sorted((patient, model, bool(superseded)) for patient, model, superseded in rows)

    insert_patients(scored_database, 2, first_id=1)
    assert call(scored_database, "score").exit_code == 0
    assert shown() == [(1, 1, False), (2, 1, False)]
    assert make_champion("promote", "2") == 2
    assert shown() == [(1, 2, False), (2, 2, False)]
    insert_patients(scored_database, 1, first_id=3)
    scored_database.execute("UPDATE patients SET glucose = 90 WHERE id = 2")
    assert call(scored_database, "score").exit_code == 0
    assert shown() == [(1, 2, False), (2, 2, False), (3, 2, False)]
    assert make_champion("rollback") == 2  # what the first has never scored
    assert call(scored_database, "models", "promote", "1", "--reason", "it is").exit_code == 2
    assert shown() == [(1, 1, False), (2, 1, False), (3, 1, False)]
    assert make_champion("promote", "2") == 0
    assert shown() == [(1, 2, False), (2, 2, False), (3, 2, False)]
    assert scored_database.value("SELECT count(*) FROM predictions") == 3 + 4 + 0 + 1


def test_the_memory_of_a_run_is_no_matter_of_its_rows(scored_database: Database) -> None:
    """A run of many batches holds one at a time: its tally is all that it keeps."""
    _peak_of_a_run(scored_database, 500)  # fills the caches, which stay
    few, many = (_peak_of_a_run(scored_database, rows) for rows in (500, 5_000))
    assert many < 1.5 * few


def _peak_of_a_run(database: Database, rows: int) -> int:
    """Bytes that Python and numpy held at most, while so many new rows were scored in batches of
    250."""
    insert_mostly_sound(database, rows)
    with writing(database.engine) as connection:
        run = OpenRun(start_run(connection, "score", "manual", None, "test") or 0)
    tracemalloc.start()
    score_queue(database.engine, run, ScoreOptions(250), StopRequest())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (run.counts["claimed"], run.counts["batches"]) == (rows, rows // 250)
    return peak


def test_scoring_imports_what_it_needs_and_nothing_of_the_other_database(
    scored_database: Database,
) -> None:
    """On an empty queue no model. SQLAlchemy's part for the other database would cost every start
    15 ms and more. Nor does what runs day and night import pandas or TensorFlow."""
    other, driver = {"sqlite": ("postgresql", "psycopg"), "postgresql": ("sqlite", "sqlite3")}[
        scored_database.kind
    ]
    insert = (
        f"INSERT INTO patients ({', '.join(SOUND)}) VALUES ({', '.join(map(str, SOUND.values()))})"
    )
    program = f"""
import os, sys
from jobs.score import main
heavy = ("tensorflow", "keras", "pandas", "sqlalchemy.dialects.{other}", "pima.store.{other}", "{driver}")

def score():
    code = main(["--json"], os.environ)
    unwanted = sorted(name for name in sys.modules if name.startswith(heavy))
    print("scored", code, unwanted, sorted({{"ai_edge_litert"}} & set(sys.modules)))

score()
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.urls import make_engine
with writing(make_engine(os.environ["DATABASE_URL"], DatabaseSettings())) as connection:
    connection.exec_driver_sql("{insert}")
score()
from jobs import alert, health, scheduler, status
for job, arguments in ((health, "--json"), (status, "--json"), (alert, "--dry-run")):
    job.main([arguments], os.environ)
print("day and night", sorted({{"keras", "pandas", "tensorflow"}} & set(sys.modules)))
"""
    environ = clean_environ() | {"DATABASE_URL": scored_database.url}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    told = [
        line for line in ended.stdout.splitlines() if line.startswith(("scored", "day and night"))
    ]
    expected = ["scored 0 [] []", "scored 0 [] ['ai_edge_litert']", "day and night []"]
    assert told == expected, ended.stderr
