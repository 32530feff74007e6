"""What settled outcomes say of the predictions: computed by the night, told by health, and over."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import bindparam, select, update

from pima.store.engine import clock, reading, writing
from pima.store.models.registry import prevalences
from pima.store.service.monitoring import newest_figures
from pima.store.tables import monitoring, patients, predictions, promotions, runs
from pima.watch.model_alarms import model_alarms
from tests.support.databases import Database, call, insert_many, without_triggers
from tests.support.ledger import insert_run, insert_schedule

NIGHTS = 20
CONSTANT = "no_better_than_constant"


@pytest.fixture
def well(scored_database: Database) -> Database:
    """A service whose scheduler lives, with 400 predictions; their outcomes come 20 a day."""
    insert_run(scored_database, "retrain", "succeeded", finished_at=datetime.now(UTC))
    insert_schedule(scored_database, "score", datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
    insert_many(scored_database, 400, glucose="60 + n % 140")
    _score(scored_database)
    return scored_database


def _score(database: Database) -> None:
    ended = call(database, "score")
    assert ended.exit_code == 0
    assert "monitoring is incomplete" not in ended.stderr


def _outcomes(database: Database, *, are_wrong: bool) -> None:
    """The outcomes of what was predicted before them settle on the twenty days before today."""
    now = datetime.now(UTC)
    row, predicted = patients.c, predictions.c
    with writing(database.engine) as connection:
        found = connection.execute(
            select(predicted.patient_id, predicted.predicted_class).order_by(predicted.patient_id)
        ).all()
        then = now - timedelta(days=NIGHTS + 2)
        connection.execute(update(predictions).values(scored_at=then))
        connection.execute(update(promotions).values(decided_at=then))
        known = [
            {
                "of": each.patient_id,
                "is": each.predicted_class ^ are_wrong,
                "at": now - timedelta(days=1 + place % NIGHTS),
            }
            for place, each in enumerate(found)
        ]
        connection.execute(
            update(patients)
            .where(row.id == bindparam("of"))
            .values(outcome=bindparam("is"), labelled_at=bindparam("at")),
            known,
        )


def _report(database: Database) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder, "report.html")
        assert call(database, "report", "--out", str(path)).exit_code == 0
        return path.read_text()


def _left(database: Database) -> list[tuple[object, ...]]:
    """What the runs left of a constant: which run, of which version, in which state."""
    columns = "run_id, model_version, rows, state"
    return database.execute(
        f"SELECT {columns} FROM monitoring WHERE figure = '{CONSTANT}' ORDER BY run_id"
    )


def _alarms(database: Database) -> list[str]:
    with reading(database.engine) as connection:
        figures = newest_figures(connection, clock(connection))
        return [each.name for each in model_alarms(figures, None)]


def _a_day_goes_by(database: Database) -> None:
    with writing(database.engine) as connection:
        for number, at in connection.execute(
            select(monitoring.c.run_id, monitoring.c.recorded_at).distinct()
        ).all():
            earlier = update(monitoring).where(monitoring.c.run_id == number)
            connection.execute(earlier.values(recorded_at=at - timedelta(days=1)))


def test_a_day_s_first_night_judges_the_outcomes_that_settled_before_it(well: Database) -> None:
    assert [each[1:] for each in _left(well)] == [(1, 0, "usual")]
    _outcomes(well, are_wrong=False)
    to_come = {"labelled_at": datetime.now(UTC) + timedelta(days=1)}
    with without_triggers(well), writing(well.engine) as connection:
        connection.execute(update(patients).where(patients.c.id % 20 == 0).values(to_come))
    _score(well)
    assert len(_left(well)) == 1  # the day has been judged
    _a_day_goes_by(well)
    for _ in range(2):
        _score(well)
    assert [each[1:] for each in _left(well)[1:]] == [(1, 380, "usual")]
    assert _alarms(well) == []


def test_a_dead_model_is_told_and_makes_no_service_unhealthy_unless_asked(well: Database) -> None:
    _outcomes(well, are_wrong=True)
    _a_day_goes_by(well)
    _score(well)
    assert [each[1:] for each in _left(well)[1:]] == [(1, 400, "alert")]
    told = call(well, "health")
    assert told.exit_code == 0
    first, *alarms = told.stdout.splitlines()
    assert first == "healthy"
    (of_constant,) = [each for each in alarms if CONSTANT in each]
    assert of_constant.startswith(
        f"alarm of the model: {CONSTANT}: the same answer for everybody would do "
        "better: of 400 settled outcomes, predicted 400 by version 1, their AUROC is 0."
    )
    assert "; version 1 is champion, and 400 of these outcomes are its own; " in of_constant
    treated = "; or those predicted 1 were treated, which pima knows only by `acted_at`"
    assert of_constant.endswith(treated)
    assert CONSTANT in json.loads(call(well, "health", "--json").stdout)["alarms"][0]
    strict = call(well, "health", "--model")
    assert (strict.exit_code, f"Not healthy: {CONSTANT}: " in strict.stderr) == (1, True)
    assert call(well, "status", COLUMNS="300").stdout.startswith(f"ALERT: {CONSTANT}: the same ")
    page = _report(well)
    header = page[: page.index("</header>")]
    assert f"<strong>Open alarm:</strong> {CONSTANT}: the same answer" in header
    assert header.count(" settled outcomes") == 3  # those of the alarm, and of both tiles


def test_an_alarm_goes_on_with_the_champion_that_follows(well: Database) -> None:
    _outcomes(well, are_wrong=True)
    _a_day_goes_by(well)
    _score(well)
    assert call(well, "models", "promote", "2", "--reason", "a test").exit_code == 0
    _a_day_goes_by(well)
    _score(well)
    assert CONSTANT in _alarms(well)
    told = call(well, "health").stdout
    assert "; version 2 is champion, and none of these outcomes is its own; " in told


def test_during_a_stop_an_alarm_does_not_say_that_a_version_scores(well: Database) -> None:
    _outcomes(well, are_wrong=True)
    assert call(well, "models", "suspend", "--reason", "a test").exit_code == 0
    _a_day_goes_by(well)
    _score(well)
    (told,) = json.loads(call(well, "status", "--json").stdout)["alarms"]
    assert CONSTANT in told
    assert "scores now" not in told


def test_an_alarm_is_over_once_outcomes_fit_again(well: Database) -> None:
    _outcomes(well, are_wrong=True)
    _a_day_goes_by(well)
    _score(well)
    assert CONSTANT in _alarms(well)
    _outcomes(well, are_wrong=False)
    _a_day_goes_by(well)
    _score(well)
    assert _alarms(well) == []


def test_an_alarm_of_a_service_that_has_not_predicted_for_eight_weeks_is_over(
    well: Database,
) -> None:
    _outcomes(well, are_wrong=True)
    _a_day_goes_by(well)
    _score(well)
    for weeks, holds in ((7, True), (9, False)):
        then = datetime.now(UTC) - timedelta(weeks=weeks)
        with writing(well.engine) as connection:
            connection.execute(update(runs).where(runs.c.job == "score").values(started_at=then))
        assert (CONSTANT in _alarms(well)) is holds
    # Outcomes may settle long after their version has gone: an alarm over them is the service's.
    with writing(well.engine) as connection:
        now = {"started_at": datetime.now(UTC), "model_version": 2}
        connection.execute(update(runs).where(runs.c.job == "score").values(now))
    assert CONSTANT in _alarms(well)


def test_a_version_that_kept_no_prevalence_is_judged_by_its_mean_probability(
    well: Database,
) -> None:
    def kept() -> float:
        with reading(well.engine) as connection:
            return prevalences(connection, {1})[1]

    assert kept() == pytest.approx(268 / 768, abs=0.05)
    without = {
        "sqlite": "json_remove(reference, '$.cases')",
        "postgresql": "reference - 'cases'",
    }[well.kind]
    well.execute(f"UPDATE model_versions SET reference = {without}")
    assert kept() == pytest.approx(float(well.value("SELECT avg(probability) FROM predictions")))
    _outcomes(well, are_wrong=True)
    _a_day_goes_by(well)
    _score(well)
    assert _left(well)[-1][3] == "alert"


def test_where_less_than_half_is_followed_up_nothing_alarms(well: Database) -> None:
    _outcomes(well, are_wrong=True)
    well.execute("UPDATE patients SET outcome = NULL WHERE id % 3 > 0")
    _a_day_goes_by(well)
    _score(well)
    assert _left(well)[-1][1:] == (1, 0, "usual")
    assert _alarms(well) == []
