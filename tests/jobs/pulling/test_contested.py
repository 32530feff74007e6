"""Rows that a clinic writes while a pull or a load takes them in: nobody is ended for waiting in a
circle."""

import json
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from pima.store.rows import contested
from pima.store.rows.arrivals import Staging
from tests.support.clinic import URL, Clinic
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    the_json,
    until_it_tries_again,
    wait_for,
)
from tests.support.patient_files import GOOD, ID_HEADER, UNKNOWN, write
from tests.support.pulls import counts
from tests.support.rows import COLUMNS, VALUES, assert_queue_is_true

SOMEONE_WAITS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND wait_event_type = 'Lock'"""
IDS_DRAWN = "SELECT last_value FROM pg_sequences WHERE sequencename = 'patients_id_seq'"


def _start(clinic: Clinic, database: Database) -> subprocess.Popen[str]:
    return database.start("pull", "--config", clinic.config, **{URL: clinic.url})


def _has_met(database: Database, process: subprocess.Popen[str], drawn: int) -> None:
    """Return once the pull has met what another holds: it waits for that, or has given back the ids
    that it drew."""
    wait_for(lambda: database.value(SOMEONE_WAITS) or database.value(IDS_DRAWN) > drawn, process)


def _write(writer: Connection, key: str, change: str = "outcome = 1") -> None:
    assert (
        writer.execute(
            text(f"UPDATE patients SET {change} WHERE source_key = :key"), {"key": key}
        ).rowcount
        == 1
    )


@pytest.mark.parametrize("vanished", ["keep", "delete"])
def test_a_writer_that_goes_through_the_rows_in_another_order_is_not_ended(
    postgresql: Database, sqlite_clinic: Clinic, vanished: str
) -> None:
    clinic = sqlite_clinic
    first, *_, last = sorted(clinic.insert(50))
    del clinic.settings["outcome"], clinic.settings["outcome_words"]
    clinic.settings |= {"vanished": vanished, "most_vanished": 1.0}
    clinic.pulled(postgresql)
    if vanished == "delete":
        clinic.execute("DELETE FROM visits")
    else:
        clinic.execute("UPDATE visits SET age = 90")
    clinic.insert(1, seed=2)
    drawn = postgresql.value(IDS_DRAWN)
    with postgresql.engine.begin() as writer:
        _write(writer, last)
        process = _start(clinic, postgresql)
        _has_met(postgresql, process, drawn)
        # Longer than the server lets somebody wait before it looks for a circle, so that this side
        # would be ended.
        time.sleep(1.5)
        _write(writer, first)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert "others write the same rows; tried again" in stderr
    assert "50 deleted" in stdout if vanished == "delete" else "50 updated" in stdout
    assert counts(clinic.pulled(postgresql)).keys() == {"unchanged"}
    assert postgresql.value("SELECT count(outcome) FROM patients") == (
        0 if vanished == "delete" else 2
    )


def test_rows_that_are_not_given_back_are_for_later(
    postgresql: Database, sqlite_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contested, "PAUSES_SECONDS", (0.01, 0.01))
    clinic = sqlite_clinic
    key, *_ = clinic.insert(5)
    clinic.pulled(postgresql)
    clinic.execute("UPDATE visits SET age = 90")
    clinic.insert(1, seed=2)
    with postgresql.engine.begin() as writer:
        _write(writer, key)
        ended = clinic.pull(postgresql)
    assert (ended.exit_code, "another transaction holds some" in ended.stderr) == (75, True)
    assert ended.stderr.count("tried again") == 2
    assert postgresql.execute("SELECT status, error_code FROM runs ORDER BY id DESC LIMIT 1") == [
        ("try_again_later", "rows_contested")
    ]
    assert postgresql.value("SELECT count(*) FROM patients WHERE age = 90") == 0
    clinic.settings["most_cleared"] = 1
    assert counts(clinic.pulled(postgresql)) == {"inserted": 1, "updated": 5, "outcomes_cleared": 1}


@pytest.mark.time_limit
def test_whoever_inserts_the_same_key_is_not_waited_for(
    postgresql: Database, sqlite_clinic: Clinic
) -> None:
    clinic = sqlite_clinic
    first, *_, last = sorted(clinic.insert(20))
    insert = text(f"""
        INSERT INTO patients ({COLUMNS}, source, source_key, person_key)
            VALUES ({VALUES}, 'clinic', :key, 'p')""")
    with postgresql.engine.begin() as writer:
        writer.execute(insert, {"key": last})
        process = _start(clinic, postgresql)
        until_it_tries_again(process)
        writer.execute(insert, {"key": first})
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    # What others brought in meanwhile is as the source has it now.
    assert "18 inserted, 2 updated" in stdout
    assert counts(clinic.pulled(postgresql)) == {"unchanged": 20}


def test_a_constraint_of_the_clinic_s_own_is_broken_for_good(
    postgresql: Database, sqlite_clinic: Clinic
) -> None:
    sqlite_clinic.insert(2, age=44)
    postgresql.execute("CREATE UNIQUE INDEX one_of_an_age ON patients (age)")
    ended = sqlite_clinic.pull(postgresql)
    assert (ended.exit_code, "one_of_an_age" in ended.stderr, "tried again" in ended.stderr) == (
        1,
        True,
        False,
    )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_pull_goes_on_while_a_writer_of_the_same_file_waits_for_its_end(
    database: Database, own_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits to commit lets nobody else begin to read: a pull that read ours meanwhile would
    wait for itself."""
    clinic, append = own_clinic, Staging.append
    clinic.execute("ALTER TABLE visits ADD COLUMN updated_at TEXT DEFAULT '2026-03-10'")
    clinic.insert(50)
    clinic.settings["changed_since"] = "updated_at"
    clinic.pulled(database)
    database.environ["PIMA_DATABASE__LOCK_TIMEOUT_SECONDS"] = "1"
    clinic.execute("UPDATE visits SET age = 90")
    writer = threading.Thread(target=clinic.execute, args=("UPDATE visits SET age = 91",))

    def append_beside_the_writer(self: Staging, block: Any, index: Any) -> None:
        if not writer.ident:
            writer.start()
            _wait_until_nobody_may_begin(clinic)
        append(self, block, index)

    monkeypatch.setattr(Staging, "append", append_beside_the_writer)
    assert counts(clinic.pulled(database)) == {"updated": 50}
    writer.join(PATIENCE_SECONDS)
    assert counts(clinic.pulled(database)) == {"updated": 50}


def _wait_until_nobody_may_begin(clinic: Clinic) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(make_url(clinic.url).database or "", timeout=0)) as connection:
        while time.monotonic() < until:
            try:
                connection.execute("SELECT count(*) FROM visits").fetchone()
            except sqlite3.OperationalError:
                return
            time.sleep(0.01)
    raise AssertionError


def _ages(tmp_path: Path, ids: list[int]) -> str:
    return write(tmp_path, "id,age", *(f"{each},90" for each in ids))


def test_rows_that_a_load_is_not_given_are_for_later(
    postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contested, "PAUSES_SECONDS", (0.01, 0.01))
    ids = insert_patients(postgresql, 3)
    file = _ages(tmp_path, ids)
    with postgresql.engine.begin() as writer:
        writer.execute(text("UPDATE patients SET outcome = 1 WHERE id = 2"))
        ended = call(postgresql, "load", "--json", file)
        assert (ended.exit_code, the_json(ended)["error"]) == (75, "rows_contested")
        assert ended.stderr.count("tried again") == 2
        # What it does not have to change is not in its way.
        assert call(postgresql, "load", write(tmp_path, "id,age", "1,90", "2,50")).exit_code == 0
    assert postgresql.execute("SELECT id, age FROM patients ORDER BY id") == [
        (1, 90),
        (2, 50),
        (3, 50),
    ]
    assert call(postgresql, "load", file).exit_code == 0


@pytest.mark.time_limit
def test_whoever_inserts_the_same_rows_is_not_waited_for(
    postgresql: Database, tmp_path: Path
) -> None:
    file = write(tmp_path, ID_HEADER, f"7,{GOOD}", f"8,{UNKNOWN}")
    with postgresql.engine.begin() as writer:
        writer.execute(text(f"INSERT INTO patients (id, {COLUMNS}) VALUES (7, {VALUES})"))
        process = postgresql.start("load", "--json", file)
        until_it_tries_again(process)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    counted = json.loads(stdout)
    assert (counted["inserted"], counted["updated"]) == (1, 1)
    assert postgresql.execute("SELECT id, outcome FROM patients ORDER BY id") == [(7, 1), (8, None)]
    assert_queue_is_true(postgresql)
