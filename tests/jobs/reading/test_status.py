"""The one screen: what stands on it, and that it fits where no terminal says its width."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pima.store.engine import reading
from pima.store.models.registry import read_version
from tests.support.databases import Database, call, insert_patients, the_json, without_triggers
from tests.support.ledger import insert_run
from tests.support.settled import NOW

# A picture of equal figures is drawn once.
pytestmark = pytest.mark.usefixtures("each_fit_once")
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
MONDAY = NOW.replace(hour=12, minute=0, second=0) - timedelta(weeks=3, days=NOW.weekday())
WEEKS = [f"{MONDAY + timedelta(weeks=week):%Y-%m-%d}" for week in (2, 1, 0, -1)]


@pytest.fixture
def worked(scored_database: Database) -> Database:
    """Two weeks with twelve outcomes each, 9 and 12 of them as predicted, one with three, one with
    eleven; two nights; rejections."""
    database = scored_database
    for week, (outcomes, correct) in enumerate([(11, 5), (12, 9), (3, 3), (12, 12)], start=-1):
        _came(database, outcomes, correct, MONDAY + timedelta(weeks=week))
    for night, rows in enumerate((50, 400)):
        counts = f'{{"predicted": {rows}, "rejected": 2}}'
        moment = datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(days=night)
        insert_run(
            database, "score", "succeeded", counts=counts, started_at=moment, finished_at=moment
        )
    columns = "patient_id, patient_version, run_id, reason, field"
    for patient, (reason, field) in enumerate([("out_of_range", "bmi")] * 2 + [("missing", "age")]):
        database.execute(
            f"INSERT INTO rejections ({columns}) VALUES ({patient}, 1, 1, '{reason}', '{field}')"
        )
    return database


def _came(database: Database, outcomes: int, correct: int, moment: datetime) -> None:
    """Rows that were all predicted positive, and their outcomes, of which so many are."""
    ids, at = insert_patients(database, outcomes), {"at": database.stored(moment)}
    with without_triggers(database):
        for n, patient in enumerate(ids):
            database.execute(
                f"INSERT INTO predictions VALUES ({patient}, 1, 1, 1, 0.9, 1, 0.5, :at)", at
            )
            set_to = f"outcome = {int(n < correct)}, labelled_at = :at"
            database.execute(f"UPDATE patients SET {set_to} WHERE id = {patient}", at)


@on_sqlite
def test_one_screen_shows_weeks_nights_verdicts_rejections_and_runs(worked: Database) -> None:
    screen = call(worked, "status", COLUMNS="200").stdout
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert len(screen.splitlines()) <= 40
    told = " ".join(screen.split())
    assert "last night succeeded: 400 predicted, 2 rejected in 0.0 s" in told
    assert (
        "Rejected, and not taken back reason column rows out_of_range bmi 2 missing age 1" in told
    )
    assert "Last verdicts decided version against verdict reason" in told
    assert "1 - promoted first_champion" in told
    newest, second, _ = the_json(call(worked, "status", "--json"))["verdicts"]
    for verdict in (newest, second):
        gained = verdict["measured"]
        both = f"version {verdict['challenger']} on version {verdict['against']}"
        interval = f"({gained['interval_low']:.4f} to {gained['interval_high']:.4f})"
        assert f"gain of {both} in accuracy: {gained['gain']:.4f} {interval}" in told
    assert told.count("gain of version") == 2
    assert "run job started ended" in told


def test_its_json_has_the_same_as_data(worked: Database) -> None:
    found = the_json(call(worked, "status", "--json"))
    assert found["realised_weeks"] == [
        {"monday": WEEKS[0], "outcomes": 12, "correct": 12, "accuracy": 1.0},
        {"monday": WEEKS[1], "outcomes": 3, "correct": None, "accuracy": None},
        {"monday": WEEKS[2], "outcomes": 12, "correct": 9, "accuracy": 0.75},
        # Else all outcomes less the other weeks' would tell of the three.
        {"monday": WEEKS[3], "outcomes": 11, "correct": None, "accuracy": None},
    ]
    assert [
        (night["predicted"], night["rejected"], night["status"]) for night in found["nights"]
    ] == [
        (400, 2, "succeeded"),
        (50, 2, "succeeded"),
    ]
    assert found["rejections"] == [
        {"reason": "out_of_range", "field": "bmi", "rows": 2},
        {"reason": "missing", "field": "age", "rows": 1},
    ]
    assert [verdict["challenger"] for verdict in found["verdicts"]] == [3, 2, 1]
    apart = {
        "of_those_followed_up": False,
        "left_out": 0,
        "acted_upon": 0,
        "none_counts": None,
        "late": 0,
        "early": 0,
    }
    came_true = {"outcomes": 38, "correct": 29, "accuracy": 29 / 38}
    assert found["realised"] == came_true | apart
    standing = found["standing"]
    assert (standing["version"], standing["outcomes"], standing["positive"]) == (None, 38, 29)
    assert [(each["version"], each["outcomes"]) for each in standing["by_version"]] == [(1, 38)]
    assert standing["figures"]["observed_expected"]["value"] == pytest.approx(29 / (0.9 * 38))
    assert standing["figures"]["sensitivity"]["value"] == 1
    assert standing["lately"] is None  # the weeks before the last eight had none


@on_sqlite
def test_a_report_holds_back_the_same_weeks(worked: Database, tmp_path: Path) -> None:
    assert call(worked, "report", "--out", str(tmp_path / "report.html")).exit_code == 0
    section = (
        (tmp_path / "report.html")
        .read_text()
        .partition('<section id="realised"')[2]
        .partition("</section>")[0]
    )
    cells = re.findall(
        r'class="day">([^<]*)</th><td class="number">([^<]*)</td><td class="number">([^<]*)</td>',
        section,
    )
    assert cells == [
        (WEEKS[0], "12", "12 (100 %)"),
        (WEEKS[1], "-", "-"),
        (WEEKS[2], "12", "9 (75 %)"),
        (WEEKS[3], "-", "-"),
    ]


def test_with_nothing_yet_it_says_what_to_do_and_shows_no_empty_table(sqlite: Database) -> None:
    screen = call(sqlite, "status").stdout
    assert "python -m jobs.retrain makes the first" in screen
    for heading in ("Last verdicts", "Rejected", "Last runs", "last night"):
        assert heading not in screen


@on_sqlite
def test_few_outcomes_give_no_share_either_here_or_in_a_report(
    scored_database: Database, tmp_path: Path
) -> None:
    database, came = scored_database, 0
    for outcomes in (9, 10):
        _came(database, outcomes - came, outcomes // 2 - came // 2, MONDAY)
        came = outcomes
        screen = " ".join(call(database, "status", COLUMNS="200").stdout.split())
        told = f"settled outcomes {outcomes} from "
        assert told in screen
        assert (
            f" on, by whichever version, {outcomes // 2} with outcome 1 (few: what follows may be luck)"
            in screen
        )
        assert call(database, "report", "--out", str(tmp_path / "report.html")).exit_code == 0
        page = (tmp_path / "report.html").read_text()
        too_few = "fewer than 10 predictions have a settled outcome yet"
        has_figure = outcomes == 10
        assert ("observed / expected 0.56 (0.30 to 1.03)" in screen) == has_figure
        assert [too_few in page, "10 settled outcomes" in page] == [not has_figure, has_figure]


def test_a_threshold_that_nobody_reaches_or_that_is_not_in_use_is_told(
    scored_database: Database,
) -> None:
    with reading(scored_database.engine) as connection:
        metrics = read_version(connection, 1).metrics
    metrics["holdout"]["sensitivity"] = 0.0
    scored_database.execute(
        "UPDATE model_versions SET metrics = :metrics WHERE number = 1",
        {"metrics": json.dumps(metrics)},
    )
    for command in (("status",), ("models", "list")):
        said = call(scored_database, *command, PIMA_RETRAIN__THRESHOLD="0.1", COLUMNS="200")
        told = " ".join(said.stdout.split())
        assert "nobody is predicted 1: at its threshold of 0.5 version 1 finds 0 %" in told
        assert "retrain.threshold is 0.1, but version 1 was fitted with 0.5" in told
        as_set = call(scored_database, *command, COLUMNS="200")
        assert "was fitted with" not in as_set.stdout
