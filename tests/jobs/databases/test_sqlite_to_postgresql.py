"""deploy/sqlite_to_postgresql.py on real databases: all that the file held is there, and life goes
on from it."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from sqlalchemy import select

from deploy import sqlite_to_postgresql
from pima.store.engine import reading
from pima.store.schema import require_schema
from pima.store.tables import with_features
from tests.support.databases import (
    Database,
    Ended,
    Originals,
    call,
    insert_patients,
    sqlite_from,
    the_json,
)
from tests.support.shipped import FEATURE_NAMES, SHIPPED


@pytest.fixture
def lived_in(sqlite_originals: Originals, trained: Path, tmp_path: Path) -> Iterator[Database]:
    """A file in the middle of its life, with something in every table, and outcomes that no verdict
    has seen yet."""
    yield from sqlite_from(Path(sqlite_originals.name(_live, trained)), tmp_path)


def _live(sqlite: Database, trained: Path) -> None:
    shutil.copy(trained, sqlite.engine.url.database or "")
    with NamedTemporaryFile("w", suffix=".csv") as outcomes:
        outcomes.write("".join(SHIPPED.read_text().splitlines(keepends=True)[568:]))
        outcomes.flush()
        assert call(sqlite, "load", outcomes.name).exit_code == 0
    insert_patients(sqlite, 40)
    insert_patients(sqlite, 2, bmi=5_000)
    assert call(sqlite, "score").exit_code == 0
    sqlite.execute("UPDATE patients SET age = age + 1 WHERE id BETWEEN 770 AND 780")
    sqlite.execute("UPDATE patients SET outcome = id % 2 WHERE id BETWEEN 781 AND 790")
    sqlite.execute(
        "UPDATE patients SET source = 'clinic', source_key = 'v' || id, person_key = 'p' WHERE id "
        "> 800"
    )
    insert_patients(sqlite, 3)
    sqlite.execute("DELETE FROM patients WHERE id > 811")  # the newest of all is among them
    now = "'2026-01-01T00:00:00.123Z'"
    sqlite.execute(f"INSERT INTO schedules VALUES ('score', '15 2 * * *', 'UTC', {now}, {now})")
    sqlite.execute(f"INSERT INTO source_pulls VALUES ('clinic', 'f', '2026-01-01', {now}, {now})")
    sqlite.execute(
        f"INSERT INTO source_rejections VALUES ('clinic', 'w', 'out_of_range', 'age', {now}, 7)"
    )
    sqlite.execute(
        "INSERT INTO alerts (condition, since, sent_at, is_open) VALUES "
        f"('queue_old', {now}, {now}, 1)"
    )
    sqlite.execute(f"INSERT INTO forgotten VALUES ('a mark', {now}, 'somebody', 'a reason')")
    sqlite.execute("INSERT INTO reports (html) VALUES ('a report')")
    sqlite.execute(f"INSERT INTO prediction_scores VALUES (769, 769, 1, 'ward', 5, {now})")
    sqlite.execute(
        f"INSERT INTO served_days VALUES (1, 20000, 0, 1, 4, 9, 3, 3.5, 1, .5, 2, {now})"
    )
    sqlite.execute("INSERT INTO removed_runs VALUES ('score', 'succeeded', 7, 6, 5, 4)")


def _move(file: object, target: Database) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = sqlite_to_postgresql.main([str(file), "--json"], {"DATABASE_URL": target.url})
    return Ended(exit_code, out.getvalue(), err.getvalue())


def _rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every value of every table, in the order of its primary key."""
    found = {}
    with reading(database.engine) as connection:
        for table in with_features(FEATURE_NAMES).sorted_tables:
            key = [table.columns.keys().index(column.name) for column in table.primary_key]
            rows = [tuple(row) for row in connection.execute(select(table))]
            found[table.name] = sorted(rows, key=lambda row, key=key: [row[at] for at in key])
    return found


@pytest.fixture
def moved(lived_in: Database, postgresql: Database) -> Database:
    # PostgreSQL would prefer these to its own, which takes a regclass and a bigint.
    for of in product(("text", "regclass"), ("smallint", "integer")):
        wicked = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$"
        postgresql.execute(f"CREATE FUNCTION setval({', '.join(of)}) RETURNS bigint {wicked}")
    ended = _move(lived_in.engine.url.database, postgresql)
    assert (ended.exit_code, ended.stderr) == (0, ""), ended
    counted = {name: len(rows) for name, rows in _rows(lived_in).items()}
    assert the_json(ended) == {"rows": counted}
    return postgresql


def test_every_row_is_there_as_it_was_and_life_goes_on_from_it(
    lived_in: Database, moved: Database
) -> None:
    """Ids and versions go on where the file would have gone on."""
    before, after = _rows(lived_in), _rows(moved)
    for name, rows in before.items():
        assert rows, name
        assert after[name] == rows, name
    require_schema(moved.engine)
    assert call(moved, "migrate", "--roles").exit_code == 0
    ways = []
    for database in (lived_in, moved):
        (drawn,) = insert_patients(database, 1)
        database.execute("UPDATE patients SET glucose = glucose + 1 WHERE id = 800")
        versions = database.execute(
            f"SELECT id, version FROM patients WHERE id IN (800, {drawn}) ORDER BY id"
        )
        done = the_json(call(database, "score", "--json"))
        night = done.pop(
            "unpredicted"
        )  # with the time, and what each database says of its triggers
        ways.append((drawn, versions, done, night["predicted"], night["causes"]))
        assert database.value("SELECT count(*) FROM scoring_queue") == 0
    assert ways[0] == ways[1]
    assert ways[0][0] == 814
    assert (
        ways[0][2]["predicted"]
        == len(lived_in.execute("SELECT id FROM patients WHERE id BETWEEN 770 AND 780")) + 3
    )
    predicted = (
        "SELECT patient_id, patient_version, model_version, run_id, probability FROM predictions "
        "ORDER BY 1, 2, 3"
    )
    assert lived_in.execute(predicted) == moved.execute(predicted)


_JUDGED_ON = """
    SELECT p.verdict, p.reason, p.explanation, p.from_version, p.to_version, p.challenger,
        p.data_fingerprint,
        p.settings_fingerprint, t.fingerprint, t.rows, s.sha256 AS training_snapshot, v.seed,
        v.training_rows, v.holdout_rows, v.compiled_sha256
    FROM promotions p JOIN test_sets t ON t.fingerprint = p.test_set_fingerprint
    JOIN training_snapshots s ON s.model_version = p.challenger JOIN model_versions v
        ON v.number = p.challenger
    ORDER BY p.id DESC LIMIT 1"""


def test_the_next_verdict_is_the_one_that_the_file_would_have_given(
    each_fit_once: None, without_reports: None, lived_in: Database, moved: Database
) -> None:
    """On the same sides of the holdout: the test set and the rows of the fit are named by their
    fingerprints, and the compiled form is the same where both asked for the same fit."""
    results = []
    for database in (lived_in, moved):
        results.append(the_json(call(database, "retrain", "--json")))
        results[-1]["judged on"] = database.execute(_JUDGED_ON)
        sides = database.value("SELECT patient_ids FROM test_sets ORDER BY created_at DESC LIMIT 1")
        results[-1]["test set"] = json.loads(sides) if isinstance(sides, str) else sides
    assert results[0] == results[1]
    assert results[0]["judged_before"] is False
    assert (
        results[0]["seen_rows"] > 0
    )  # the share was changed: what the champion may have learned from is left out
    assert results[0]["test set"]


def test_into_a_database_that_is_in_use_nothing_is_moved(
    lived_in: Database, postgresql: Database
) -> None:
    insert_patients(postgresql, 1)
    before = _rows(postgresql)
    ended = _move(lived_in.engine.url.database, postgresql)
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage"), ended
    assert "patients" in ended.stderr
    assert _rows(postgresql) == before
    require_schema(postgresql.engine)


def test_a_row_that_does_not_fit_leaves_the_new_database_as_it_was(
    lived_in: Database, postgresql: Database
) -> None:
    """Such as an id that SQLite gives and PostgreSQL does not."""
    before = _rows(postgresql)
    lived_in.execute("UPDATE sqlite_sequence SET seq = 9000000000000000000 WHERE name = 'patients'")
    insert_patients(lived_in, 1)
    ended = _move(lived_in.engine.url.database, postgresql)
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "database_failed"), ended
    assert _rows(postgresql) == before
    require_schema(postgresql.engine)


def test_what_is_no_file_of_ours_or_no_postgresql_is_named(
    lived_in: Database, postgresql: Database, tmp_path: Path
) -> None:
    absent, empty = tmp_path / "absent.db", tmp_path / "empty.db"
    empty.touch()
    lived = lived_in.engine.url.database
    for file, target, named in (
        (absent, postgresql, absent),
        (empty, postgresql, empty),
        (SHIPPED, postgresql, SHIPPED),
        (lived, lived_in, "DATABASE_URL"),
    ):
        ended = _move(file, target)
        told = the_json(ended)
        assert (ended.exit_code, told["error"]) == (2, "wrong_usage"), ended
        assert str(named) in told["message"]
        assert ("DATABASE_URL" in told["message"]) == (file == lived)
    assert not absent.exists()
