"""A DuckDB file as a source: its types, what it reads beside its tables, and that it is only
read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from tests.support.clinic import MMOL, TABLE, URL, Clinic
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.pulls import counts, refused

KINDS = {"uuid": "uuid", "real": "double", "number": "decimal(5,2)", "letter": "varchar"}


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    url = f"duckdb:///{tmp_path / 'clinic.duckdb'}"
    # A process may have a file open to write or only to read, and not both at once.
    found = Clinic("duckdb", url, create_engine(url, poolclass=NullPool), tmp_path)
    found.execute(TABLE.format(**KINDS))
    yield found
    found.engine.dispose()


def test_visits_come_change_and_vanish(sqlite: Database, clinic: Clinic) -> None:
    database = sqlite
    first, second, third, *_ = sorted(clinic.insert(300))
    assert counts(clinic.pulled(database)) == {"inserted": 300}
    glucose = dict(clinic.execute("SELECT CAST(visit_id AS varchar), glucose_mmol FROM visits"))
    ours = database.execute("SELECT source_key, glucose FROM patients")
    assert dict(ours) == {key: value * MMOL for key, value in glucose.items()}
    clinic.execute("UPDATE visits SET bmi = 31.5 WHERE visit_id = :key", {"key": first})
    clinic.execute("UPDATE visits SET diabetic = 'yes' WHERE visit_id = :key", {"key": second})
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": third})
    expected = {"updated": 2, "unchanged": 297, "vanished": 1, "outcomes_arrived": 1}
    assert counts(clinic.pulled(database)) == expected


@pytest.mark.parametrize("kind", ["timestamptz", "date", "timestamp_ns"])
def test_only_what_has_changed_is_read(sqlite: Database, clinic: Clinic, kind: str) -> None:
    clinic.execute(f"ALTER TABLE visits ADD COLUMN updated_at {kind}")
    clinic.settings |= {"changed_since": "updated_at", "outcome_at": "updated_at"}
    first, second, *_ = sorted(clinic.insert(10, updated_at="2026-01-05", diabetic="no"))
    clinic.pulled(sqlite)
    change = "UPDATE visits SET age = 44, updated_at = :at WHERE visit_id = :key"
    clinic.execute(change, {"at": "2026-01-15", "key": first})
    assert clinic.pulled(sqlite)["rows"] == 10
    clinic.execute(change, {"at": "2026-01-15", "key": second})
    found = clinic.pulled(sqlite)
    assert (found["compared"], found["rows"], found["updated"]) == ("changed", 2, 1)


def test_a_parquet_file_is_a_source_by_a_query(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(20)
    path = clinic.folder / "visits.parquet"
    clinic.execute(f"COPY visits TO '{path}' (FORMAT parquet)")
    del clinic.settings["table"]
    clinic.settings["query"] = f"SELECT * FROM read_parquet('{path}')"
    assert counts(clinic.pulled(sqlite)) == {"inserted": 20}


def test_a_csv_file_is_a_source_by_a_query_that_names_the_type_of_words(
    sqlite: Database, clinic: Clinic
) -> None:
    """DuckDB takes yes and no for truth values."""
    clinic.insert(10, diabetic="yes")
    clinic.insert(10, seed=2, diabetic="no")
    path = clinic.folder / "visits.csv"
    clinic.execute(f"COPY visits TO '{path}' (HEADER)")
    clinic.url = "duckdb:///:memory:"
    del clinic.settings["table"]
    clinic.settings["query"] = f"SELECT * FROM read_csv('{path}')"
    refused(sqlite, clinic, 3, "bad_outcome")
    clinic.settings["query"] = (
        f"SELECT * FROM read_csv('{path}', types = {{'diabetic': 'VARCHAR'}})"
    )
    assert counts(clinic.pulled(sqlite)) == {"inserted": 20}


def test_a_file_that_is_not_there_is_told_and_not_made(
    sqlite: Database, clinic: Clinic, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.duckdb"
    refused(sqlite, clinic, 2, "there is no such file", **{URL: f"duckdb:///{absent}"})
    assert not absent.exists()
    clinic.settings["table"] = "nowhere"
    refused(sqlite, clinic, 2, "CatalogException")


@pytest.mark.skipif(os.name != "posix", reason="files are locked in another way")
def test_a_file_that_another_process_writes_is_for_later(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(3)
    path = clinic.folder / "clinic.duckdb"
    holds = (
        f"import duckdb, sys; held = duckdb.connect({str(path)!r}); print('held', flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", holds]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        refused(sqlite, clinic, 75, "can't be reached")
        writer.communicate(timeout=PATIENCE_SECONDS)
