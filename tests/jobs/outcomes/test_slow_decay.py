"""Slow decay: what half a year hides from each day, told by the first night of a day."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from pima.store.engine import writing
from tests.support.databases import Database, call, insert_many, the_json
from tests.support.ledger import insert_run, insert_schedule
from tests.support.scrapes import alarms
from tests.support.settled import NOW
from tests.support.shipped import SOUND

WEEKS, A_WEEK, NEWEST = 39, 100, 13
DECAY = "slow_decay"


def _live(database: Database, keeps: float) -> None:
    """Weeks of rows whose outcomes followed the predictions of two versions by turns. In the newest
    ones the log odds keep so much of what is predicted."""
    draw = np.random.default_rng(1)
    monday = (NOW - timedelta(days=NOW.weekday())).replace(hour=0, minute=0, second=0)
    rows = []
    for week in range(1, WEEKS + 1):
        kept = keeps if week <= NEWEST else 1.0
        for n in range(A_WEEK):
            says = float(draw.normal(-0.6, 1.4))
            chance = 1 / (1 + np.exp(-(kept * (says + 0.6) - 0.6)))
            known = monday - timedelta(weeks=week) + timedelta(hours=1.5 * n + 1)
            rows.append(
                {
                    "id": 10_000 + len(rows),
                    "outcome": int(draw.random() < chance),
                    "known": database.stored(known),
                    "scored": database.stored(known - timedelta(days=2)),
                    "version": 1 + week // 2 % 2,
                    "p": float(1 / (1 + np.exp(-says))),
                }
            )
    names = ", ".join(SOUND)
    values = ", ".join(map(str, SOUND.values()))
    with writing(database.engine) as connection:
        for statement in (
            f"INSERT INTO patients (id, {names}) VALUES (:id, {values})",
            """INSERT INTO predictions (patient_id, patient_version, model_version, run_id,
                probability, predicted_class, threshold, scored_at)
            SELECT id, version, :version, 1, :p, 0, 0.5, :scored FROM patients WHERE id = :id""",
            "UPDATE patients SET outcome = :outcome, labelled_at = :known WHERE id = :id",
        ):
            connection.execute(text(statement), rows)


@pytest.fixture
def well(scored_database: Database) -> Database:
    """A service whose scheduler lives."""
    now = datetime.now(UTC)
    insert_run(scored_database, "retrain", "succeeded", finished_at=now)
    insert_schedule(scored_database, "score", NOW - timedelta(days=400), now)
    return scored_database


def _next_day(database: Database) -> None:
    """As if what was left today had been left yesterday; and a night."""
    yesterday = {"then": database.stored(NOW - timedelta(days=1))}
    database.execute("UPDATE monitoring SET recorded_at = :then", yesterday)
    insert_many(database, 1)
    ended = call(database, "score")
    assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)


def _left(database: Database) -> list[tuple[object, ...]]:
    return database.execute(
        f"SELECT state, rows, value < reference - allowed FROM monitoring WHERE figure = '{DECAY}'"
        " ORDER BY run_id"
    )


def test_a_fall_that_no_day_shows_is_told_everywhere_and_over_once_it_is_gone(
    well: Database,
) -> None:
    _live(well, keeps=0.45)
    _next_day(well)
    assert [(state, rows, bool(below)) for state, rows, below in _left(well)] == [
        ("alert", NEWEST * A_WEEK, True)
    ]
    told = f"{DECAY}: of two patients, one with outcome 1 and one without, the predictions gave"
    assert told in " ".join(call(well, "status", COLUMNS="400").stdout.split())
    assert told in json.loads(call(well, "health", "--json").stdout)["alarms"][0]
    assert call(well, "health").exit_code == 0
    (condition,) = [
        each
        for each in the_json(call(well, "alert", "--dry-run", "--json"))["conditions"]
        if each["name"] == DECAY
    ]
    assert f"{NEWEST * A_WEEK:,} rows have an outcome" in condition["what"]
    assert "python -m jobs.report" in condition["advice"]
    assert DECAY in alarms(well.engine)
    # Once the outcomes fit again.
    well.execute("UPDATE patients SET outcome = NULL WHERE id >= 10000")
    well.execute("DELETE FROM predictions WHERE patient_id >= 10000")
    well.execute("DELETE FROM patients WHERE id >= 10000")
    _live(well, keeps=1.0)
    _next_day(well)
    assert [state for state, *_ in _left(well)] == ["alert", "usual"]
    assert DECAY not in call(well, "health").stdout
    assert DECAY not in alarms(well.engine)


def test_half_a_year_must_have_gone_by(well: Database) -> None:
    _live(well, keeps=0.45)
    young = {"then": well.stored(NOW - timedelta(weeks=24))}
    well.execute("DELETE FROM patients WHERE labelled_at < :then AND id >= 10000", young)
    _next_day(well)
    assert _left(well) == []
