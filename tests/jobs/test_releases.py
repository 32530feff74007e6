"""Databases as earlier releases made them are migrated, pulled into, scored and retrained, and keep
what was there."""

import gzip
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.store.engine import reading
from tests.releases.__main__ import FOLDER, restore, visits
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    the_json,
    until_someone_waits_for_a_lock,
)
from tests.support.shipped import FEATURE_NAMES

RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.name[0].isdigit())
KEPT = {
    "predictions": (
        "SELECT patient_id, patient_version, model_version, probability, predicted_class FROM "
        "predictions"
    ),
    "rejections": "SELECT patient_id, patient_version, reason, field FROM rejections",
    "model_versions": (
        "SELECT number, compiled_sha256, threshold, data_fingerprint FROM model_versions"
    ),
    "promotions": "SELECT id, verdict, reason FROM promotions",
    "row_keys": "SELECT patient_id, source, source_key, person_key FROM row_keys",
    "outcomes": "SELECT id, outcome FROM patients WHERE outcome IS NOT NULL",
}


@pytest.fixture(params=RELEASES)
def earlier(request: pytest.FixtureRequest, empty_database: Database) -> Database:
    """A database of either kind as a release left it."""
    dumped = FOLDER / request.param
    if empty_database.kind == "sqlite":
        path = Path(str(empty_database.engine.url.database))
        path.write_bytes(gzip.decompress((dumped / "sqlite.db.gz").read_bytes()))
    else:
        restore(empty_database, request.param)
    return empty_database


def test_a_column_of_the_clinics_own_that_this_release_adds_is_named(earlier: Database) -> None:
    earlier.execute("ALTER TABLE patients ADD COLUMN index_at TEXT")
    ended = call(earlier, "migrate")
    assert ended.exit_code == 2
    assert "patients has a column index_at already, not made by pima" in ended.stderr
    assert earlier.value("SELECT version_num FROM alembic_version") == "0001"
    earlier.execute("ALTER TABLE patients RENAME COLUMN index_at TO seen_on")
    assert call(earlier, "migrate").exit_code == 0


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_the_upgrade_locks_tables_in_the_order_of_whoever_reads_predictions(
    earlier: Database,
) -> None:
    with reading(earlier.engine) as reader:
        reader.execute(text("SELECT count(*) FROM patients"))
        migration = earlier.start("migrate")
        until_someone_waits_for_a_lock(earlier)
        reader.execute(text("SELECT count(*) FROM current_predictions"))
    said = migration.communicate(timeout=PATIENCE_SECONDS)
    assert migration.returncode == 0, said


def test_a_database_of_an_earlier_release_goes_on(earlier: Database, tmp_path: Path) -> None:
    before = {name: set(earlier.execute(query)) for name, query in KEPT.items()}
    assert all(before.values())
    assert call(earlier, "migrate").exit_code == 0
    assert "| area under ROC | 0." in call(earlier, "models", "card", "1").stdout
    assert "correct of " in call(earlier, "models", "show", "1").stdout
    report = tmp_path / "report.html"
    assert call(earlier, "report", "--out", str(report)).exit_code == 0
    assert "version 1, challenger" in report.read_text()
    clinic = visits(tmp_path)
    clinic.insert(20, seed=3)
    assert clinic.pulled(earlier)["inserted"] == 20
    insert_patients(earlier, 5)
    # What is replaced from now on is kept.
    one = "(SELECT min(id) FROM patients WHERE outcome IS NOT NULL)"
    values = f"SELECT {', '.join(FEATURE_NAMES)} FROM"
    labelled = earlier.execute(f"{values} patients WHERE id = {one}")
    earlier.execute(f"UPDATE patients SET glucose = 150, age = 50 WHERE id = {one}")
    assert earlier.execute(f"{values} replaced_rows WHERE patient_id = {one}") == labelled
    waiting = earlier.value("SELECT count(*) FROM scoring_queue")
    scored = the_json(call(earlier, "score", "--json"))
    assert (scored["predicted"], scored["model_version"]) == (waiting, 1)
    assert the_json(call(earlier, "retrain", "--json"))["challenger"] == 2
    # The upgrade has hashed what version 1 scores by, and the list of its training rows.
    assert earlier.execute("SELECT number FROM model_versions WHERE hashed_at IS NOT NULL") == [
        (1,)
    ]
    assert "damaged" not in call(earlier, "forget", "1", "--dry-run").stdout
    after = {name: set(earlier.execute(query)) for name, query in KEPT.items()}
    assert {name: rows - after[name] for name, rows in before.items()} == {
        name: set() for name in before
    }
