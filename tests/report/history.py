"""Half a year of one clinic in a SQLite file, by the commands themselves: seven nights and a
retraining a week.

The commands run now; after each of them what it wrote is moved to the moment at which it would have
run.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import text

from benches.gate.population import Truth, draw_measurements, outcome_probability
from pima.settings.reading import SHIPPED
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import Database, call, insert_patients, without_triggers
from tests.support.shipped import HOLDOUT

WEEKS = 26
FIRST_ROWS = 400
ROWS_A_NIGHT = 14
_DAYS_TO_AN_OUTCOME = 10
_TIMES = {
    "patients": ("recorded_at", "updated_at", "labelled_at"),
    "scoring_queue": ("enqueued_at",),
    "predictions": ("scored_at",),
    "rejections": ("rejected_at",),
    "runs": ("started_at", "heartbeat_at", "finished_at"),
    "promotions": ("decided_at",),
    "model_versions": ("created_at", "first_labelled_at", "last_labelled_at"),
}


def half_a_year(folder: Path) -> Database:
    """The clinic's database as it is now, after 26 weeks."""
    clinic = _Clinic(new_clinic(folder / "clinic.db"))
    clinic.begin()
    for _ in range(WEEKS):
        clinic.live_a_week()
    return clinic.database


def new_clinic(path: Path) -> Database:
    """One that has no patient yet."""
    url = f"sqlite:///{path}"
    engine = make_engine(url, DatabaseSettings())
    migrate(engine, HOLDOUT)
    return Database("sqlite", url, engine)


class _Clinic:
    """The clinic, and the moment at which it is."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._draw = np.random.default_rng(26)
        self._now = datetime.now(UTC) - timedelta(weeks=WEEKS)
        self._unknown: list[tuple[datetime, int, int]] = []

    def begin(self) -> None:
        """A history with outcomes, and the first champion."""
        with self._moved():
            for measurements, outcome in self._rows(FIRST_ROWS):
                insert_patients(self.database, 1, outcome=outcome, **measurements)
        self._run("retrain")

    def live_a_week(self) -> None:
        """New patients each day, scored at night; outcomes come ten days later; on the seventh day
        a retraining."""
        for day in range(7):
            self._now += timedelta(days=1)
            with self._moved():
                self._admit()
                self._learn_outcomes()
            if (day, int(self._draw.integers(40))) != (3, 0):  # now and then nobody runs it
                self._run("score")
        self._run("retrain")

    def _admit(self) -> None:
        for measurements, outcome in self._rows(int(self._draw.poisson(ROWS_A_NIGHT))):
            mistyped = {"bmi": 10 * measurements["bmi"]} if self._draw.random() < 0.03 else {}
            (patient_id,) = insert_patients(self.database, 1, **(measurements | mistyped))
            self._unknown.append(
                (self._now + timedelta(days=_DAYS_TO_AN_OUTCOME), patient_id, outcome)
            )

    def _learn_outcomes(self) -> None:
        for _, patient_id, outcome in (each for each in self._unknown if each[0] <= self._now):
            said = {"outcome": outcome, "id": patient_id}
            self.database.execute("UPDATE patients SET outcome = :outcome WHERE id = :id", said)
        self._unknown = [each for each in self._unknown if each[0] > self._now]

    def _rows(self, rows: int) -> Iterator[tuple[dict[str, float], int]]:
        measurements = draw_measurements(self._draw, rows)
        outcomes = self._draw.random(rows) < outcome_probability(measurements, Truth.USUAL)
        for values, outcome in zip(measurements.tolist(), outcomes.tolist(), strict=True):
            yield dict(zip(SHIPPED.names, values, strict=True)), int(outcome)

    def _run(self, job: str) -> None:
        with self._moved():
            ended = call(self.database, job)
            assert ended.exit_code == 0, ended.stderr

    @contextmanager
    def _moved(self) -> Iterator[None]:
        """What is written within happens at the clinic's moment."""
        begun = datetime.now(UTC) - timedelta(milliseconds=5)
        yield
        back = math.floor((self._now - begun).total_seconds())
        with without_triggers(self.database), writing(self.database.engine) as connection:
            for table, columns in _TIMES.items():
                for column in columns:
                    moved = f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{back} seconds')"
                    statement = f"UPDATE {table} SET {column} = {moved} WHERE {column} >= :begun"
                    connection.execute(text(statement), {"begun": self.database.stored(begun)})
