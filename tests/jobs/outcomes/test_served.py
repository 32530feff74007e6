"""What stands on top: all predictions as they were served, by whichever version, at the thresholds
then in use. It is right at the time of asking, whatever was counted last night."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sqlalchemy import text

from pima.settings.reading import SHIPPED_FILE
from pima.store.engine import reading, writing
from pima.store.rows.served_days import count_served_days
from pima.store.rows.settled import settled_outcomes
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.declared import configuration, redeclared
from tests.support.settled import NOW
from tests.support.shipped import SOUND

MONDAY = (NOW - timedelta(days=NOW.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
_WAITS = SHIPPED_FILE.read_text().replace("meaning =", 'horizon = "30 days"\nmeaning =', 1)
COUNTED = "SELECT count(*) FROM served_days WHERE model_version > 0"


class Clinic:
    """Ten visits a day for weeks, of which version 1 predicted those of the first weeks, and
    version 2, with another threshold, the others."""

    def __init__(self, database: Database, folder: Path, horizon: int) -> None:
        self.database = database
        self.horizon = timedelta(days=horizon)
        self.arguments: list[str] = []
        database.execute("DELETE FROM patients")
        database.execute("DELETE FROM predictions")
        if horizon:
            redeclared(database, folder, _WAITS)
            self.arguments = ["--config", str(configuration(folder, _WAITS))]

    def live(self, weeks: range, seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        first = int(self.database.value("SELECT coalesce(max(id), 0) FROM patients")) + 1
        rows = []
        for week in weeks:
            for n in range(70):
                over = MONDAY - timedelta(weeks=week) + timedelta(hours=2.4 * n + 1)
                p = float(draw.beta(2, 4))
                version, threshold = (1, 0.5) if week > 3 else (2, 0.3)
                rows.append(
                    {
                        "id": first + len(rows),
                        "index": self.database.stored(over - self.horizon),
                        "over": self.database.stored(over),
                        "scored": self.database.stored(over - self.horizon - timedelta(minutes=9)),
                        "outcome": int(draw.random() < p),
                        "p": p,
                        "version": version,
                        "threshold": threshold,
                        "class": int(p >= threshold),
                    }
                )
        if self.horizon:
            for row in rows:
                row["scored"] = row["index"]
        names = ", ".join(SOUND)
        values = ", ".join(map(str, SOUND.values()))
        index = ":index" if self.horizon else "NULL"
        with writing(self.database.engine) as connection:
            connection.execute(
                text(
                    f"INSERT INTO patients (id, {names}, index_at) VALUES (:id, {values}, {index})"
                ),
                rows,
            )
            connection.execute(
                text("""INSERT INTO predictions (patient_id, patient_version, model_version, run_id,
                    probability, predicted_class, threshold, scored_at)
                SELECT id, version, :version, 1, :p, :class, :threshold, :scored FROM patients
                WHERE id = :id"""),
                rows,
            )
            connection.execute(text("DELETE FROM scoring_queue"))
            connection.execute(
                text("UPDATE patients SET outcome = :outcome, labelled_at = :over WHERE id = :id"),
                rows,
            )

    def standing(self) -> dict[str, Any]:
        return the_json(call(self.database, "status", "--json", *self.arguments))["standing"]

    def by_rows(self) -> dict[str, float]:
        """The same of the rows themselves."""
        found = self.database.execute(
            "SELECT probability, predicted_class, outcome FROM predictions JOIN patients "
            "ON id = patient_id AND scored_at <= labelled_at "
            f"WHERE {'index_at' if self.horizon else 'labelled_at'} < :monday",
            {"monday": self.database.stored(MONDAY)},
        )
        p, called, outcome = np.array(found).T
        return {
            "outcomes": len(p),
            "positive": outcome.sum(),
            "auroc": roc_auc_score(outcome, p),
            "observed_expected": outcome.sum() / p.sum(),
            "sensitivity": called[outcome == 1].mean(),
            "positive_predictive_value": outcome[called == 1].mean(),
            "negative_predictive_value": 1 - outcome[called == 0].mean(),
        }


def require_equal(clinic: Clinic) -> dict[str, Any]:
    told = clinic.standing()
    for name, value in clinic.by_rows().items():
        found = told[name] if name in told else told["figures"][name]["value"]
        assert found == pytest.approx(value, abs=2e-3 if name == "auroc" else 1e-9), name
    return told


@pytest.mark.parametrize("horizon", [30, 0])
def test_on_top_stand_all_versions_as_they_were_served_right_at_the_time_of_asking(
    scored_database: Database, tmp_path: Path, horizon: int
) -> None:
    clinic = Clinic(scored_database, tmp_path, horizon)
    clinic.live(range(3, 11))
    require_equal(clinic)  # before anything was counted
    insert_patients(scored_database, 1, 900_000)
    assert call(scored_database, "score", *clinic.arguments).exit_code == 0
    counted = scored_database.value(COUNTED)
    assert counted > 100
    told = require_equal(clinic)
    assert [(each["version"], each["outcomes"]) for each in told["by_version"]] == [
        (2, 70),
        (1, 490),
    ]
    assert told["lately"]["outcomes"] == 420
    assert "disagree" not in call(scored_database, "status", *clinic.arguments).stdout
    # Outcomes that came since.
    clinic.live(range(1, 2), seed=2)
    require_equal(clinic)
    assert scored_database.value(COUNTED) == counted
    scored_database.execute("UPDATE patients SET outcome = 1 - outcome WHERE id % 50 = 0")
    require_equal(clinic)
    same_day = "id BETWEEN 10 AND 12"
    scored_database.execute(f"UPDATE patients SET outcome = NULL WHERE {same_day}")
    require_equal(clinic)


@pytest.mark.parametrize("horizon", [30, 0])
def test_what_was_counted_stays_and_days_without_a_change_are_not_counted_anew(
    scored_database: Database, tmp_path: Path, horizon: int
) -> None:
    clinic = Clinic(scored_database, tmp_path, horizon)
    clinic.live(range(1, 3))
    insert_patients(scored_database, 1, 900_000)
    assert call(scored_database, "score", *clinic.arguments).exit_code == 0
    before = clinic.standing()
    gone = scored_database.value("SELECT min(patient_id) FROM predictions WHERE probability > 0.4")
    assert (
        call(scored_database, "forget", str(gone), "--reason", "asked", *clinic.arguments).exit_code
        == 0
    )
    assert clinic.standing() == before
    # The day of one row that changed is, without the one that is gone.
    same_day = f"id IN ({gone + 1}, {gone - 1})"
    scored_database.execute(f"UPDATE patients SET outcome = 1 - outcome WHERE {same_day}")
    # Without a horizon, they became known now.
    left = 1 if horizon else 3
    assert clinic.standing()["outcomes"] == before["outcomes"] - left
    if horizon:
        # A labelled row that loses its index is of no day any more.
        scored_database.execute(f"UPDATE patients SET index_at = NULL WHERE id = {gone + 1}")
        assert clinic.standing()["outcomes"] == before["outcomes"] - 2


# PostgreSQL's plan goes by the size; the page on speed has its figures.
@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
@pytest.mark.parametrize("horizon", [30, 0])
def test_figures_go_by_what_is_new_however_long_the_history(
    scored_database: Database, tmp_path: Path, horizon: int
) -> None:
    clinic = Clinic(scored_database, tmp_path, horizon)
    took = []
    for weeks in (range(1, 5), range(45, 105)):
        clinic.live(weeks)
        with writing(scored_database.engine) as connection:
            count_served_days(connection)
        with reading(scored_database.engine) as connection:
            steps: list[int] = []
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.set_progress_handler(lambda steps=steps: steps.append(1), 100)
            settled_outcomes(connection, 100)
            driver.set_progress_handler(None, 0)
            took.append(len(steps))
    assert took[1] < 1.5 * took[0], took


def test_bins_are_counted_of_the_weeks_of_which_they_are_read(
    scored_database: Database, tmp_path: Path
) -> None:
    clinic = Clinic(scored_database, tmp_path, 30)
    clinic.live(range(38, 44))
    with writing(scored_database.engine) as connection:
        count_served_days(connection)
    days = "SELECT count(DISTINCT day) FROM served_days WHERE model_version"
    assert scored_database.value(f"{days} = 0") == 42
    assert scored_database.value(f"{days} > 0") < 21


def test_until_there_is_a_champion_a_retraining_counts_even_one_that_is_refused(
    database: Database, tmp_path: Path
) -> None:
    redeclared(database, tmp_path, _WAITS)
    index, known = (database.stored(NOW - timedelta(days=days)) for days in (40, 20))
    insert_patients(database, 3, index_at=index, outcome=1, labelled_at=known)
    refused = ["retrain", "--config", str(configuration(tmp_path, _WAITS))]
    assert call(database, *refused, "--dry-run").exit_code == 3
    counted = "SELECT sum(outcomes) FROM served_days"
    assert database.value(counted) is None
    assert call(database, *refused).exit_code == 3
    assert database.value(counted) == 3
