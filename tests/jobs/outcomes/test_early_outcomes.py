"""Three weeks of a clinic where an outcome 1 is written when it happens and a 0 two weeks after
discharge. The truth is known: outcomes are drawn by the champion's own probabilities."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pima.settings.reading import SHIPPED_FILE
from tests.support.databases import Database, call, insert_patients
from tests.support.declared import configuration, waiting
from tests.support.settled import NOW, ago

HORIZON_DAYS = 14
NIGHTS = 21
VISITS_A_DAY = 15


@dataclass(frozen=True)
class Visit:
    """A visit, and what becomes of it."""

    patient_id: int
    index: datetime
    probability: float
    outcome: int
    known: datetime


class _EarlyClinic:
    """Days are played one after the other, in the past: what a command writes now is moved to its
    night."""

    def __init__(self, database: Database, config: str) -> None:
        self.database = database
        self._config = config
        self.visits: list[Visit] = []
        self._draw = np.random.default_rng(3)

    def discharge(self, index: datetime) -> list[int]:
        return [self._discharge_one(index) for _ in range(VISITS_A_DAY)]

    def score(self, night: datetime) -> None:
        self.run("score")
        for table, column in (("predictions", "scored_at"), ("runs", "started_at")):
            self.database.execute(
                f"UPDATE {table} SET {column} = :night WHERE {column} > :now",
                {"night": self.database.stored(night), "now": self.database.stored(NOW)},
            )

    def run(self, job: str, *arguments: str) -> str:
        ended = call(self.database, job, "--config", self._config, *arguments)
        assert ended.exit_code == 0, ended.stderr
        return ended.stdout

    def draw_outcomes(self, patients: list[int], index: datetime) -> None:
        """By what was predicted; a 1 happens on some day of the horizon."""
        for patient_id in patients:
            probability = self.database.value(
                f"SELECT probability FROM predictions WHERE patient_id = {patient_id}"
            )
            outcome = int(self._draw.random() < probability)
            days = int(self._draw.integers(1, HORIZON_DAYS)) if outcome else HORIZON_DAYS
            known = index + timedelta(days=days)
            self.visits.append(Visit(patient_id, index, probability, outcome, known))

    def write_outcomes(self) -> None:
        """Those that are known by now."""
        for each in self.visits:
            if each.known <= NOW:
                self.database.execute(
                    "UPDATE patients SET outcome = :outcome, labelled_at = :known WHERE id = :id",
                    {
                        "outcome": each.outcome,
                        "known": self.database.stored(each.known),
                        "id": each.patient_id,
                    },
                )

    def _discharge_one(self, index: datetime) -> int:
        measured = {
            "glucose": int(self._draw.integers(90, 190)),
            "bmi": round(self._draw.uniform(22, 44), 1),
            "age": int(self._draw.integers(21, 65)),
        }
        found = insert_patients(self.database, 1, index_at=self.database.stored(index), **measured)
        return found[0]


@pytest.fixture
def lived(scored_database: Database, tmp_path: Path) -> _EarlyClinic:
    horizon = f"{HORIZON_DAYS} days"
    waiting(scored_database, horizon)
    waits = SHIPPED_FILE.read_text().replace("meaning =", f'horizon = "{horizon}"\nmeaning =', 1)
    found = _EarlyClinic(scored_database, configuration(tmp_path, waits))
    before = ago(NIGHTS + 3.5)
    waited = found.discharge(before)
    for night in range(NIGHTS, 0, -1):
        index = ago(night + 0.5)
        patients = found.discharge(index)
        found.score(ago(night))
        if waited:
            found.draw_outcomes(waited, before)
            waited = []
        found.draw_outcomes(patients, index)
    found.write_outcomes()
    return found


MONDAY = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=NOW.weekday())


def test_what_is_shown_is_what_all_outcomes_will_say(lived: _EarlyClinic) -> None:
    settled = [
        each
        for each in lived.visits[VISITS_A_DAY:]
        if each.index + timedelta(days=HORIZON_DAYS) < MONDAY
    ]
    known = [each for each in lived.visits if each.known <= NOW]
    found = json.loads(lived.run("status", "--json"))
    standing = found["standing"]
    assert (standing["outcomes"], standing["positive"]) == (
        len(settled),
        sum(each.outcome for each in settled),
    )
    shown = standing["figures"]["observed_expected"]
    assert shown["value"] == pytest.approx(_ratio(settled))
    assert shown["low"] < 1 < shown["high"]
    # Counted as soon as they are known, the ones would come before their zeros.
    assert _ratio(known) > shown["value"] + 0.1
    # Who waited for the first night was predicted without those whose outcome had come.
    waited = [each for each in lived.visits[:VISITS_A_DAY] if each.known > ago(NIGHTS)]
    assert found["realised"]["late"] == len(waited) < VISITS_A_DAY

    told = json.loads(lived.run("alert", "--dry-run", "--json"))
    names = {each["name"].partition(":")[0] for each in told["conditions"]}
    # Nobody has retrained in these three weeks.
    assert names <= {"champion_changed", "retrain_not_succeeding"}


def _ratio(visits: list[Visit]) -> float:
    return sum(each.outcome for each in visits) / sum(each.probability for each in visits)
