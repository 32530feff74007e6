"""A night on which every job succeeds while most of the new rows get no prediction: health, alerts,
status, metrics and the report say so alike, until the rows are mended."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.alert_receiver import AlertReceiver
from tests.support.clinic import COLUMNS, URL, Clinic, toml
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    Ended,
    call,
    insert_patients,
    the_json,
)
from tests.support.ledger import document
from tests.support.scrapes import scrape
from tests.support.trained import install_models

# What is asked of the database, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
CONDITION = "rows_without_prediction"
WRONG_UNIT = {"glucose_mmol": 90}
"""Of a visit: milligrams where millimoles are declared."""


@dataclass
class Service:
    """A clinic with visits in pima's own database, and what a person does and sees."""

    database: Database
    clinic: Clinic

    def call(self, job: str, *arguments: str, **environ: str) -> Ended:
        return call(
            self.database,
            job,
            "--config",
            self.clinic.config,
            *arguments,
            **({URL: self.clinic.url} | environ),
        )

    def score(self, *arguments: str, **environ: str) -> None:
        ended = self.call("score", *arguments, **environ)
        assert ended.exit_code == 0, ended.stderr
        assert "monitoring is incomplete" not in ended.stderr

    def night(self, *arguments: str) -> dict[str, Any]:
        """What became of the clinic's rows."""
        pulled = self.clinic.pulled(self.database, *arguments)
        self.score()
        return pulled

    def told(self, **environ: str) -> str:
        """What health says of it; empty where it says nothing."""
        complaints = self.call("health", **environ).stderr.split("; ")
        (found,) = [each.strip() for each in complaints if CONDITION in each] or [""]
        return found.partition(f"{CONDITION}: ")[2]

    def shown(self) -> dict[str, Any]:
        found = the_json(self.call("status", "--json"))["new_rows"]
        assert isinstance(found, dict)
        return found

    def figures(self) -> tuple[int, int]:
        """How many rows there are, and how many of them have no prediction."""
        shown = self.shown()
        return shown["rows"], shown["without_prediction"]

    def metrics(self) -> dict[str, float]:
        found = scrape(self.database.engine, self.clinic.config)
        told = {name: value for (name, *_), value in found.items() if "pima_new_rows" in name}
        return told | {CONDITION: found.get(("pima_alarm", CONDITION, ""), 0)}

    def correct(self) -> None:
        """The clinic mends the rows that have the wrong unit."""
        self.clinic.execute("UPDATE visits SET glucose_mmol = 5 WHERE glucose_mmol = 90")


@pytest.fixture
def service(database: Database, own_clinic: Clinic, trained: Path) -> Service:
    """After a good night of 70 visits."""
    install_models(database, trained)
    found = Service(database, own_clinic)
    own_clinic.insert(70)
    found.night()
    assert (found.told(), found.figures()) == ("", (70, 0))
    assert found.shown()["what"] == "none of the 70 new rows lacks a prediction"
    return found


def test_rows_that_wait_are_said_beside_those_that_have_a_prediction(service: Service) -> None:
    service.clinic.insert(3, seed=9)
    service.clinic.pulled(service.database)
    none = "none of the 70 new rows lacks a prediction; 3 rows waiting for the next run"
    assert service.shown()["what"] == none
    assert none in " ".join(service.call("status", COLUMNS="300").stdout.split())


def _all_say(service: Service, listener: AlertReceiver, what: str) -> None:
    """The same sentence everywhere, with the moment of the last good night."""
    told = service.told()
    since = re.search(r"since (\d{4}-\d\d-\d\d \d\d:\d\d UTC)", told)
    assert since is not None, told
    assert told == what.format(since=since[1])
    shown = service.shown()
    assert (shown["what"], shown["too_many"]) == (told, True)
    assert f"ALERT: {told}" in " ".join(service.call("status", COLUMNS="300").stdout.split())
    assert service.metrics() == {
        "pima_new_rows": shown["rows"],
        "pima_new_rows_without_prediction": shown["without_prediction"],
        CONDITION: 1,
    }
    assert service.call("alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
    (message,) = [each["message"] for each in listener.got if each["title"].endswith(CONDITION)]
    assert message.startswith(f"{told}.\nSeen since ")
    assert "`python -m jobs.status`" in message.splitlines()[-3]


def _all_are_quiet(service: Service, listener: AlertReceiver) -> None:
    assert service.told() == ""
    assert not service.shown()["too_many"]
    assert "ALERT" not in service.call("status").stdout
    assert service.metrics()[CONDITION] == 0
    assert service.call("alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
    assert [title for title in listener.titles if CONDITION in title] == [
        CONDITION,
        f"{CONDITION} is over",
    ]


@on_postgresql
def test_a_night_whose_pull_rejects_every_new_row(
    service: Service, listener: AlertReceiver
) -> None:
    service.clinic.insert(60, seed=2, **WRONG_UNIT)
    assert service.night()["rejected"] == 60
    what = (
        "60 of the 60 rows that were new or changed since {since} have no prediction (100.0%): "
        "60 rejected by the pull of clinic (out of range: glucose)"
    )
    _all_say(service, listener, what)
    night = the_json(service.call("status", "--json"))["nights"][0]
    assert (night["predicted"], night["rejected"], night["rejected_by_pulls"]) == (0, 60, 60)
    screen = " ".join(service.call("status", COLUMNS="300").stdout.split())
    assert "0 predicted, 60 rejected (60 by pulls)" in screen
    assert "130 rows read, 60 rows rejected as they are there" in screen
    assert service.shown()["causes"] == [
        {"source": "clinic", "reason": "out_of_range", "column": "glucose", "rows": 60}
    ]
    service.night()  # an empty one mends nothing, and does not count them twice
    assert service.told().startswith("60 of the 60 rows")
    service.correct()
    service.night()
    _all_are_quiet(service, listener)
    assert service.figures() == (60, 0)


@on_sqlite
def test_a_night_whose_scoring_rejects_every_new_row(
    service: Service, listener: AlertReceiver, tmp_path: Path
) -> None:
    bad = insert_patients(service.database, 40, age=None) + insert_patients(
        service.database, 20, glucose=700
    )
    service.score()
    what = (
        "60 of the 60 rows that were new or changed since {since} have no prediction (100.0%): "
        "60 rejected by scoring (40 missing: age, 20 out of range: glucose)"
    )
    _all_say(service, listener, what)
    page = tmp_path / "report.html"
    assert service.call("report", "--out", str(page)).exit_code == 0
    nights = page.read_text().partition('<section id="nights"')[2].partition("</section>")[0]
    assert f"Too many rows have no prediction: {service.told()}." in nights
    service.score()
    assert service.told().startswith("60 of the 60 rows")
    service.database.execute(f"UPDATE patients SET age = 50, glucose = 100 WHERE id >= {bad[0]}")
    service.score()
    _all_are_quiet(service, listener)
    assert service.figures() == (60, 0)


def test_rows_that_have_their_version_and_no_entry_on_the_queue(service: Service) -> None:
    """As where one trigger alone was off; the ids of the others need not follow one another."""
    lost = []
    for n in range(60):
        insert_patients(service.database, 1)
        lost += insert_patients(service.database, 1)
        if n < 30:
            insert_patients(service.database, 1, outcome=1)
    service.database.execute(
        f"DELETE FROM scoring_queue WHERE patient_id IN ({', '.join(map(str, lost))})"
    )
    service.score()
    assert "60 of the 120 rows" in service.told()
    insert_patients(service.database, 20)
    service.score()  # they are not overlooked behind newer rows
    assert "60 of the 140 rows" in service.told()
    assert service.call("requeue").exit_code == 0
    service.score()
    assert (service.told(), service.figures()) == ("", (140, 0))
    service.score()
    assert service.figures() == (0, 0)


@on_sqlite
def test_new_labelled_rows_and_deleted_ones_lack_nothing(service: Service) -> None:
    insert_patients(service.database, 40, outcome=1)
    (first, *_) = insert_patients(service.database, 30)
    service.database.execute(f"DELETE FROM patients WHERE id < {first + 15} AND id >= {first}")
    service.score()
    assert service.figures() == (15, 0)


@on_sqlite
def test_a_source_that_has_bad_rows_every_night_is_told_of_new_ones_alone(service: Service) -> None:
    service.clinic.insert(15, seed=2, age=500, **WRONG_UNIT)
    service.clinic.insert(285, seed=3)
    service.night()
    assert (service.told(), service.figures()) == ("", (300, 15))  # a good night
    service.correct()  # and there is another fault
    for seed in (4, 5):
        service.clinic.insert(12, seed=seed)
        assert service.night()["rejected"] == 15
        assert (service.told(), service.figures()) == ("", (12, 0))
        # However many runs fail in between.
        failed = (
            "INSERT INTO runs (job, trigger, attempt, status, counts, host) VALUES ('score', "
            "'manual', 1, 'failed'"
        )
        for _ in range(21):
            service.database.execute(f"{failed}, '{{}}', 'here')")
    service.clinic.insert(12, seed=6, **WRONG_UNIT)
    assert service.night()["rejected"] == 27
    assert service.told().startswith("12 of the 12 rows")
    # All of them are mended, and then as many come anew as there were.
    service.correct()
    service.clinic.execute("UPDATE visits SET age = 50 WHERE age = 500")
    service.night()
    assert (service.told(), service.figures()) == ("", (27, 0))
    service.clinic.insert(27, seed=7, **WRONG_UNIT)
    service.night()
    assert service.told().startswith("27 of the 27 rows")


@on_sqlite
def test_small_nights_of_a_source_that_tells_what_has_changed_add_up_until_all_is_compared(
    service: Service,
) -> None:
    clinic = service.clinic
    clinic.execute("ALTER TABLE visits ADD COLUMN changed TEXT")
    clinic.settings["changed_since"] = "changed"
    clinic.execute("UPDATE visits SET changed = '2026-01-01T00:00:00'")
    service.night("--full")
    for night in range(1, 4):
        assert service.told() == ""
        clinic.insert(4, seed=night + 1, changed=f"2026-01-0{night + 1}T09:30:00", **WRONG_UNIT)
        clinic.insert(1, seed=night + 20, changed=f"2026-01-0{night + 1}T10:30:00")
        for _ in range(2):  # what was read the night before is read once more, and is not new
            assert service.night()["compared"] == "changed"
            assert service.figures() == (5 * night, 4 * night)
    assert service.told().startswith("12 of the 15 rows")
    service.correct()
    service.night("--full")
    assert (service.told(), service.figures()) == ("", (15, 0))


@pytest.mark.parametrize(
    ("database", "column"),
    [
        ("sqlite", "TEXT"),
        ("postgresql", "date"),
        ("postgresql", "timestamp"),
        ("postgresql", "timestamptz"),
    ],
    indirect=["database"],
)
def test_however_a_source_tells_what_has_changed_its_rows_count_once_as_they_stand(
    service: Service, column: str
) -> None:
    clinic, now = service.clinic, {"now": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}
    clinic.execute(f"ALTER TABLE visits ADD COLUMN changed {column}")
    clinic.settings["changed_since"] = "changed"
    clinic.execute("UPDATE visits SET changed = :now", now)
    service.night()
    clinic.insert(60, seed=2, changed=now["now"], **WRONG_UNIT)
    for _ in range(3):  # they are read again each time
        assert service.night()["compared"] == "changed"
        assert service.told().startswith("60 of the 60 rows")
    service.correct()
    assert service.night()["compared"] == "changed"
    assert (service.told(), service.figures()) == ("", (60, 0))
    clinic.insert(12, seed=3, changed=now["now"], **WRONG_UNIT)
    service.night()
    assert service.told().startswith("12 of the 12 rows")


@on_sqlite
def test_mended_rows_hide_none_that_break_in_the_same_night(service: Service) -> None:
    service.clinic.insert(15, seed=2, **WRONG_UNIT)
    service.clinic.insert(85, seed=3)
    service.night()
    service.correct()
    service.clinic.insert(15, seed=4, **WRONG_UNIT)
    service.night()
    assert service.told().startswith("15 of the 30 rows")


@on_sqlite
def test_rejections_that_are_committed_after_those_of_a_newer_pull_are_seen(
    service: Service,
) -> None:
    columns = "".join(f"{name} = {toml(how)}\n" for name, how in COLUMNS.items())
    ward = '[[source]]\nname = "ward"\ntable = "visits"\nkey = "visit_id"\n[source.columns]\n'
    service.clinic.extra = ward + columns
    for n in range(12):
        service.database.execute(
            "INSERT INTO source_rejections (source, source_key, reason, field, run_id)"
            " VALUES ('ward', :key, 'missing', 'age', 1)",
            {"key": str(n)},
        )
    service.score()
    assert service.told().startswith("12 of the 12 rows")


@on_sqlite
def test_rejected_rows_with_an_outcome_and_people_who_were_forgotten_do_not_count(
    service: Service,
) -> None:
    service.clinic.insert(1, seed=2, patient_no=7)
    service.night()
    assert service.call("forget", "--person", "7", "--reason", "a test").exit_code == 0
    service.clinic.insert(30, seed=3, patient_no=7)
    service.clinic.insert(25, seed=4, diabetic="yes", **WRONG_UNIT)
    pulled = service.night()
    assert pulled["rejected_by_reason"] == {"forgotten": 31, "out_of_range": 25}
    assert (service.told(), service.figures()) == ("", (0, 0))
    # Nor do those whose outcome comes while they are rejected.
    service.clinic.insert(20, seed=5, **WRONG_UNIT)
    service.night()
    assert service.told().startswith("20 of the 20 rows")
    service.clinic.execute("UPDATE visits SET diabetic = 'no' WHERE glucose_mmol = 90")
    service.night()
    assert (service.told(), service.figures()) == ("", (0, 0))


@on_sqlite
def test_what_is_scored_once_more_is_neither_new_nor_changed(service: Service) -> None:
    insert_patients(service.database, 15, age=None)
    insert_patients(service.database, 285)
    service.score()
    assert (service.told(), service.figures()) == ("", (300, 15))  # a good night
    insert_patients(service.database, 10)
    service.score()
    insert_patients(service.database, 30, age=None)
    service.score()
    assert service.told().startswith("30 of the 30 rows")
    for champion in ("2", "3"):
        assert service.call("models", "promote", champion, "--reason", "a test").exit_code == 0
        assert service.call("requeue", "--stale").exit_code == 0
        service.score()
    assert service.told().startswith("30 of the ")
    # Of those that are rejected again, as they were before, none is new but these.
    assert the_json(service.call("requeue", "--rejected", "--json"))["requeued"] == 45
    service.score()
    assert service.shown()["without_prediction"] == 45 - 15


@on_sqlite
def test_a_dry_run_leaves_nothing_and_a_limited_one_what_it_did(service: Service) -> None:
    insert_patients(service.database, 20, age=None)
    service.score("--dry-run")
    assert service.figures() == (70, 0)
    service.score("--limit", "8")
    assert (service.told(), service.figures()) == ("", (8, 8))
    service.score()
    assert service.told().startswith("20 of the 20 rows")


@on_sqlite
def test_what_a_run_did_that_died_is_counted_by_the_next(service: Service) -> None:
    insert_patients(service.database, 40)
    insert_patients(service.database, 20, age=None)
    service.score("--limit", "50")
    last = service.database.value("SELECT max(id) FROM runs")
    counts = json.dumps({"claimed": 50, "rejected": 10, "new_predicted": 40})
    service.database.execute(
        "UPDATE runs SET status = 'crashed', counts = :counts WHERE id = :id",
        {"counts": counts, "id": last},
    )
    service.score()
    assert service.told().startswith("20 of the 60 rows")


@on_postgresql
def test_runs_at_once_forget_none_of_their_rows(service: Service) -> None:
    insert_patients(service.database, 60, age=None)
    arguments = ("--config", service.clinic.config, "--batch-size", "5")
    processes = [service.database.start("score", *arguments) for _ in range(3)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ended
    assert service.told().startswith("60 of the 60 rows")
    numbers = [
        counts["unpredicted"]["number"]
        for (found,) in service.database.execute("SELECT counts FROM runs WHERE job = 'score'")
        if "unpredicted" in (counts := json.loads(found) if isinstance(found, str) else found)
    ]
    assert sorted(numbers) == [1, 2, 3, 4]


@on_sqlite
def test_the_settings_say_how_many_are_too_many(service: Service) -> None:
    insert_patients(service.database, 10)
    insert_patients(service.database, 10, age=None)
    service.score()
    assert service.told().startswith("10 of the 20 rows")
    assert service.told(PIMA_HEALTH__MOST_WITHOUT_PREDICTION="0.5") == ""
    assert service.told(PIMA_HEALTH__FEWEST_WITHOUT_PREDICTION="11") == ""
    half = {"PIMA_HEALTH__MOST_WITHOUT_PREDICTION": "0.5"}
    service.score(**half)  # by which this night is good, and the next begins anew
    service.score()
    assert service.told(**half) == ""
    assert the_json(service.call("status", "--json", **half))["new_rows"]["rows"] == 0
    assert service.told().startswith("10 of the 90 new rows")  # over the weeks


def test_after_four_weeks_the_count_over_weeks_begins_anew(service: Service) -> None:
    for missing, sound in ((12, 88), (0, 50)):
        insert_patients(service.database, missing, age=None)
        insert_patients(service.database, sound)
        service.score()
        assert service.told().startswith("12 of the ")
    last = "(SELECT max(id) FROM runs)"
    newest = f"SELECT counts FROM runs WHERE id = {last}"
    for days, told in ((27, "12 of the 220 new rows have no prediction (5.5%)"), (28, "")):
        counts = document(service.database, newest)
        weeks_ago = datetime.now(UTC) - timedelta(days=days)
        counts["unpredicted"]["lately"]["at"] = weeks_ago.isoformat()
        service.database.execute(
            f"UPDATE runs SET counts = :counts WHERE id = {last}", {"counts": json.dumps(counts)}
        )
        service.score()
        assert service.told().partition(":")[0] == told


@on_sqlite
def test_it_goes_on_when_old_runs_and_rejections_are_removed(service: Service) -> None:
    database = service.database
    service.clinic.insert(60, seed=2, **WRONG_UNIT)
    insert_patients(database, 30, age=None)
    service.night()
    then = database.stored(datetime.now(UTC) - timedelta(days=400))
    database.execute("UPDATE runs SET heartbeat_at = :then", {"then": then})
    database.execute("UPDATE rejections SET rejected_at = :then", {"then": then})
    service.night()
    ended = service.call("retain", "--older-than", "365")
    assert ended.exit_code == 0, ended.stderr
    assert database.value("SELECT count(*) FROM runs WHERE job = 'score'") == 1
    for _ in range(2):
        assert service.told().startswith("90 of the 90 rows")
        service.night()
    service.correct()
    database.execute("UPDATE patients SET age = 50 WHERE age IS NULL")
    service.night()
    assert (service.told(), service.figures()) == ("", (90, 0))
