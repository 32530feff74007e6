"""Clinics whose outcomes come late, or not all: what is learned, shown and told there. A row counts
in the day and the week in which its horizon ends."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from pima.core.rows.history import Split
from pima.settings.reading import SHIPPED_FILE, declared, read_settings
from pima.store.engine import writing
from pima.train.retraining import read_history
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.declared import configuration, redeclared
from tests.support.scrapes import alarms, scrape
from tests.support.settled import NOW, ago
from tests.support.shipped import SOUND

HORIZON = 30
_WAITS = SHIPPED_FILE.read_text().replace("meaning =", f'horizon = "{HORIZON} days"\nmeaning =', 1)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
Known = Callable[[datetime, int, int], datetime | None]
"""When an outcome is known, by the moment at which its horizon ends and the row's number."""


def at_once(over: datetime, *_: int) -> datetime:
    return over


class Clinic:
    """Twenty visits a day, of which seven have the outcome, as predicted. The days are those on
    which horizons end."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.declare()

    def declare(self, more: str = "") -> None:
        waits = _WAITS.replace("meaning =", f"{more}meaning =", 1)
        redeclared(self.database, self.folder, waits)
        self.config = configuration(self.folder, waits)

    def live(self, days: range, known: Known = at_once, a_day: int = 20) -> None:
        """Rows whose horizon ended so many days ago, at noon."""
        rows = []
        for day in days:
            over = MIDNIGHT - timedelta(days=day, hours=12)
            for n in range(a_day):
                outcome = int(n < 7)
                at = known(over, outcome, n)
                rows.append((over - timedelta(days=HORIZON), outcome, at, day * a_day + n))
        stored = self.database.stored
        names = ", ".join(SOUND)
        with writing(self.database.engine) as connection:
            first = (
                int(connection.scalar(text("SELECT coalesce(max(id), 0) FROM patients")) or 0) + 1
            )
            connection.execute(
                text(f"""INSERT INTO patients (id, {names}, index_at)
                VALUES (:id, {", ".join(f":{each}" for each in names.split(", "))}, :index)"""),
                [
                    SOUND
                    | {"id": first + place, "index": stored(index)}
                    | {"glucose": 80 + 60 * outcome + number % 50, "bmi": 20 + number / 400}
                    for place, (index, outcome, _, number) in enumerate(rows)
                ],
            )
            connection.execute(
                text("""INSERT INTO predictions (patient_id, patient_version, model_version,
                    run_id, probability, predicted_class, threshold, scored_at)
                SELECT id, version, 1, 1, :p, :class, 0.5, :at FROM patients WHERE id = :id"""),
                [
                    {
                        "id": first + place,
                        "p": 0.45 if outcome else 0.3,
                        "class": outcome,
                        "at": stored(index + timedelta(hours=2)),
                    }
                    for place, (index, outcome, *_) in enumerate(rows)
                ],
            )
            connection.execute(text("DELETE FROM scoring_queue"))
            came = [
                {"id": first + place, "outcome": outcome, "at": stored(at)}
                for place, (_, outcome, at, _) in enumerate(rows)
                if at is not None and at <= NOW
            ]
            connection.execute(
                text("UPDATE patients SET outcome = :outcome, labelled_at = :at WHERE id = :id"),
                came,
            )

    def run(self, job: str, *arguments: str, code: int = 0, **environ: str) -> Any:
        ended = call(self.database, job, *arguments, "--config", self.config, **environ)
        assert ended.exit_code == code, ended
        return ended

    def night(self) -> None:
        """An alarm is of versions that still predict."""
        insert_patients(self.database, 1, 900_000, index_at=self.database.stored(NOW))
        self.run("score")

    def status(self) -> dict[str, Any]:
        return the_json(self.run("status", "--json"))

    def told(self) -> set[str]:
        told = json.loads(self.run("alert", "--dry-run", "--json").stdout)
        return {each["name"].partition(":")[0] for each in told["conditions"]}

    def history(self) -> Split:
        settings = read_settings(Path(self.config), {})
        read = read_history(self.database.engine, settings, declared(Path(self.config), settings))
        return read[0]


@pytest.fixture
def clinic(scored_database: Database, tmp_path: Path) -> Clinic:
    scored_database.execute("DELETE FROM patients")
    scored_database.execute("DELETE FROM predictions")
    scored_database.execute(
        "UPDATE promotions SET decided_at = :then", {"then": scored_database.stored(ago(300))}
    )
    return Clinic(scored_database, tmp_path)


def test_zeros_that_were_loaded_this_morning_ring_no_alarm(clinic: Clinic) -> None:
    def zeros_now(over: datetime, outcome: int, _: int) -> datetime:
        return over if outcome or over < ago(13) else NOW

    clinic.live(range(1, 60), zeros_now)
    clinic.night()
    assert clinic.told() <= {"champion_changed"}
    assert clinic.status()["standing"]["figures"]["observed_expected"]["value"] == pytest.approx(
        0.99, abs=0.02
    )


def quarter(over: datetime, outcome: int, _: int) -> datetime | None:
    """Ones at once, zeros on the last day of the quarter, which has not come for the newest."""
    last_days = (each for each in (ago(141), ago(50)) if over < each)
    return over if outcome else next(last_days, None)


def test_a_quarter_that_lacks_its_zeros_is_in_nothing(clinic: Clinic, each_fit_once: None) -> None:
    clinic.live(range(1, 200), quarter)
    history = clinic.history()
    learned = pd.concat([history.training, history.holdout])
    assert learned["outcome"].mean() == pytest.approx(0.35, abs=0.002)
    assert learned["Over"].max() < ago(50)
    # A zero is as recent as a one of its day, whenever it was noted.
    judged = the_json(clinic.run("retrain", "--dry-run", "--json"))
    is_recent = history.holdout["Over"] > NOW - timedelta(weeks=26)
    assert judged["test_set_rows"] == is_recent.sum() < len(is_recent)
    others = history.left_out["hardly_followed_up"]
    assert len(learned) + others == pytest.approx(20 * 150 + 7 * 49, abs=20)
    assert others == pytest.approx(7 * 49, abs=7 * 20)
    found = clinic.status()
    of_26_weeks = learned["Over"] >= MIDNIGHT - timedelta(weeks=26, days=NOW.weekday())
    assert found["realised"]["outcomes"] == pytest.approx(of_26_weeks.sum(), abs=5)
    assert found["standing"]["figures"]["observed_expected"]["value"] == pytest.approx(
        0.99, abs=0.02
    )
    assert [each["in_figures"] for each in found["follow_up"][:6]] == [False] * 6
    clinic.night()
    assert clinic.told() - {"champion_changed"} == {"followed_up_below_usual"}


def lost(over: datetime, outcome: int, number: int) -> datetime | None:
    """Half of the zeros never come."""
    return over if outcome or number % 2 else None


def test_where_zeros_never_come_nothing_is_learned_or_told_and_that_is_said(
    clinic: Clinic,
) -> None:
    clinic.live(range(1, 120), lost)
    ended = clinic.run("retrain", code=3)
    assert "Nothing can be learned: " in ended.stderr
    assert "of 2,380 rows whose horizon is over have an outcome" in ended.stderr
    assert "outcome.least_followed_up = 0.9 leaves out" in ended.stderr
    clinic.night()
    assert clinic.told() >= {"hardly_followed_up", "retrain_failed"}
    alarming = alarms(clinic.database.engine, clinic.config)
    assert {"hardly_followed_up", "retrain_failed"} <= alarming
    assert "outcome_more_frequent" not in alarming
    found = clinic.status()
    assert (found["standing"], found["realised"]["outcomes"]) == (None, 0)
    sentence = found["realised"]["none_counts"]
    assert sentence == (
        "1,666 outcomes of predictions have settled; none counts, since 70% of the rows of their "
        "weeks are followed up"
    )
    assert sentence in " ".join(clinic.run("status", COLUMNS="300").stdout.split())
    page = clinic.folder / "report.html"
    clinic.run("report", "--out", str(page))
    assert sentence in page.read_text()
    assert "No outcome has come after a prediction yet" not in page.read_text()


def test_a_clinic_may_ask_for_fewer_and_all_is_said_of_those_followed_up(
    clinic: Clinic, each_fit_once: None
) -> None:
    clinic.live(range(1, 120), lost)
    clinic.declare("least_followed_up = 0.6\n")
    told = clinic.run("retrain", "--dry-run").stdout
    assert "outcome.least_followed_up = 0.6 leaves out 0 (" in " ".join(told.split())
    clinic.night()
    assert clinic.told() <= {"champion_changed", "outcome_more_frequent"}
    found = clinic.status()
    assert found["realised"]["of_those_followed_up"]
    standing = found["standing"]
    assert standing["figures"]["observed_expected"]["value"] > 1.1
    assert standing["if_zero"] == pytest.approx(0.99, abs=0.02)
    shown = " ".join(clinic.run("status", COLUMNS="300").stdout.split())
    assert f"; {standing['if_zero']:.2f} if those without an outcome had 0" in shown
    assert "of those followed up" in shown
    card = clinic.run("models", "card", "1").stdout
    assert "These are figures of those followed up" in card
    assert f"; {standing['if_zero']:.2f} if those without an outcome had 0" in card
    clinic.database.execute(
        "UPDATE monitoring SET state = 'alert', value = 0.5, reference = 0.4 "
        "WHERE figure IN ('outcome_more_frequent', 'realised_ones_corrected')"
    )
    alarms = clinic.status()["alarms"]
    assert alarms
    for alarm in alarms:
        assert alarm.endswith("; these are rows of those followed up, of whom 60% are enough")


def test_a_week_that_hardly_has_outcomes_is_told_the_next_night(clinic: Clinic) -> None:
    def last_ones(over: datetime, *_: int) -> datetime | None:
        return over if over < ago(22) else None

    clinic.live(range(1, 120), last_ones)
    clinic.night()
    figures = clinic.database.execute("SELECT figure FROM monitoring WHERE figure LIKE 'realised%'")
    assert figures == [("realised_week_followed_up",)]
    shares = scrape(clinic.database.engine, clinic.config)
    assert shares["pima_realised", "week_followed_up", "1", ""] == 0
    assert "followed_up_below_usual" in clinic.told()


def test_each_week_tells_of_its_own_rows_whenever_their_outcomes_were_noted(
    clinic: Clinic,
) -> None:
    def a_week_later(over: datetime, outcome: int, _: int) -> datetime:
        return over if outcome else over + timedelta(days=20)

    clinic.live(range(1, 60), a_week_later)
    page = clinic.folder / "report.html"
    clinic.run("report", "--out", str(page))
    weeks = page.read_text().partition("By week in which the horizon ended")[2]
    assert weeks.count('<td class="number">100 %</td>') == 0
    whole = [each for each in clinic.status()["realised_weeks"] if each["outcomes"] == 140]
    assert len(whole) >= 3


def test_where_everything_is_followed_up_history_and_split_are_those_of_before(
    clinic: Clinic,
) -> None:
    clinic.live(range(1, 120))
    history = clinic.history()
    assert history.left_out == {}
    assert history.fingerprint == (
        "c0b88fbacc22ebaa6fc4047038d7074a2b7fa365d29f724e8031624e42403236"
    )
