"""The figures that real nights leave, on both databases."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sqlalchemy import Connection, Engine, event, insert, select, text, update

from pima.core.nights.kinds import State
from pima.core.rows.hindsight import Corrections
from pima.errors import INTERRUPTED_BY_SIGTERM, Interrupted
from pima.runs.recorded_run import recorded_run
from pima.scoring import ScoreResult
from pima.settings.sections import Settings
from pima.store.engine import clock, reading, writing
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.store.service.monitoring import rows_of_nights
from pima.store.tables import model_versions, predictions, runs, tallies
from pima.watch.figures import leave_volumes, read_figures
from pima.watch.realised import leave_realised
from pima.watch.weeks import monday_of, version_weeks
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.scrapes import scrape
from tests.support.shipped import FEATURE_NAMES, SHIPPED
from tests.support.trained import install_models

# What the queries of the figures find is shown on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@cache
def _shipped() -> list[dict[str, float]]:
    with SHIPPED.open() as file:
        return [
            dict(zip(FEATURE_NAMES, map(float, line), strict=False)) for line in csv.reader(file)
        ]


def _insert(database: Database, rows: list[dict[str, float]]) -> None:
    values = ", ".join(f":{name}" for name in FEATURE_NAMES)
    with writing(database.engine) as connection:
        connection.execute(
            text(f"INSERT INTO patients ({', '.join(FEATURE_NAMES)}) VALUES ({values})"), rows
        )


def _night(database: Database, rows: int = 400, **moved: float) -> dict[str, object]:
    """Patients as the version has learned from, some measurements moved, are scored; then a day
    goes by."""
    shipped = _shipped()[:: 768 // rows][:rows]
    _insert(database, [{name: row[name] + moved.get(name, 0) for name in row} for row in shipped])
    found = the_json(call(database, "score", "--json"))
    with writing(database.engine) as connection:
        for moment, key in (
            (tallies.c.recorded_at, tallies.c.run_id),
            (runs.c.started_at, runs.c.id),
        ):
            for number, at in connection.execute(select(key, moment)).all():
                earlier = {moment.name: at - timedelta(days=1)}
                connection.execute(update(moment.table).where(key == number).values(**earlier))
    return found


def _alerts(database: Database) -> list[Any]:
    with reading(database.engine) as connection:
        figures = read_figures(connection, Settings()).monitoring
        return [each for each in figures if each.state == State.ALERT]


def _figures(database: Database, run: object) -> dict[str, tuple[object, ...]]:
    columns = "figure || ' ' || feature, value, rows, reference, allowed, state"
    found = database.execute(f"SELECT {columns} FROM monitoring WHERE run_id = {run}")
    return {name.strip(): tuple(rest) for name, *rest in found}


def test_a_shift_of_one_measurement_alarms_in_its_third_night_and_no_other(
    scored_database: Database,
) -> None:
    shifts = [0, 0, 25, 25, 25]
    alarms = []
    for shift in shifts:
        _night(scored_database, blood_pressure=shift)
        alarms.append({(alert.figure, alert.feature) for alert in _alerts(scored_database)})
    assert alarms == [set()] * 4 + [{("psi", "blood_pressure"), ("wasserstein", "blood_pressure")}]
    assert all(alert.value > alert.allowed for alert in _alerts(scored_database))


@pytest.mark.parametrize("feature", ["blood_pressure", "pressure"])
def test_a_new_champion_takes_over_the_nights_of_those_before_if_it_has_their_features(
    scored_database: Database, feature: str
) -> None:
    for shift in (0, 25, 25):
        _night(scored_database, blood_pressure=shift)
    its = model_versions.c
    with writing(scored_database.engine) as connection:
        features = connection.scalar(select(its.features).where(its.number == 1))
        named = [
            each | {"name": each["name"].replace("blood_pressure", feature)} for each in features
        ]
        connection.execute(update(model_versions).where(its.number == 1).values(features=named))
    assert call(scored_database, "models", "promote", "2", "--reason", "newer").exit_code == 0
    run = _night(scored_database, blood_pressure=25)["run_id"]
    alarms = {(each.model_version, each.figure, each.feature) for each in _alerts(scored_database)}
    figures = ("psi", "wasserstein") if feature == "blood_pressure" else ()
    assert alarms == {(2, figure, "blood_pressure") for figure in figures}
    assert _figures(scored_database, run)["psi blood_pressure"][1] > 300


def test_what_processes_and_workers_count_of_one_night_adds_up(scored_database: Database) -> None:
    database = scored_database
    insert_patients(database, 3, bmi=5_000)
    _insert(database, _shipped()[::2])
    found = [
        the_json(call(database, "score", "--json", *taken, PIMA_SCORE__WORKERS="2"))
        for taken in (("--limit", "100"), ("--limit", "150"), ("--batch-size", "20"))
    ]
    last = _figures(database, found[-1]["run_id"])
    assert sum(each["claimed"] for each in found) == 387
    assert last["rows"][0] == 387
    assert last["predicted_positive"][1] == 384
    assert last["rejected_out_of_range bmi"][:2] == (3 / 387, 387)
    positive = database.value("SELECT count(*) FROM predictions WHERE predicted_class = 1")
    assert last["predicted_positive"][0] == pytest.approx(positive / 384)
    expected = database.value(
        "SELECT avg(CASE WHEN predicted_class = 1 THEN probability ELSE 1 - probability END) FROM "
        "predictions"
    )
    assert last["estimated_accuracy"][0] == pytest.approx(float(expected))


@on_sqlite
def test_an_empty_night_tells_of_its_volumes_alone_and_a_dry_run_of_nothing(
    scored_database: Database,
) -> None:
    assert the_json(call(scored_database, "score", "--dry-run", "--json"))["claimed"] == 0
    insert_patients(scored_database, 1)
    call(scored_database, "score", "--dry-run")
    assert scored_database.execute("SELECT count(*) FROM monitoring") == [(0,)]
    call(scored_database, "score")
    run = the_json(call(scored_database, "score", "--json"))["run_id"]
    few = (1, 1, None, None, "insufficient_data")
    assert _figures(scored_database, run) == {"rows": few, "rows_in_week": few}
    assert scored_database.value("SELECT count(*) FROM tallies") == 1


def _nights_before(database: Database, nights: Mapping[int, Sequence[tuple[str, int]]]) -> None:
    """Runs on record: by nights back how each run of it ended and how many rows it took."""
    with writing(database.engine) as connection:
        now = clock(connection)
        for night, ended in nights.items():
            for attempt, (status, claimed) in enumerate(ended, 1):
                row = {
                    "job": "score",
                    "trigger": "manual",
                    "attempt": attempt,
                    "status": status,
                    "host": "here",
                }
                started_at = now - timedelta(days=night)
                connection.execute(
                    insert(runs).values(**row, counts={"claimed": claimed}, started_at=started_at)
                )


def test_a_source_that_stops_alarms_in_the_third_night(scored_database: Database) -> None:
    _nights_before(
        scored_database, {night: [("succeeded", 0 if night == 1 else 96)] for night in range(1, 64)}
    )
    assert call(scored_database, "score").exit_code == 0
    assert _alerts(scored_database) == []
    with writing(scored_database.engine) as connection:
        two_nights_ago = runs.c.started_at.between(
            *(clock(connection) - timedelta(hours=each) for each in (54, 42))
        )
        connection.execute(update(runs).where(two_nights_ago).values(counts={"claimed": 0}))
    assert call(scored_database, "score").exit_code == 0
    (alert,) = _alerts(scored_database)
    assert (alert.figure, alert.value, alert.reference, alert.allowed) == ("rows", 0, 96, 48)


def test_a_night_is_what_all_its_runs_took_once_one_of_them_has_succeeded(
    scored_database: Database,
) -> None:
    usual = [("succeeded", 100)]
    half = {7: [("interrupted", 50)], 14: [("failed", 60), ("succeeded", 40)], 15: [("crashed", 0)]}
    _nights_before(scored_database, {night: half.get(night, usual) for night in range(1, 91)})
    with reading(scored_database.engine) as connection:
        found = rows_of_nights(connection, clock(connection))
    assert found == {night: 100 for night in range(1, 91) if night not in (7, 15)}


@on_sqlite
def test_a_night_that_is_stopped_says_nothing_of_its_volume_until_it_is_done(
    scored_database: Database,
) -> None:
    _nights_before(
        scored_database, {night: [("succeeded", 0 if night < 3 else 100)] for night in range(1, 64)}
    )

    def night(*, is_stopped: bool) -> dict[str, tuple[object, ...]]:
        with (
            suppress(Interrupted),
            recorded_run(scored_database.engine, "score", None, dry_run=False) as run,
        ):
            run.report(ScoreResult(claimed=3))
            run.leave_at_the_end(partial(leave_volumes, run.id))
            if is_stopped:
                raise Interrupted(INTERRUPTED_BY_SIGTERM)
        return _figures(scored_database, run.id)

    nothing = (None, 0, None, None, "insufficient_data")
    assert night(is_stopped=True) == {"rows": nothing, "rows_in_week": nothing}
    assert _alerts(scored_database) == []
    assert night(is_stopped=False)["rows"] == (6, 6, 100, 50, "alert")


def test_figures_that_cant_be_written_fail_no_night(postgresql: Database, trained: Path) -> None:
    install_models(postgresql, trained)
    postgresql.execute("ALTER TABLE monitoring ADD CONSTRAINT someone_elses CHECK (rows < 0)")
    insert_patients(postgresql, 2)
    ended = call(postgresql, "score", PIMA_LOGS__FORMAT="json")
    assert ended.exit_code == 0
    told = [json.loads(line) for line in ended.stderr.splitlines()]
    codes = [line["error_code"] for line in told if "monitoring" in line["event"]]
    assert codes == ["database_failed"] * 2  # the night's figures, and what outcomes say
    assert postgresql.value("SELECT count(*) FROM predictions") == 2


@on_sqlite
def test_a_night_leaves_its_figures_in_the_transaction_that_closes_its_run(
    scored_database: Database,
) -> None:
    begun = []

    def note(connection: Connection) -> None:
        begun.append(connection.get_execution_options().get("pima_writes", False))

    event.listen(Engine, "begin", note)
    for rows in (3, 0):
        insert_patients(scored_database, rows)
        begun.clear()
        call(scored_database, "score")
        # Opened, a batch, closed; the first run of a day then counts outcomes, and judges them.
        assert begun.count(True) == (5 if rows else 2)
    event.remove(Engine, "begin", note)
    assert scored_database.value("SELECT count(DISTINCT run_id) FROM monitoring") == 2


def _predicted_and_known(database: Database) -> dict[str, float]:
    """A night, its outcomes, and three that nobody predicted; what a plain query says of it."""
    _night(database)
    database.execute("UPDATE patients SET outcome = CASE WHEN glucose > 125 THEN 1 ELSE 0 END")
    insert_patients(database, 3, outcome=1)
    found = database.execute(
        "SELECT probability, predicted_class, outcome FROM patients JOIN predictions ON "
        "patient_id = id"
    )
    probabilities, classes, outcomes = map(np.array, zip(*found, strict=True))
    threshold = database.value("SELECT max(threshold) FROM predictions")
    found_cases, false_alarms = ((classes == 1) & (outcomes == each) for each in (1, 0))
    return {
        "accuracy": (classes == outcomes).mean(),
        "auroc": roc_auc_score(outcomes, probabilities),
        "net_benefit": (found_cases.sum() - false_alarms.sum() * threshold / (1 - threshold))
        / len(found),
        "expected_accuracy": np.where(classes == 1, probabilities, 1 - probabilities).mean(),
        "followed_up": 1.0,
    }


def test_what_came_true_is_what_a_plain_query_says_in_figures_metrics_and_weeks(
    scored_database: Database,
) -> None:
    expected = _predicted_and_known(scored_database)
    leave_realised(scored_database.engine, 77, Corrections())
    kept = _figures(scored_database, 77)
    for name, value in expected.items():
        assert kept[f"realised_{name}"][:2] == (pytest.approx(value), 400)
    assert kept["realised_calibration_slope"][0] is not None
    served = scrape(scored_database.engine)
    assert served["pima_realised", "accuracy", "1", ""] == pytest.approx(expected["accuracy"])
    assert served["pima_realised_low", "accuracy", "1", ""] < expected["accuracy"]
    assert served["pima_realised_outcomes", "accuracy", "1", ""] == 400
    assert served["pima_monitoring", "rows", ""] == 400
    assert ("pima_alarm", "drift", "psi:glucose") not in served
    assert (
        served["pima_monitoring", "psi", "glucose"]
        < served["pima_monitoring_allowed", "psi", "glucose"]
    )
    with reading(scored_database.engine) as connection:
        (week,) = version_weeks(connection, settled_outcomes(connection, NEWEST_OUTCOMES), 26)
    assert (week.version, week.predictions) == (1, 400)
    assert week.estimated_accuracy.value == pytest.approx(expected["expected_accuracy"])


@on_sqlite
def test_the_share_followed_up_is_told_only_where_every_outcome_is_looked_at(
    scored_database: Database,
) -> None:
    _night(scored_database)
    scored_database.execute("UPDATE patients SET outcome = 1 WHERE id % 4 > 0")
    followed_up = {}
    for newest in (299, 300):
        leave_realised(scored_database.engine, newest, Corrections(), newest)
        with reading(scored_database.engine) as connection:
            (week,) = version_weeks(connection, settled_outcomes(connection, newest), 26)
        assert week.outcomes == newest
        kept = _figures(scored_database, newest)["realised_followed_up"][:2]
        followed_up[newest] = (*kept, week.followed_up.value)
    assert followed_up == {299: (None, 299, None), 300: (0.75, 300, 0.75)}


def test_a_night_across_two_weeks_is_of_the_one_in_which_it_began(
    scored_database: Database,
) -> None:
    _night(scored_database)
    with writing(scored_database.engine) as connection:
        monday = datetime.combine(monday_of(clock(connection) - timedelta(weeks=1)), time(), UTC)
        is_late = predictions.c.patient_id % 2 == 0
        connection.execute(update(runs).values(started_at=monday - timedelta(seconds=2)))
        connection.execute(update(predictions).values(scored_at=monday - timedelta(seconds=1)))
        connection.execute(
            update(predictions).where(is_late).values(scored_at=monday + timedelta(seconds=1))
        )
        connection.execute(update(tallies).values(recorded_at=monday + timedelta(seconds=2)))
    scored_database.execute("UPDATE patients SET outcome = 1 WHERE id % 4 > 0")
    with reading(scored_database.engine) as connection:
        (week,) = version_weeks(connection, settled_outcomes(connection, NEWEST_OUTCOMES), 26)
    assert (week.monday, week.predictions, week.outcomes) == (
        monday.date() - timedelta(weeks=1),
        400,
        300,
    )
    assert week.followed_up.value == 0.75


@on_sqlite
def test_no_outcomes_of_a_run_that_was_killed_or_is_not_on_record_are_counted(
    scored_database: Database,
) -> None:
    _night(scored_database)
    insert_patients(scored_database, 80, first_id=1_001)
    assert call(scored_database, "score").exit_code == 0
    scored_database.execute(
        "UPDATE runs SET started_at = (SELECT min(started_at) FROM runs)"
    )  # in one week
    scored_database.execute("UPDATE patients SET outcome = 1 WHERE id < 1000 OR id % 8 = 0")
    # What a killed run leaves: predictions, and no tally.
    scored_database.execute(
        "DELETE FROM tallies WHERE run_id = (SELECT min(run_id) FROM predictions)"
    )
    with reading(scored_database.engine) as connection:
        (week,) = version_weeks(connection, settled_outcomes(connection, NEWEST_OUTCOMES), 26)
    assert (week.predictions, week.outcomes, week.followed_up.value) == (
        80,
        410,
        pytest.approx(10 / 80),
    )
    # Of a run that was removed for its age it is not known any more how many rows it had.
    scored_database.execute("DELETE FROM monitoring")
    scored_database.execute("DELETE FROM runs WHERE id = (SELECT min(run_id) FROM predictions)")
    leave_realised(scored_database.engine, 77, Corrections())
    assert _figures(scored_database, 77)["realised_followed_up"][:2] == (
        pytest.approx(10 / 80),
        410,
    )
