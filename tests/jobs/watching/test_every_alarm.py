"""A clinic where everything is wrong: each condition that pima knows is an alarm of the scrape, and
the same conditions are what alert, health, status and the report tell."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pima.core.nights.kinds import ALARMS, Kind, State, Watched
from pima.intake.sources.pull_results import PulledSource, PullResult
from pima.runs.recorded_run import as_json
from pima.settings.reading import SHIPPED_FILE
from pima.store.engine import writing
from pima.store.service.monitoring import REPORT_ERROR, keep_figures
from pima.store.service.runs import Status
from pima.watch.conditions import EXPLAINED
from pima.watch.health import COMPLAINTS
from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, Ended, call, insert_patients, the_json
from tests.support.ledger import insert_run, insert_schedule
from tests.support.scrapes import alarms
from tests.support.trained import install_models

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVENTS = {"champion_changed", "verdict_blocked"}
"""They happen at a moment and do not hold: alerts alone tell them."""
BLOCKED = (
    "INSERT INTO promotions (verdict, reason, explanation, from_version, to_version, challenger, "
    "champion_sequence, figures, decided_by) SELECT 'blocked', :reason, '', 1, 1, 2, sequence, "
    "'{}', 'retrain' FROM champion"
)


def _run(database: Database, clinic: Clinic, job: str, *arguments: str) -> Ended:
    return call(database, job, *arguments, "--config", clinic.config, **{URL: clinic.url})


@pytest.fixture
def broken(database: Database, own_clinic: Clinic, trained: Path) -> Database:
    """A clinic whose declaration is sound, and which has a champion that nobody has stopped."""
    install_models(database, trained)
    own_clinic.insert(70)
    own_clinic.insert(60, seed=2, glucose_mmol=90)
    own_clinic.pulled(database)
    assert _run(database, own_clinic, "score").exit_code == 0
    then = {"then": database.stored(LONG_AGO)}
    database.execute("UPDATE runs SET finished_at = :then, heartbeat_at = :then", then)
    counts = json.dumps({REPORT_ERROR: "a_code", "explanation": "it is not better"})
    insert_run(
        database,
        "retrain",
        "succeeded",
        counts=counts,
        started_at=LONG_AGO,
        finished_at=LONG_AGO,
    )
    _leave_figures_that_alarm(database)
    _lose_rows(database)
    own_clinic.execute("DROP TABLE visits")
    insert_patients(database, 1)
    database.execute("UPDATE champion SET model_version = NULL")
    for job in ("pull", "retrain", "score"):
        assert _run(database, own_clinic, job).exit_code != 0
    database.execute("UPDATE champion SET model_version = 1")
    database.execute("UPDATE scoring_queue SET enqueued_at = :then", then)
    for job in ("score", "retrain", "pull clinic"):
        insert_schedule(database, job, LONG_AGO, LONG_AGO)
    now = datetime.now(UTC)
    insert_run(
        database, "retrain", "running", started_at=now - timedelta(hours=9), heartbeat_at=now
    )
    for reason in ("rolled_back_before", "awaits_approval"):
        database.execute(BLOCKED, {"reason": reason})
    return database


def _lose_rows(database: Database) -> None:
    now = datetime.now(UTC)
    for days, vanished in [*((days, 0) for days in range(20, 0, -2)), (0, 30)]:
        pulled = PulledSource("clinic", vanished=vanished, status=Status.SUCCEEDED)
        insert_run(
            database,
            "pull",
            "succeeded",
            counts=json.dumps(as_json(PullResult((pulled,)))),
            started_at=now - timedelta(days=days),
            finished_at=LONG_AGO,
            heartbeat_at=LONG_AGO,
        )


def _leave_figures_that_alarm(database: Database) -> None:
    insert_run(database, "score", "succeeded", counts='{"predicted": 9}', finished_at=LONG_AGO)
    run_id = database.value("SELECT max(id) FROM runs")
    of_model = [Watched("bmi", "psi", 0.9, 60, None, 0.2)]
    of_model += [Watched("", figure, 0.5, 60, 0.1, 0.1, low=0.4, high=0.6) for figure in ALARMS]
    with writing(database.engine) as connection:
        alarming = [each.alarming_if(True) for each in of_model]
        assert {each.state for each in alarming} == {State.ALERT}
        keep_figures(connection, run_id, 1, Kind.NIGHT, alarming)


def test_each_condition_that_pima_knows_is_an_alarm_while_it_holds(
    broken: Database, own_clinic: Clinic, tmp_path: Path
) -> None:
    shipped = SHIPPED_FILE.read_text()
    (tmp_path / "other.toml").write_text(shipped.replace("high = 25", "high = 30", 1))
    own_clinic.extra = '[declaration]\nfile = "other.toml"\n'
    standing = alarms(broken.engine, own_clinic.config)
    of_something = {
        "pull_failed:clinic",
        "source_lost_rows:clinic",
        "drift:psi:bmi",
        "drift:rows_in_week",
        "awaits_approval:2",
    }
    assert of_something <= standing
    own_clinic.extra = ""
    assert _run(broken, own_clinic, "models", "suspend", "--reason", "a test").exit_code == 0
    while_stopped = alarms(broken.engine, own_clinic.config)
    broken.execute("UPDATE champion SET model_version = NULL, suspended_at = NULL")
    without_champion = alarms(broken.engine, own_clinic.config)
    assert while_stopped - standing == {"suspended"}
    assert without_champion - standing == {"no_champion"}
    told = {name.partition(":")[0] for name in standing | while_stopped | without_champion}
    assert told == {*COMPLAINTS, *EXPLAINED} - EVENTS


def test_alert_health_status_and_report_tell_what_the_scrape_says(
    broken: Database, own_clinic: Clinic, tmp_path: Path
) -> None:
    standing = alarms(broken.engine, own_clinic.config)
    listed = the_json(_run(broken, own_clinic, "alert", "--dry-run", "--json"))["conditions"]
    assert {each["name"] for each in listed if each["happened_at"] is None} == standing
    happened = {each["name"].partition(":")[0] for each in listed if each["happened_at"]}
    assert happened == EVENTS
    of_model = {f"{each['name']}: {each['what']}" for each in listed if each["is_of_model"]}
    shown = the_json(_run(broken, own_clinic, "status", "--json"))["alarms"]
    assert {*shown} == of_model
    unhealthy = the_json(_run(broken, own_clinic, "health", "--model", "--json"))["message"]
    assert all(alarm in unhealthy for alarm in of_model)
    assert all(reason in unhealthy for reason in COMPLAINTS if reason in standing)
    report = tmp_path / "report.html"
    assert _run(broken, own_clinic, "report", "--out", str(report)).exit_code == 0
    assert all(alarm.partition(": ")[0] in report.read_text() for alarm in of_model)
