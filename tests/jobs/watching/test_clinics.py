"""Two clinics that live some nights: patients come from a ward that is not declared, and from one
that is, but of which no model has learned. Both are told within three nights, and in the same
clinics without such wards nothing is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from pima.settings.reading import read_declaration
from pima.settings.sections import DatabaseSettings
from pima.store.database import Timestamp
from pima.store.engine import writing
from pima.store.schema import migrate
from pima.store.tables import metadata
from pima.store.urls import make_engine
from tests.support.databases import Database, call, sqlite_from, without_triggers
from tests.support.declared import configuration
from tests.support.shipped import HOLDOUT
from tests.support.trained import trained_once

DECLARED = """
[outcome]
name = "readmitted"

[[feature]]
name = "lab"
low = 0
high = 40

[[feature]]
name = "ward"
kind = "category"
codes = { 1 = "north", 2 = "south", 3 = "day clinic" }
"""
UNDECLARED, NEVER_SEEN = 9, 3
NIGHTS = 3
PATIENTS = 50
"""A night."""
IN_NEW_WARD = 6
"""Of them, 12 %."""


class Clinic:
    """A service whose model has learned from 600 patients of two wards."""

    def __init__(self, database: Database, folder: Path, seed: int) -> None:
        self.database = database
        self.config = configuration(folder, DECLARED)
        self.draw = np.random.default_rng(seed)

    def run(self, job: str, *arguments: str) -> str:
        ended = call(self.database, job, *arguments, "--config", self.config)
        assert ended.exit_code == 0, ended.stderr
        assert "monitoring is incomplete" not in ended.stderr
        return ended.stdout

    def come(self, wards: np.ndarray) -> None:
        """Patients come, each to a ward."""
        with writing(self.database.engine) as connection:
            connection.execute(
                text("INSERT INTO patients (lab, ward) VALUES (:lab, :ward)"),
                [{"lab": self._lab(ward), "ward": int(ward)} for ward in wards],
            )

    def night(self, new_ward: int | None) -> None:
        """A day passes, at whose end patients have come, some to a new ward, and are scored."""
        self.a_day_goes_by()
        wards = self.draw.choice([1, 2], PATIENTS)
        if new_ward is not None:
            wards[self.draw.choice(PATIENTS, IN_NEW_WARD, replace=False)] = new_ward
        self.come(wards)
        self.run("score")

    def let_outcomes_come(self) -> None:
        """In the ward that no model knows twice as many have the outcome as elsewhere."""
        rows = self.database.execute("SELECT id, lab, ward FROM patients WHERE outcome IS NULL")
        for patient_id, lab, ward in rows:
            risk = _risk(lab) * (2 if ward == NEVER_SEEN else 1)
            self.database.execute(
                "UPDATE patients SET outcome = :outcome WHERE id = :id",
                {"outcome": int(self.draw.random() < risk), "id": patient_id},
            )

    def a_day_goes_by(self) -> None:
        with without_triggers(self.database), writing(self.database.engine) as connection:
            for table in metadata.tables.values():
                for column in table.columns:
                    if isinstance(column.type, Timestamp):
                        earlier = f"strftime('%Y-%m-%dT%H:%M:%fZ', {column.name}, '-1 day')"
                        update = f"UPDATE {table.name} SET {column.name} = {earlier}"
                        connection.execute(text(update))

    def alarms(self) -> list[str]:
        """Of the model, as status shows them."""
        return list(json.loads(self.run("status", "--json"))["alarms"])

    def in_groups(self) -> list[str]:
        """What status says of groups and codes."""
        return list(json.loads(self.run("status", "--json"))["in_groups"])

    def without_prediction(self) -> str:
        """What health says of patients without one."""
        ended = call(self.database, "health", "--config", self.config)
        found = re.search(r"rows_without_prediction: ([^;]*)", ended.stderr)
        return found[1].strip() if found else ""

    def _lab(self, ward: int) -> float:
        highest = 20 if ward == NEVER_SEEN else 40
        return round(float(self.draw.uniform(0, highest)), 1)


def _risk(lab: float) -> float:
    return float(0.9 / (1 + np.exp((20 - lab) / 4)))


def _learn(path: Path) -> None:
    folder = path.parent
    config = configuration(folder, DECLARED)
    engine = make_engine(f"sqlite:///{path}", DatabaseSettings())
    migrate(engine, HOLDOUT, declared=read_declaration(folder / "features.toml"))
    draw = np.random.default_rng(7)
    lines = ["lab,ward,readmitted"]
    for _ in range(600):
        lab = round(float(draw.uniform(0, 40)), 1)
        lines.append(f"{lab},{draw.choice([1, 2])},{int(draw.random() < _risk(lab))}")
    file = folder / "history.csv"
    file.write_text("\n".join(lines) + "\n")
    database = Database("sqlite", f"sqlite:///{path}", engine)
    for job, *arguments in (("load", str(file)), ("retrain",)):
        ended = call(database, job, "--config", config, *arguments)
        assert ended.exit_code == 0, ended.stderr
    engine.dispose()


SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.at_length) for seed in (2, 3, 4, 5))]


@pytest.fixture(params=SEEDS)
def clinic(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    without_reports: None,
) -> Iterator[Clinic]:
    trained = trained_once(tmp_path_factory, "two-wards", _learn)
    for database in sqlite_from(trained, tmp_path):
        yield Clinic(database, tmp_path, request.param)


def test_patients_of_an_undeclared_ward_are_told_within_three_nights(clinic: Clinic) -> None:
    for _ in range(NIGHTS):
        clinic.night(UNDECLARED)
    told = clinic.without_prediction()
    assert told == (
        "18 of the 150 new rows have no prediction (12.0%): 18 rejected by scoring (unknown code: "
        "ward)"
    )
    # Once they are right and scored, it is over.
    clinic.database.execute(f"UPDATE patients SET ward = 1 WHERE ward = {UNDECLARED}")
    clinic.run("score")
    assert clinic.without_prediction() == ""


def test_a_ward_that_no_model_has_learned_from_is_told_on_its_first_night(clinic: Clinic) -> None:
    clinic.night(NEVER_SEEN)
    alarm = (
        f"unseen_code:ward: day clinic: {IN_NEW_WARD} rows of the last nights came with ward: day "
        "clinic, which no training row of version 1 had: nothing vouches for their probabilities"
    )
    assert clinic.alarms() == [alarm]
    assert clinic.without_prediction() == ""
    few = "Of rows with ward: day clinic, fewer than 10 outcomes are expected so far."
    assert clinic.in_groups() == [few]
    clinic.come(np.full(150, NEVER_SEEN))
    clinic.run("score")
    clinic.let_outcomes_come()
    (told,) = clinic.in_groups()
    ratio = re.fullmatch(
        r"Of rows with ward: day clinic, which the champion has not learned from, observed / "
        r"expected is (\S+) \(\S+ to \S+\)\.",
        told,
    )
    assert ratio is not None, told
    assert 1.3 < float(ratio[1]) < 2.8


def test_nothing_is_told_in_a_clinic_without_such_wards(clinic: Clinic) -> None:
    for _ in range(2 * NIGHTS):
        clinic.night(None)
        assert (clinic.without_prediction(), clinic.alarms()) == ("", [])
