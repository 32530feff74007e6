"""Databases as earlier releases made them are migrated, pulled into, scored and retrained, and keep
what was there."""

import gzip
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.store.engine import reading
from pima.store.sqlite.schema import translated_schema
from pima.train.fit import reproduce
from tests.releases.__main__ import FOLDER, restore, visits
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    the_json,
    until_someone_waits_for_a_lock,
)
from tests.support.ledger import insert_run
from tests.support.shipped import FEATURE_NAMES, ROOT

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
KEPT_SINCE_0002 = {
    # A day after the dump was made, `score` drops values that nobody predicted on.
    "row_history": """SELECT patient_id, patient_version, glucose, age FROM row_history
        JOIN predictions USING (patient_id, patient_version)"""
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


from_revision_0001 = pytest.mark.parametrize("earlier", ["0.1.0"], indirect=True)
"""Of releases whose databases an upgrade changes."""
on_postgresql = pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)


def _plain(database: Database) -> str:
    url = make_url(database.url).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("earlier", "column", "revision"),
    [("0.1.0", "index_at", "0001"), ("0.1.0", "acted_at", "0001"), ("0.2.0", "acted_at", "0002")],
    indirect=["earlier"],
)
def test_a_column_of_the_clinics_own_that_this_release_adds_is_named(
    earlier: Database, column: str, revision: str
) -> None:
    earlier.execute(f"ALTER TABLE patients ADD COLUMN {column} TEXT")
    ended = call(earlier, "migrate")
    assert ended.exit_code == 2
    assert f"patients has a column {column} already, not made by pima" in ended.stderr
    assert earlier.value("SELECT version_num FROM alembic_version") == revision
    earlier.execute(f"ALTER TABLE patients RENAME COLUMN {column} TO seen_on")
    assert call(earlier, "migrate").exit_code == 0


READ = (
    "model_versions",
    "source_rejections",
    "patients",
    "rejections",
    "current_predictions",
    "scoring_queue",
    "champion",
)
READ_FIRST = [
    *(("0.1.0", each) for each in READ),
    ("0.2.0", "current_predictions"),
    ("0.2.0", "champion"),
    ("0.2.0", "replaced_rows"),
]


@pytest.mark.judge
@on_postgresql
@pytest.mark.parametrize(("earlier", "first"), READ_FIRST, indirect=["earlier"])
def test_the_upgrade_keeps_nobody_waiting_for_its_locks_and_ends_in_no_deadlock(
    earlier: Database, first: str
) -> None:
    with reading(earlier.engine) as reader:
        reader.execute(text(f"SELECT count(*) FROM {first}"))
        migration = earlier.start("migrate")
        if first == "rejections":
            assert migration.wait(PATIENCE_SECONDS) == 0
        else:
            until_someone_waits_for_a_lock(earlier)
        # Nobody queues behind it, whatever else the reader does.
        with psycopg.connect(_plain(earlier)) as clinic:
            clinic.execute("SET lock_timeout = '2s'")
            clinic.execute("INSERT INTO patients (glucose) VALUES (100)")
        for table in READ:
            reader.execute(text(f"SELECT count(*) FROM {table}"))
    said = migration.communicate(timeout=PATIENCE_SECONDS)
    assert migration.returncode == 0, said


@on_postgresql
@from_revision_0001
def test_an_upgrade_gives_up_with_75_and_changes_nothing(
    earlier: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pima.store.postgresql.migrating.PATIENCE_SECONDS", 1)
    page = (ROOT / "docs/do/upgrade.md").read_text()
    (who_holds,) = re.findall(r"^```sql\n(SELECT DISTINCT .*?;)$", page, re.DOTALL | re.MULTILINE)
    with reading(earlier.engine) as reader:
        reader.execute(text("SELECT count(*) FROM source_rejections"))
        ended = call(earlier, "migrate")
        own = reader.scalar(text("SELECT pg_backend_pid()"))
        assert [row[0] for row in earlier.execute(who_holds)] == [own]
    assert ended.exit_code == 75
    assert "others hold one of patients, source_rejections, model_versions" in ended.stderr
    assert "docs/do/upgrade.md" in ended.stderr
    assert earlier.value("SELECT version_num FROM alembic_version") == "0001"
    assert call(earlier, "migrate").exit_code == 0


@from_revision_0001
def test_figures_that_are_there_already_get_their_kind(earlier: Database) -> None:
    earlier.execute(
        "INSERT INTO monitoring (run_id, model_version, feature, figure, rows, state) "
        "VALUES (3, 1, '', 'realised_accuracy', 60, 'usual')"
    )
    assert call(earlier, "migrate").exit_code == 0
    kinds = dict(earlier.execute("SELECT figure, kind FROM monitoring"))
    volumes = {"rows": "volume", "rows_in_week": "volume"}
    others = dict.fromkeys(kinds.keys() - {*volumes, "realised_accuracy"}, "night")
    assert kinds == others | volumes | {"realised_accuracy": "realised"}
    assert {"psi", "missing", "estimated_accuracy"} <= others.keys()


@on_postgresql
@pytest.mark.parametrize("its_session", ["goes on", "ends"])
@from_revision_0001
def test_an_upgrade_that_is_killed_is_brought_to_its_end_by_the_same_command(
    earlier: Database, its_session: str
) -> None:
    making = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_rejections_run_id'::regclass"
    with psycopg.connect(_plain(earlier)) as scorer:
        scorer.execute("DELETE FROM rejections WHERE patient_id = 0")
        first = earlier.start("migrate")
        until_someone_waits_for_a_lock(earlier)
        first.kill()
        first.communicate()
        if its_session == "ends":
            earlier.value(f"SELECT pg_terminate_backend(pid) FROM ({making}) AS found")
            while earlier.execute(making):
                time.sleep(0.01)
        assert earlier.value(is_valid) is False
        again, beside = (earlier.start("migrate") for _ in range(2))
    for each in (again, beside):
        said = each.communicate(timeout=PATIENCE_SECONDS)
        assert each.returncode == 0, said
    assert earlier.value(is_valid) is True
    assert call(earlier, "status").exit_code == 0


def test_the_view_of_an_upgrade_is_that_of_a_new_database(earlier: Database) -> None:
    assert call(earlier, "migrate").exit_code == 0
    script = (ROOT / "pima/store/schema.sql").read_text()
    (made,) = re.findall(r"^CREATE VIEW current_predictions.*?;$", script, re.DOTALL | re.MULTILINE)
    as_new = made.replace("current_predictions", "as_new", 1)
    found = "SELECT pg_get_viewdef(CAST('{}' AS regclass))"
    if earlier.kind == "sqlite":
        as_new = translated_schema(as_new)
        found = "SELECT replace(sql, name, 'the_view') FROM sqlite_master WHERE name = '{}'"
    earlier.execute(as_new)
    views = [earlier.value(found.format(name)) for name in ("as_new", "current_predictions")]
    assert views[0].split() == views[1].split()


@pytest.mark.parametrize("earlier", ["0.2.0"], indirect=True)
def test_replaced_values_become_the_history_and_marks_without_values_go(earlier: Database) -> None:
    columns = f"patient_id, patient_version, replaced_at, {', '.join(FEATURE_NAMES)}"
    kept = set(earlier.execute(f"SELECT {columns} FROM replaced_rows"))
    assert kept
    # As `retain` of that release leaves it: the version stands, and its prediction is gone.
    earlier.execute(
        "INSERT INTO replaced_rows (patient_id, patient_version, replaced_at, predicted_at) "
        "SELECT id, version, NULL, :then FROM patients WHERE outcome IS NOT NULL",
        {"then": earlier.stored(datetime(2026, 1, 1, tzinfo=UTC))},
    )
    assert call(earlier, "migrate").exit_code == 0
    assert set(earlier.execute(f"SELECT {columns} FROM row_history")) == kept
    corrected = "WHERE id = (SELECT max(id) FROM patients WHERE outcome IS NOT NULL)"
    earlier.execute(f"UPDATE patients SET glucose = glucose + 1 {corrected}")
    earlier.execute(f"DELETE FROM patients {corrected}")
    assert earlier.value("SELECT count(*) FROM row_history") == len(kept) + 2
    assert call(earlier, "status").exit_code == 0


def test_no_error_line_of_an_earlier_release_names_rows(earlier: Database) -> None:
    for line in ("2 in this batch, by patient_id: 7, 8", "1 row, by id: 7", "by version"):
        insert_run(earlier, "score", "failed", error_line=line)
    assert call(earlier, "migrate").exit_code == 0
    told = earlier.execute("SELECT error_line FROM runs WHERE status = 'failed' ORDER BY id")
    assert told[-3:] == [(None,), (None,), ("by version",)]


def test_a_database_of_an_earlier_release_goes_on(earlier: Database, tmp_path: Path) -> None:
    is_first = earlier.value("SELECT version_num FROM alembic_version") == "0001"
    kept = KEPT if is_first else KEPT | KEPT_SINCE_0002
    before = {
        name: set(earlier.execute(query.replace("row_history", "replaced_rows")))
        for name, query in kept.items()
    }
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
    assert earlier.execute(f"{values} row_history WHERE patient_id = {one}") == labelled
    waiting = earlier.value("SELECT count(*) FROM scoring_queue")
    scored = the_json(call(earlier, "score", "--json"))
    assert (scored["predicted"], scored["model_version"]) == (waiting, 1)
    assert the_json(call(earlier, "retrain", "--json"))["challenger"] == 2
    # The recipe is what it was, and that of version 1 still gives its predictions.
    assert earlier.value("SELECT count(DISTINCT settings_fingerprint) FROM model_versions") == 1
    assert reproduce(earlier.engine, 1, tmp_path).largest_difference < 1e-4
    # Revision 0002 hashes what version 1 scores by, and the list of its training rows.
    hashed = earlier.execute("SELECT number FROM model_versions WHERE hashed_at IS NOT NULL")
    assert hashed == ([(1,)] if is_first else [])
    assert "damaged" not in call(earlier, "forget", "1", "--dry-run").stdout
    after = {name: set(earlier.execute(query)) for name, query in kept.items()}
    assert {name: rows - after[name] for name, rows in before.items()} == {
        name: set() for name in before
    }
