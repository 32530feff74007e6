"""A real scheduler that pulls from a clinic's own table before each job, and what health and status
say of it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, Ended, call, insert_patients, wait_for
from tests.support.ledger import insert_run
from tests.support.schedulers import EVERY_SECOND, stop

on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
NEVER = {"PIMA_SCHEDULE__SCORE": "0 0 29 2 mon", "PIMA_SCHEDULE__RETRAIN": "0 0 29 2 mon"}


def _start(clinic: Clinic, database: Database, **environ: str) -> subprocess.Popen[str]:
    """By itself it runs what never ran: scoring, and before it a pull."""
    insert_run(database, "retrain", "succeeded")
    given = {URL: clinic.url} | NEVER | environ
    return database.start("scheduler", "--config", clinic.config, **given)


def _has_scored(database: Database) -> bool:
    return bool(database.value("SELECT count(exit_code) FROM runs WHERE job = 'score'"))


def _ledger(database: Database, columns: str = "job, status") -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = database.execute(f"SELECT {columns} FROM runs ORDER BY id")
    return found


def _health(clinic: Clinic, database: Database) -> Ended:
    return call(database, "health", "--config", clinic.config, **NEVER)


@on_sqlite
def test_each_night_s_new_rows_are_pulled_and_then_scored(
    scored_database: Database, sqlite_clinic: Clinic
) -> None:
    database, clinic = scored_database, sqlite_clinic
    clinic.insert(20)
    process = _start(clinic, database, PIMA_SCHEDULE__SCORE=EVERY_SECOND)
    wait_for(lambda: database.value("SELECT count(*) = 20 FROM predictions"), process)
    clinic.insert(5, seed=2)
    wait_for(lambda: database.value("SELECT count(*) = 25 FROM predictions"), process)
    stop(process)
    ended = {job: {} for job in ("pull", "score")}
    for job, tick, began, end in _ledger(database, "job, scheduled_for, started_at, finished_at"):
        ended.get(str(job), {})[tick] = (began, end)
    begun = database.execute(
        "SELECT scheduled_for FROM runs WHERE job = 'score' AND status = 'succeeded'"
    )
    assert begun
    for (tick,) in begun:
        assert ended["pull"][tick][1] <= ended["score"][tick][0]


@on_sqlite
def test_a_source_that_is_gone_is_told_and_the_rest_is_scored(
    scored_database: Database, sqlite_clinic: Clinic
) -> None:
    database, clinic = scored_database, sqlite_clinic
    insert_patients(database, 3)
    file = Path(clinic.folder, "clinic.db")
    gone = file.rename(file.with_name("gone.db"))
    process = _start(clinic, database)
    wait_for(lambda: _has_scored(database), process)
    assert database.value("SELECT count(*) FROM predictions") == 3
    assert _ledger(database)[1:] == [("pull", "failed"), ("score", "succeeded")]
    ended = _health(clinic, database)
    assert "pull_failed: the last pull of clinic failed (source_unusable)" in ended.stderr
    gone.rename(file)
    clinic.insert(4)
    clinic.pulled(database)
    assert "pull" not in _health(clinic, database).stderr
    stop(process)


def test_a_source_without_its_url_or_a_pull_without_its_database_s_ends_the_scheduler(
    sqlite: Database, sqlite_clinic: Clinic
) -> None:
    database, clinic = sqlite, sqlite_clinic
    ended = call(database, "scheduler", "--config", clinic.config)
    assert (ended.exit_code, "PIMA_SOURCE__CLINIC__URL" in ended.stderr) == (2, True)
    wrong = {URL: clinic.url, "PIMA_PULL__DATABASE_URL_FILE": "/no/such/file"}
    ended = call(database, "scheduler", "--config", clinic.config, **wrong)
    assert (ended.exit_code, "PIMA_PULL__DATABASE_URL_FILE" in ended.stderr) == (2, True)
    assert _ledger(database) == []


@on_sqlite
def test_a_variable_of_no_source_stops_the_pulls_and_neither_the_scheduler_nor_its_other_jobs(
    scored_database: Database, sqlite_clinic: Clinic
) -> None:
    database, clinic, variable = scored_database, sqlite_clinic, "PIMA_SOURCE__OTHER__URL"
    insert_patients(database, 3)
    clinic.insert(4)
    process = _start(clinic, database, **{variable: clinic.url})
    wait_for(lambda: _has_scored(database), process)
    warned = [
        line
        for line in stop(process).splitlines()
        if "no source is pulled until this is corrected" in line
    ]
    assert (len(warned), variable in warned[0]) == (1, True)
    assert database.value("SELECT count(*) FROM predictions") == 3
    assert _ledger(database)[1:] == [("pull", "failed"), ("score", "succeeded")]
    assert variable in database.value("SELECT error_line FROM runs WHERE job = 'pull'")
    assert "pull_failed: the last pull of clinic failed" in _health(clinic, database).stderr


def test_status_tells_of_each_source(postgresql: Database, sqlite_clinic: Clinic) -> None:
    database, clinic = postgresql, sqlite_clinic

    def shown() -> str:
        ended = call(database, "status", "--config", clinic.config)
        assert ended.exit_code == 0
        return " ".join(ended.stdout.split())

    assert "source clinic never pulled" in shown()
    clinic.insert(30)
    clinic.pulled(database)
    assert "source clinic pull succeeded, 20" in shown()
    assert "30 rows read" in shown()
    clinic.settings["minimum_rows"] = 40
    assert clinic.pull(database).exit_code == 3
    # A run that no scheduler watches keeps its error, too.
    assert database.value("SELECT error_line FROM runs WHERE status = 'refused'").startswith(
        "error: The source clinic"
    )
    assert "source clinic pull refused (source_refused), 20" in shown()
    assert "30 rows read; the last that succeeded: 20" in shown()
    found = json.loads(call(database, "status", "--json", "--config", clinic.config).stdout)[
        "sources"
    ]
    assert [(each["source"], each["last_pull"]["status"]) for each in found] == [
        ("clinic", "refused")
    ]
    assert found[0]["last_success"] < found[0]["last_pull"]["at"]
