"""A declared horizon: how the moment comes in from which it runs, and what is learned and judged."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pima.core.rows.history import Split
from pima.settings.reading import SHIPPED_FILE, declared, read_settings
from pima.store.engine import writing
from pima.store.models.registry import set_champion
from pima.train.retraining import read_history
from pima.watch.model_alarms import leave_alarms
from tests.support.clinic import Clinic
from tests.support.databases import Database, call, insert_patients, let_the_clock_move, the_json
from tests.support.declared import DECLARED, configuration, csv_file, redeclared, waiting
from tests.support.pulls import counts
from tests.support.settled import NOW, ago, moments, predict, row, state
from tests.support.shipped import SOUND
from tests.support.versions import add_version

WAITS = DECLARED.replace("meaning =", 'horizon = "30 days"\nmeaning =')
TODAY = NOW.date()


def test_an_index_comes_by_sql_and_its_change_queues_nothing(database: Database) -> None:
    first, second = insert_patients(database, 2, index_at="2026-03-01 08:30:00+00:00")
    (labelled,) = insert_patients(database, 1, index_at="2026-03-01T10:00:00+02:00", outcome=1)
    assert moments(database, "index_at") == ["2026-03-01T08:30:00.000Z"] * 2 + [
        "2026-03-01T08:00:00.000Z"
    ]
    before = state(database)
    let_the_clock_move()
    database.execute("UPDATE patients SET index_at = '2026-03-02T08:30:00+01:00'")
    assert moments(database, "index_at") == ["2026-03-02T07:30:00.000Z"] * 3
    assert database.value(f"SELECT updated_at > recorded_at FROM patients WHERE id = {labelled}")
    database.execute(f"UPDATE patients SET index_at = NULL WHERE id = {second}")
    assert moments(database, "index_at")[1] is None
    assert state(database) == before
    assert len(before[1]) == len([first, second])


def test_an_index_comes_by_files_and_later_alone(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    names = "id,pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age"
    file.write_text(
        f"{names},Index At\n7,1,148,72,35,0,33.6,0.6,50,2026-03-01\n8,1,148,72,35,0,33.6,0.6,50,\n"
        "9,1,148,72,35,0,33.6,0.6,50,2026-03-01 08:30\n"
    )
    assert call(database, "load", str(file)).exit_code == 0
    assert moments(database, "index_at") == [
        "2026-03-01T23:59:59.999Z",
        None,
        "2026-03-01T08:30:00.000Z",
    ]
    before = state(database)
    file.write_text("id,index_at\n7,2026-03-01\n8,2026-03-02T10:00:00+01:00\n9,\n")
    result = the_json(call(database, "load", "--json", str(file)))
    assert (result["updated"], result["unchanged"]) == (2, 1)
    assert moments(database, "index_at") == [
        "2026-03-01T23:59:59.999Z",
        "2026-03-02T09:00:00.000Z",
        None,
    ]
    assert state(database) == before
    file.write_text("id,index_at\n7,31.12.2026\n")
    ended = call(database, "load", str(file))
    assert (ended.exit_code, "bad_index_at (index_at)" in ended.stderr) == (2, True)


def test_an_index_comes_from_a_source_with_its_zone(database: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN discharged_on TEXT")
    clinic.settings |= {"index_at": "discharged_on", "time_zone": "Europe/Zurich"}
    first, second = clinic.insert(2, discharged_on="2026-07-01")
    assert counts(clinic.pulled(database)) == {"inserted": 2}
    assert moments(database, "index_at") == ["2026-07-01T21:59:59.999Z"] * 2
    before = state(database)
    move = "UPDATE visits SET discharged_on = :on WHERE visit_id = :key"
    clinic.execute(move, {"on": "2026-07-02 08:00", "key": first})
    clinic.execute(move, {"on": "soon", "key": second})
    assert counts(clinic.pulled(database)) == {"updated": 2}
    assert sorted(map(str, moments(database, "index_at"))) == ["2026-07-02T06:00:00.000Z", "None"]
    assert state(database) == before
    assert counts(clinic.pulled(database)) == {"unchanged": 2}
    # With an outcome it can't be left out: what it says of the horizon would be lost unseen.
    clinic.execute("UPDATE visits SET diabetic = 'yes'")
    found = clinic.pulled(database)
    assert found["rejected_by_reason"] == {"bad_index_at": 1}


def with_index(path: str, first_day: int, days: int) -> str:
    """A file's rows with an index each: so many days ago, spread over some days."""
    head, *lines = Path(path).read_text().splitlines()
    dated = [
        f"{line},{TODAY - timedelta(days=first_day + n % days)}" for n, line in enumerate(lines)
    ]
    Path(path).write_text("\n".join([f"{head},index_at", *dated]) + "\n")
    return path


@pytest.fixture
def waits(declared_database: Database, tmp_path: Path) -> tuple[Database, str]:
    """A database that waits thirty days, and its settings."""
    redeclared(declared_database, tmp_path, WAITS)
    return declared_database, configuration(tmp_path, WAITS)


def test_nothing_is_learned_before_its_horizon_is_over(
    waits: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = waits
    running = with_index(csv_file(tmp_path, 400, labelled=True, seed=1), 1, 25)
    assert call(database, "load", "--config", config, running).exit_code == 0
    without = csv_file(tmp_path, 50, labelled=True, seed=2)
    assert call(database, "load", "--config", config, without).exit_code == 0
    ended = call(database, "retrain", "--config", config)
    assert ended.exit_code == 3
    assert "0 usable labelled rows" in ended.stderr
    assert "400 labelled rows (horizon_not_over)" in ended.stderr
    assert "50 labelled rows (no_index_at)" in ended.stderr


SHIPPED_WAITS = SHIPPED_FILE.read_text().replace(
    'name = "outcome"', 'name = "outcome"\nhorizon = "30 days"'
)


def test_status_and_report_count_what_is_in_no_figure(database: Database, tmp_path: Path) -> None:
    waiting(database)
    config = configuration(tmp_path, SHIPPED_WAITS)
    monday = NOW.replace(hour=12) - timedelta(days=NOW.weekday())
    for weeks, known in ((9, 20), (8, 10)):
        index = monday - timedelta(weeks=weeks)
        for n in range(20):
            outcome = index + timedelta(days=2 + n) if n < known else None
            predict(database, row(database, index, outcome, n % 2), index)
    late = row(database, monday - timedelta(weeks=9), ago(1), 0)
    predict(database, late, monday - timedelta(weeks=8))
    status = the_json(call(database, "status", "--json", "--config", config))
    counted = {name: status["realised"][name] for name in ("outcomes", "left_out", "late", "early")}
    assert counted == {"outcomes": 20, "left_out": 10, "late": 1, "early": 0}
    assert [(week["rows"], week["outcomes"]) for week in status["follow_up"]] == [
        (20, 10),
        (21, 21),
    ]
    assert [week["in_figures"] for week in status["follow_up"]] == [False, True]
    shown = " ".join(call(database, "status", "--config", config).stdout.split())
    assert "10 left out, of weeks that are hardly followed up; 1 apart, predicted too late" in shown
    assert "75.6% of 41 rows whose horizon is over" in shown
    page = tmp_path / "report.html"
    assert call(database, "report", "--out", str(page), "--config", config).exit_code == 0
    html = page.read_text()
    assert "Left out: 10 outcomes of weeks that are hardly followed up." in html
    assert "1 outcome predicted too late" in html


def test_a_horizon_on_a_live_database_changes_fingerprints_and_no_version(
    declared_database: Database, tmp_path: Path
) -> None:
    database, config = declared_database, configuration(tmp_path)
    file = with_index(csv_file(tmp_path, 200, labelled=True, seed=3), 90, 60)
    waiting_rows = csv_file(tmp_path, 5, labelled=False, seed=4)
    assert call(database, "load", "--config", config, file, waiting_rows).exit_code == 0
    before, learned = state(database), read(database, config)
    config = configuration(tmp_path, WAITS)
    refused = call(database, "retrain", "--config", config)
    assert (refused.exit_code, "migrate --features" in refused.stderr) == (2, True)
    asked = ("migrate", "--config", config, "--features", "--json", "--reason", "thirty days")
    assert the_json(call(database, *asked))["changed"] == {"outcome": ["horizon"]}
    assert state(database) == before
    now = read(database, config)
    assert now.labelled == learned.labelled == 200
    assert now.fingerprint != learned.fingerprint
    times = now.training
    # Loaded long after it was over, a row counts by the day on which it was.
    assert times["Over"].max() <= NOW < times["labelled_at"].min()
    assert (times["Over"].max() - times["Over"].min()).days == 59


def read(database: Database, config: str) -> Split:
    settings = read_settings(Path(config), {})
    history, *_ = read_history(database.engine, settings, declared(Path(config), settings))
    return history


def test_an_index_comes_by_parquet(sqlite: Database, tmp_path: Path) -> None:
    day = datetime(2026, 3, 1, 8, 30, tzinfo=ZoneInfo("Europe/Zurich"))
    rows = pa.table(
        {name: [value] * 2 for name, value in SOUND.items()}
        | {"index_at": pa.array([day, None], pa.timestamp("us", "Europe/Zurich"))}
    )
    pq.write_table(rows, tmp_path / "times.parquet")
    pq.write_table(
        rows.set_column(8, "index_at", pa.array([day.date(), None])), tmp_path / "days.parquet"
    )
    for name in ("times", "days"):
        assert call(sqlite, "load", str(tmp_path / f"{name}.parquet")).exit_code == 0
    assert moments(sqlite, "index_at") == [
        "2026-03-01T07:30:00.000Z",
        None,
        "2026-03-01T23:59:59.999Z",
        None,
    ]
    pq.write_table(rows.set_column(8, "index_at", pa.array([1, 2])), tmp_path / "numbers.parquet")
    ended = call(sqlite, "load", str(tmp_path / "numbers.parquet"))
    assert (ended.exit_code, "(bad_index_at). Expected times" in ended.stderr) == (2, True)


def test_a_night_tells_how_many_of_a_finished_week_are_followed_up_as_of_that_night(
    database: Database,
) -> None:
    waiting(database)
    add_version(database)
    with writing(database.engine) as connection:
        set_champion(connection, 1, pinned=False)
    monday = NOW.replace(hour=12) - timedelta(days=NOW.weekday())
    for weeks, known in ((9, 30), (8, 10)):
        index = monday - timedelta(weeks=weeks)
        for n in range(30):
            row(database, index, index + timedelta(days=9) if n < known else None, n % 2)
    of_night = """SELECT rows, value, reference, state FROM monitoring
        WHERE figure = 'realised_week_followed_up' AND run_id = :run"""
    leave_alarms(database.engine, 7)
    assert database.execute(of_night, {"run": 7}) == [(30, pytest.approx(1 / 3), 1.0, "alert")]
    # The others come, and the next night says so, without a retraining between.
    database.execute(
        "UPDATE patients SET outcome = 0, labelled_at = :at WHERE outcome IS NULL",
        {"at": database.stored(ago(2))},
    )
    database.execute("UPDATE monitoring SET recorded_at = :then", {"then": database.stored(ago(1))})
    leave_alarms(database.engine, 8)
    assert database.execute(of_night, {"run": 8}) == [(30, 1.0, 1.0, "usual")]
