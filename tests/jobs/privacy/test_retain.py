"""Removing what is old: what nobody needs any more goes, in small transactions, and nothing
else."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from pima.erasing import retaining
from pima.store.engine import reading
from pima.store.service import monitoring
from pima.store.tables import predictions
from tests.support.databases import Database, call, insert_many, insert_patients, the_json
from tests.support.ledger import insert_run
from tests.support.settled import NOW
from tests.support.trained import install_models

OLD, YOUNG = NOW - timedelta(days=300), NOW - timedelta(days=20)
ASKED = ("--older-than", "200")


@pytest.fixture
def lived_in(scored_database: Database) -> Database:
    """Rows of each fate: of each a version that was predicted or rejected 300 days ago, and some of
    20 days ago."""
    found = scored_database
    insert_patients(found, 12)
    insert_patients(found, 3, bmi=5_000)
    assert call(found, "score").exit_code == 0
    found.execute(
        "UPDATE predictions SET scored_at = :old WHERE patient_id <= 10", {"old": found.stored(OLD)}
    )
    found.execute(
        "UPDATE predictions SET scored_at = :young WHERE patient_id > 10",
        {"young": found.stored(YOUNG)},
    )
    found.execute("UPDATE rejections SET rejected_at = :old", {"old": found.stored(OLD)})
    # 1 to 3, 11 and 13 are corrected and scored again, and labelled but for 13; 4 to 7 and 14 are
    # deleted; 15 is rejected still.
    found.execute("UPDATE patients SET age = age + 1 WHERE id IN (1, 2, 3, 11)")
    found.execute("UPDATE patients SET bmi = 30 WHERE id = 13")
    found.execute("UPDATE row_history SET replaced_at = :young", {"young": found.stored(YOUNG)})
    assert call(found, "score").exit_code == 0
    found.execute("UPDATE patients SET outcome = 1 WHERE id IN (1, 2, 3, 11)")
    found.execute("DELETE FROM patients WHERE id IN (4, 5, 6, 7, 14)")
    return found


def _kept(database: Database, table: str = "predictions") -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT patient_id, patient_version FROM {table} ORDER BY 1, 2")


def test_what_lives_or_is_young_stays_and_the_rest_goes(lived_in: Database) -> None:
    ended = call(lived_in, "retain", "--older-than", "182", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "too_young_to_remove")
    assert lived_in.value("SELECT count(*) FROM runs WHERE job = 'retain'") == 0
    before, current = (
        _kept(lived_in),
        lived_in.execute("SELECT * FROM current_predictions WHERE NOT superseded"),
    )
    assert len(before) == 17
    # A dry run counts, and so does the real one.
    would = the_json(call(lived_in, "retain", *ASKED, "--dry-run", "--json"))
    assert (_kept(lived_in), would["predictions"], would["rejections"]) == (before, 7, 2)
    found = the_json(call(lived_in, "retain", *ASKED, "--json"))
    assert (found["predictions"], found["rejections"]) == (7, 2)
    gone = sorted(set(before) - set(_kept(lived_in)))
    assert [row[0] for row in gone] == [1, 2, 3, 4, 5, 6, 7]
    assert [row[0] for row in _kept(lived_in, "rejections")] == [15]
    shown = lived_in.execute("SELECT * FROM current_predictions WHERE NOT superseded")
    assert set(shown) == {row for row in current if row[0] not in range(4, 8)}
    # Nothing that waits for nobody is taken for lost.
    assert the_json(call(lived_in, "requeue", "--json")) == {"requeued": 0, "skipped": 0}
    assert the_json(call(lived_in, "retain", *ASKED, "--json"))["predictions"] == 0
    # The settings may allow what is younger.
    assert (
        call(lived_in, "retain", "--older-than", "10", PIMA_RETAIN__MINIMUM_DAYS="10").exit_code
        == 0
    )
    assert [row[0] for row in _kept(lived_in)] == [1, 2, 3, 8, 9, 10, 11, 12, 13]


def test_values_that_a_verdict_may_need_stay(lived_in: Database) -> None:
    for code, older_than, settings in (
        (3, "209", {"PIMA_GATE__WINDOW_WEEKS": "30"}),
        (0, "210", {"PIMA_GATE__WINDOW_WEEKS": "30"}),
        (2, "5000", {"PIMA_GATE__WINDOW": "all"}),
    ):
        ended = call(lived_in, "retain", "--older-than", older_than, "--values", **settings)
        assert ended.exit_code == code, ended.stderr


def test_runs_go_and_what_they_have_counted_stays(lived_in: Database) -> None:
    def figures() -> tuple[Any, ...]:
        with reading(lived_in.engine) as connection:
            by_status = monitoring.runs_by_status(connection)
            return monitoring.rows_by_result(connection), {
                key: by_status[key] for key in by_status if key[0] != "retain"
            }

    old = {"started_at": OLD, "heartbeat_at": OLD}
    counted = {
        "trigger": "schedule",
        "counts": '{"predicted": 5, "rejected": 2, "already_scored": 1}',
    }
    for tick, status in enumerate(("succeeded", "missed", "failed", "succeeded")):
        insert_run(
            lived_in, "score", status, **old, **counted, scheduled_for=OLD + timedelta(days=tick)
        )
    by_hand = [
        ("retrain", "succeeded"),
        ("score", "running"),
        ("pull", "succeeded"),
        ("pull", "failed"),
    ]
    for job, status in (*by_hand, ("score", "succeeded")):
        # A tick's, since whoever looks closes the others that give no sign of life.
        of_tick = {"scheduled_for": OLD, "attempt": 2} if status == "running" else {}
        insert_run(lived_in, job, status, **old, **of_tick)
    lived_in.execute(
        "UPDATE runs SET heartbeat_at = :moment WHERE job = 'score'",
        {"moment": lived_in.stored(OLD)},
    )

    def of_runs(table: str, column: str = "run_id") -> set[int]:
        return {row[0] for row in lived_in.execute(f"SELECT DISTINCT {column} FROM {table}")}

    there, watched = of_runs("runs", "id"), [of_runs("tallies"), of_runs("monitoring")]
    before = figures()
    found = the_json(call(lived_in, "retain", *ASKED, "--json"))
    left = lived_in.execute("SELECT job, status FROM runs WHERE job <> 'retain' ORDER BY id")
    # The newest tick, whatever retraining did, what runs, pulls by hand, and the newest success.
    assert left == [("score", "succeeded"), *by_hand, ("score", "succeeded")]
    assert found["runs"] == 5
    assert figures() == before
    gone = there - of_runs("runs", "id")
    assert all(gone & each for each in watched)
    assert [of_runs("tallies"), of_runs("monitoring")] == [each - gone for each in watched]


def test_rows_that_are_moved_are_in_files_and_nowhere_else(
    lived_in: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retaining, "WINDOW_ROWS", 2)
    monkeypatch.setattr(retaining, "FILE_ROWS", 3)
    everything = lived_in.execute("SELECT * FROM predictions ORDER BY 1, 2, 3")
    folder = tmp_path / "old"
    found = the_json(call(lived_in, "retain", *ASKED, "--to", str(folder), "--json"))
    files = sorted(path.name for path in folder.iterdir())
    assert sorted(found["files"]) == files
    assert files[:2] == ["predictions-000001.parquet", "predictions-000002.parquet"]
    moved = [
        row for name in files if name.startswith("predictions") for row in _rows(folder / name)
    ]
    columns = [column.name for column in predictions.c]
    assert [tuple(row) for row in moved[0].items()] == list(
        zip(columns, moved[0].values(), strict=True)
    )
    keys = [tuple(row[name] for name in columns[:3]) for row in moved]
    assert sorted(keys) == [
        tuple(row[:3])
        for row in everything
        if row[0] < 8 and (row[0], row[1]) not in _kept(lived_in)
    ]
    assert {row["scored_at"] for row in moved} == {OLD}
    assert len(keys) == len(set(keys)) == found["predictions"] == 7

    # A file that was whole when its rows were not gone yet: they are not moved twice.
    shutil.rmtree(folder)
    lived_in.execute("DELETE FROM patients WHERE id IN (8, 9)")
    before = lived_in.execute("SELECT * FROM predictions ORDER BY 1, 2, 3")
    monkeypatch.setattr(retaining, "_delete_moved", lambda *_: None)
    assert call(lived_in, "retain", *ASKED, "--to", str(folder)).exit_code == 0
    assert lived_in.execute("SELECT * FROM predictions ORDER BY 1, 2, 3") == before
    monkeypatch.undo()
    again = the_json(call(lived_in, "retain", *ASKED, "--to", str(folder), "--json"))
    assert (again["files"], again["predictions"]) == ([], 2)
    assert sum(len(_rows(path)) for path in folder.glob("predictions-*")) == 2
    # Nor is another database's file taken for one of this one's.
    lived_in.execute("DELETE FROM patients WHERE id = 10")
    lived_in.execute("UPDATE installation SET forgetting_salt = 'another'")
    assert call(lived_in, "retain", *ASKED, "--to", str(folder)).exit_code == 2
    assert lived_in.value("SELECT count(*) FROM predictions WHERE patient_id = 10") == 1


def test_a_file_of_an_earlier_call_that_can_not_be_read_is_not_to_be_deleted(
    lived_in: Database, tmp_path: Path
) -> None:
    asked = ("retain", *ASKED, "--to", str(tmp_path / "old"), "--json")
    assert call(lived_in, *asked).exit_code == 0
    file = max((tmp_path / "old").glob("predictions-*"))
    file.write_bytes(file.read_bytes()[:-10])
    lived_in.execute("DELETE FROM patients WHERE id = 8")
    before = _kept(lived_in)
    ended = call(lived_in, *asked)
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "archive_unreadable")
    assert "do not delete it" in the_json(ended)["message"]
    assert _kept(lived_in) == before


def test_a_restored_database_gives_keys_out_again_that_a_file_has(
    lived_in: Database, tmp_path: Path
) -> None:
    folder = str(tmp_path / "old")
    assert call(lived_in, "retain", *ASKED, "--to", folder).exit_code == 0
    # As after a backup from before these rows: others have their ids and versions by now, and are
    # over already.
    (file,) = (tmp_path / "old").glob("predictions-*")
    made = [{**row, "scored_at": lived_in.stored(YOUNG)} for row in _rows(file)]
    columns = [column.name for column in predictions.c]
    for row in made:
        lived_in.execute(
            f"INSERT INTO predictions ({', '.join(columns)}) VALUES "
            f"({', '.join(f':{name}' for name in columns)})",
            row,
        )
    before = _kept(lived_in)
    again = the_json(call(lived_in, "retain", *ASKED, "--to", folder, "--json"))
    assert (again["predictions"], _kept(lived_in)) == (0, before)


def test_who_lost_the_lease_writes_no_file_of_rows_that_were_read_before(
    lived_in: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_away = retaining._put_away

    def slept_past_it(*arguments: Any) -> None:
        lived_in.execute("UPDATE leases SET fence = fence + 1 WHERE name = 'retain'")
        put_away(*arguments)

    monkeypatch.setattr(retaining, "_put_away", slept_past_it)
    before = _kept(lived_in)
    ended = call(lived_in, "retain", *ASKED, "--to", str(tmp_path / "old"), "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "lease_held")
    assert (list((tmp_path / "old").iterdir()), _kept(lived_in)) == ([], before)


def _rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"PAR1 no more"),
        lambda file: pq.write_table(pq.read_table(file).slice(1), file),
    ],
    ids=["unreadable", "lacking a row"],
)
def test_a_file_that_is_not_read_as_written_costs_no_row(
    lived_in: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
) -> None:
    before = _kept(lived_in)
    monkeypatch.setattr(retaining, "_sync", lambda folder: damage(next(folder.iterdir())))
    ended = call(lived_in, "retain", *ASKED, "--to", str(tmp_path / "old"), "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "archive_differs")
    assert _kept(lived_in) == before


def test_a_stop_ends_it_between_two_windows(
    lived_in: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    monkeypatch.setattr(retaining, "WINDOW_ROWS", 2)
    before, real = len(_kept(lived_in)), retaining.end_of_window

    def asked_to_stop(*arguments: Any) -> Any:
        if len(_kept(lived_in)) < before:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(retaining, "end_of_window", asked_to_stop)
    ended = call(lived_in, "retain", *ASKED, "--json")
    assert (ended.exit_code, the_json(ended)["predictions"] >= 2) == (143, True)
    assert len(_kept(lived_in)) == before - the_json(ended)["predictions"]
    monkeypatch.undo()
    assert call(lived_in, "retain", *ASKED).exit_code == 0
    assert len(_kept(lived_in)) == before - 7


DAYS_A_NIGHT = 30
"""The clock is not waited for: what there is becomes so much older between two nights."""


def _night(database: Database, rows: int) -> tuple[int, int]:
    """New rows come and are scored, those of the night before leave, and what is old is removed;
    the predictions that there are then, and their bytes."""
    older = f"- interval '{DAYS_A_NIGHT} days'"
    database.execute(f"UPDATE predictions SET scored_at = scored_at {older}")
    database.execute("DELETE FROM patients")
    insert_many(database, rows)
    scored = the_json(call(database, "score", "--json"))
    assert scored["predicted"] == rows
    assert call(database, "retain", "--older-than", "183").exit_code == 0
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("VACUUM predictions")
        )  # as autovacuum does by itself, in its own time
    return database.execute(
        "SELECT count(*), pg_total_relation_size('predictions') FROM predictions"
    )[0]


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("nights", "rows"),
    [(9, 300), pytest.param(365, 20_000, marks=pytest.mark.at_length)],
    ids=["short", "year"],
)
def test_the_table_does_not_grow_with_the_history(
    postgresql: Database, trained: Path, nights: int, rows: int
) -> None:
    install_models(postgresql, trained)
    left = [_night(postgresql, rows) for _ in range(nights)]
    # Seven nights reach back 180 days.
    kept = 183 // DAYS_A_NIGHT + 1
    full = left[kept:]
    assert {predicted for predicted, _ in full} == {kept * rows}
    assert max(size for _, size in full) <= 1.5 * full[0][1]
