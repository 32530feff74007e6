"""The time at which somebody acted on a prediction: how it comes in, and what it leaves alone."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.clinic import Clinic
from tests.support.databases import Database, call, insert_patients, let_the_clock_move, the_json
from tests.support.pulls import counts
from tests.support.settled import moments, state
from tests.support.shipped import SOUND


def test_an_action_comes_by_sql_and_draws_no_version(database: Database) -> None:
    insert_patients(database, 1, acted_at="2026-03-01T10:00:00+02:00")
    insert_patients(database, 2)
    (labelled,) = insert_patients(database, 1, outcome=1)
    before = state(database)
    database.execute("DELETE FROM changed_outcomes")
    let_the_clock_move()
    database.execute("UPDATE patients SET acted_at = '2026-03-02T08:30:00+01:00' WHERE id > 1")
    assert (
        moments(database, "acted_at")
        == ["2026-03-01T08:00:00.000Z"] + ["2026-03-02T07:30:00.000Z"] * 3
    )
    assert database.value(f"SELECT updated_at > recorded_at FROM patients WHERE id = {labelled}")
    # The day of its outcome is counted anew.
    assert database.value("SELECT count(DISTINCT labelled_at) FROM changed_outcomes") == 1
    database.execute("UPDATE patients SET acted_at = NULL")
    assert moments(database, "acted_at") == [None] * 4
    assert state(database) == before


def test_an_action_comes_by_files_and_later_alone(database: Database, tmp_path: Path) -> None:
    insert_patients(database, 3)
    before = state(database)
    file = tmp_path / "calls.csv"
    file.write_text("id,Acted At\n1,2026-03-01\n2,2026-03-02T10:00:00+01:00\n3,\n")
    result = the_json(call(database, "load", "--json", str(file)))
    assert (result["updated"], result["unchanged"]) == (2, 1)
    assert moments(database, "acted_at") == [
        "2026-03-01T23:59:59.999Z",
        "2026-03-02T09:00:00.000Z",
        None,
    ]
    file.write_text("id,acted_at\n1,soon\n")
    ended = call(database, "load", str(file))
    assert (ended.exit_code, "bad_acted_at (acted_at)" in ended.stderr) == (2, True)
    day = pa.array([datetime(2026, 3, 5, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = {name: [value] for name, value in SOUND.items()} | {"acted_at": day}
    pq.write_table(pa.table(rows), tmp_path / "new.parquet")
    assert call(database, "load", str(tmp_path / "new.parquet")).exit_code == 0
    assert moments(database, "acted_at")[3] == "2026-03-05T00:00:00.000Z"
    assert state(database)[0][:3] == before[0]


def test_an_action_comes_from_a_source_with_its_zone(database: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN called_on TEXT")
    clinic.settings |= {"acted_at": "called_on", "time_zone": "Europe/Zurich"}
    first, *_ = clinic.insert(2, called_on="2026-07-01")
    assert counts(clinic.pulled(database)) == {"inserted": 2}
    assert moments(database, "acted_at") == ["2026-07-01T21:59:59.999Z"] * 2
    before = state(database)
    move = "UPDATE visits SET called_on = '2026-07-02 08:00' WHERE visit_id = :key"
    clinic.execute(move, {"key": first})
    assert counts(clinic.pulled(database)) == {"updated": 1, "unchanged": 1}
    assert sorted(map(str, moments(database, "acted_at"))) == [
        "2026-07-01T21:59:59.999Z",
        "2026-07-02T06:00:00.000Z",
    ]
    assert state(database) == before


def test_that_only_those_at_risk_were_acted_on_is_no_fault_of_the_source(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN called_on TEXT")
    clinic.settings["acted_at"] = "called_on"
    clinic.insert(60, diabetic="yes", called_on="2026-07-01")
    clinic.insert(60, seed=2, diabetic="no", called_on=None)
    assert clinic.pulled(sqlite)["one_sided_times"] == {}
