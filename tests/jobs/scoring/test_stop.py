"""A person stops the champion: nothing is scored until a person ends that."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.runs.recorded_run import recorded_run
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, Start, drain, score_queue
from pima.store.engine import reading, writing
from pima.store.models import registry
from tests.support.alert_receiver import AlertReceiver
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    held_in_the_middle,
    insert_patients,
    the_json,
    until_someone_waits_for_a_lock,
    wait_for,
    without_triggers,
)
from tests.support.ledger import insert_run, insert_schedule
from tests.support.parquet_rows import bytes_below, drawn_rows, write_rows
from tests.support.schedulers import EVERY_SECOND, stop
from tests.support.scored_once import QUEUED, assert_each_once, insert_mostly_sound
from tests.support.scrapes import alarms

SUSPEND = ("models", "suspend", "--reason", "an analyser was exchanged")
PROMOTE_ANOTHER = ("models", "promote", "2", "--reason", "the one before was sound")


def _suspend(database: Database) -> None:
    ended = call(database, *SUSPEND)
    assert ended.exit_code == 0, ended.stderr
    assert re.fullmatch(
        r"champion: version 1, suspended since \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", ended.stdout
    )


def _suspended_at(database: Database) -> datetime | None:
    with reading(database.engine) as connection:
        return registry.read_champion(connection).suspended_at


def _suspended_rows(database: Database) -> list[tuple[bool, int]]:
    found = "SELECT suspended, count(*) FROM current_predictions GROUP BY suspended"
    return [(bool(each), rows) for each, rows in database.execute(found)]


@pytest.mark.judge
def test_a_stop_keeps_rows_waiting_until_a_person_promotes(scored_database: Database) -> None:
    database = scored_database
    insert_patients(database, 5)
    assert call(database, "score").exit_code == 0
    assert _suspended_rows(database) == [(False, 5)]
    _suspend(database)
    insert_patients(database, 3)
    for _ in range(2):
        ended = call(database, "score")
        assert ended.exit_code == 0, ended.stderr
        assert re.search(
            r"^suspended since \d{4}-\d\d-\d\d \d\d:\d\d UTC, 3 rows wait$", ended.stdout, re.M
        )
    assert database.value("SELECT count(*) FROM scoring_queue") == 3
    assert _suspended_rows(database) == [(True, 5)]
    assert database.value("SELECT model_version FROM champion") == 1
    moves = "SELECT verdict, reason, explanation, from_version, to_version FROM promotions"
    assert database.execute(f"{moves} ORDER BY id DESC LIMIT 1") == [
        ("suspended", "by_hand", "an analyser was exchanged", 1, 1)
    ]
    assert call(database, "models", "promote", "1", "--reason", "it was sound").exit_code == 0
    assert the_json(call(database, "score", "--json"))["predicted"] == 3
    assert _suspended_rows(database) == [(False, 8)]


@pytest.mark.judge
def test_what_does_not_end_a_stop_leaves_it(scored_database: Database) -> None:
    database = scored_database
    assert call(database, *PROMOTE_ANOTHER).exit_code == 0
    assert call(database, *SUSPEND).exit_code == 0
    before = _suspended_at(database)
    again = call(database, *SUSPEND)
    assert (again.exit_code, "is suspended since 20" in again.stderr) == (2, True)
    for command in ("pin", "unpin", "rollback"):
        ended = call(database, "models", command, "--reason", "a test")
        assert (ended.exit_code, ", suspended since 20" in ended.stdout) == (0, True)
        assert _suspended_at(database) == before
    assert database.value("SELECT model_version FROM champion") == 1
    dry = the_json(call(database, "score", "--dry-run", "--json"))
    assert before is not None
    assert dry["suspended"] == {"since": before.isoformat(timespec="seconds"), "waiting": 0}
    assert call(database, *PROMOTE_ANOTHER).exit_code == 0
    assert _suspended_at(database) is None
    refused = call(database, *PROMOTE_ANOTHER, "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "wrong_usage")


def test_without_a_champion_there_is_nothing_to_stop(database: Database) -> None:
    ended = call(database, *SUSPEND)
    assert (ended.exit_code, "no champion to suspend" in ended.stderr) == (2, True)
    assert database.execute("SELECT sequence, last_stop, suspended_at FROM champion") == [
        (0, 0, None)
    ]
    assert database.value("SELECT count(*) FROM promotions") == 0


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_a_stop_that_is_killed_is_there_with_its_line_in_the_ledger_or_not_at_all(
    scored_database: Database,
) -> None:
    database = scored_database
    with writing(database.engine) as connection:
        connection.execute(text("LOCK TABLE promotions IN EXCLUSIVE MODE"))
        process = database.start(*SUSPEND)
        until_someone_waits_for_a_lock(database)  # it has moved the pointer
        process.kill()
        process.communicate()
    stopped = "SELECT verdict FROM promotions WHERE verdict = 'suspended'"
    # Its session may outlive it, and commit nothing.
    assert call(database, *SUSPEND).exit_code == 0
    assert database.execute(stopped) == [("suspended",)]
    assert database.execute("SELECT sequence, last_stop FROM champion") == [(2, 2)]


# ---- A run under way.


class Meanwhile(StopRequest):
    """What a person does between two batches of a run."""

    def __init__(self, database: Database, batches: int, *commands: tuple[str, ...]) -> None:
        super().__init__()
        self._database, self._left, self._commands = database, batches, commands

    def check(self) -> None:
        super().check()
        if self._left == 0:
            for each in self._commands:
                assert call(self._database, *each).exit_code == 0
        self._left -= 1


@pytest.mark.judge
@pytest.mark.parametrize("then", [(), (PROMOTE_ANOTHER,)], ids=["suspended", "promoted at once"])
def test_a_run_that_began_before_a_stop_ends_before_its_next_batch(
    scored_database: Database, then: tuple[tuple[str, ...], ...]
) -> None:
    database = scored_database
    insert_patients(database, 10)
    meanwhile = Meanwhile(database, 2, SUSPEND, *then)
    with recorded_run(database.engine, "score", None, dry_run=False) as run:
        score_queue(database.engine, run, ScoreOptions(2), meanwhile)
    assert_each_once(database, 10, waiting=6)
    assert (run.counts["claimed"], run.counts["suspended"]["waiting"]) == (4, 6)
    assert (run.counts["suspended"]["since"] is None) == bool(then)
    assert "unpredicted" not in run.counts
    left = the_json(call(database, "score", "--json"))
    assert left["predicted"] == 6 * bool(then)
    versions = "SELECT model_version, count(*) FROM predictions GROUP BY 1 ORDER BY 1"
    assert database.execute(versions) == ([(1, 4), (2, 6)] if then else [(1, 4)])


def test_processes_that_share_a_run_end_before_their_next_batch(
    scored_database: Database,
) -> None:
    database = scored_database
    insert_patients(database, 10)

    def hand_out(start: Start) -> None:
        assert call(database, *SUSPEND).exit_code == 0
        assert call(database, *PROMOTE_ANOTHER).exit_code == 0
        with ThreadPoolExecutor(2) as threads:
            given = (database.engine, run.id, start, ScoreOptions(2), StopRequest())
            for each in [threads.submit(drain, *given) for _ in range(2)]:
                each.result()

    with recorded_run(database.engine, "score", None, dry_run=False) as run:
        score_queue(database.engine, run, ScoreOptions(2), StopRequest(), hand_out)
    assert_each_once(database, 10, waiting=10)
    assert run.counts["suspended"] == {"since": None, "waiting": 10}


@pytest.mark.judge
@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_a_stop_waits_for_no_scorer_and_lets_the_batch_at_hand_be_committed(
    scored_database: Database,
) -> None:
    database = scored_database
    insert_mostly_sound(database)
    process = database.start("score", "--json", "--batch-size", "20", PIMA_SCORE__WORKERS="1")
    with held_in_the_middle(database, process, range(600, QUEUED // 2)):
        assert call(database, *SUSPEND).exit_code == 0
        before = database.value("SELECT count(*) FROM predictions")
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    counts = json.loads(stdout)
    assert before < counts["predicted"] <= before + 20
    assert counts["suspended"]["waiting"] == QUEUED - counts["claimed"]
    assert_each_once(database, waiting=QUEUED - counts["claimed"])
    assert call(database, *PROMOTE_ANOTHER).exit_code == 0
    assert call(database, "score").exit_code == 0
    assert_each_once(database)


# ---- What is told meanwhile.

TOLD = r"version 1, suspended since \d{4}-\d\d-\d\d \d\d:\d\d UTC"


@pytest.fixture
def well(scored_database: Database) -> Database:
    """A service whose scheduler lives and whose jobs have just succeeded, with a prediction."""
    now = datetime.now(UTC)
    for job in ("score", "retrain"):
        insert_schedule(scored_database, job, now - timedelta(days=400), now)
        insert_run(scored_database, job, "succeeded", started_at=now, finished_at=now)
    insert_patients(scored_database, 5)
    assert call(scored_database, "score").exit_code == 0
    return scored_database


def _titles(database: Database, listener: AlertReceiver) -> list[str]:
    assert call(database, "alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
    return listener.titles


def test_everything_says_that_it_is_suspended_and_nothing_that_only_follows_from_waiting(
    well: Database, listener: AlertReceiver, tmp_path: Path
) -> None:
    before = _titles(well, listener)
    _suspend(well)
    insert_patients(well, 20)
    long_ago = well.stored(datetime.now(UTC) - timedelta(days=30))
    well.execute("UPDATE scoring_queue SET enqueued_at = :then", {"then": long_ago})
    assert call(well, "score").exit_code == 0
    ended = call(well, "health")
    assert ended.exit_code == 1
    assert re.fullmatch(rf"error: Not healthy: suspended: {TOLD}; 20 rows wait\n", ended.stderr)
    for _ in range(2):
        assert _titles(well, listener) == [*before, "suspended"]
    message = listener.got[-1]["message"]
    assert re.match(rf"V{TOLD[1:]}; 20 rows wait\.\n", message)
    assert "docs/do/stop.md" in message
    status = call(well, "status", COLUMNS="300").stdout
    assert re.search(TOLD.replace(",", ", trained .*,"), " ".join(status.split()))
    assert the_json(call(well, "status", "--json"))["champion"]["suspended_at"] is not None
    assert "\n suspended) " in call(well, "models", "list").stdout
    assert the_json(call(well, "models", "list", "--json"))["suspended_at"] is not None
    assert "suspended" in alarms(well.engine)
    report = tmp_path / "report.html"
    assert call(well, "report", "--out", str(report)).exit_code == 0
    assert "<strong>Suspended</strong> by a person since" in report.read_text()
    assert call(well, "models", "promote", "1", "--reason", "it is sound").exit_code == 0
    assert call(well, "health").exit_code == 0  # they wait for the next run
    assert call(well, "score").exit_code == 0
    assert call(well, "health").exit_code == 0
    assert _titles(well, listener) == [*before, "suspended", "suspended is over"]


def test_what_wins_during_a_stop_is_no_alert_beside_that_of_the_stop(
    well: Database, listener: AlertReceiver
) -> None:
    before = _titles(well, listener)
    _suspend(well)
    verdict = (
        "INSERT INTO promotions (verdict, reason, explanation, from_version, to_version, "
        "challenger, champion_sequence, figures, decided_by) SELECT 'blocked', :reason, '', 1, 1, "
        "2, sequence, '{}', 'retrain' FROM champion"
    )
    for reason in ("suspended", "suspended", "rolled_back_before"):
        well.execute(verdict, {"reason": reason})
    told = _titles(well, listener)[len(before) :]
    blocked = well.value("SELECT max(id) FROM promotions")
    assert sorted(told) == ["suspended", f"verdict_blocked:{blocked}"]


def test_nights_of_a_stop_and_the_one_after_it_are_no_nights_of_few_rows(well: Database) -> None:
    """A hundred rows came each night. Of those of a stop most got their outcome while they
    waited."""
    stopped = json.dumps({"claimed": 0, "suspended": {"since": None, "waiting": 100}})
    for night in range(1, 64):
        counts = json.dumps({"claimed": 100}) if night > 5 else stopped
        began = datetime.now(UTC) - timedelta(days=night)
        insert_run(well, "score", "succeeded", counts=counts, started_at=began, finished_at=began)
    figures = "SELECT figure, state FROM monitoring WHERE kind = 'volume' AND run_id = {}"
    _suspend(well)
    night = the_json(call(well, "score", "--json"))
    assert well.execute(figures.format(night["run_id"])) == []
    assert call(well, *PROMOTE_ANOTHER).exit_code == 0
    insert_patients(well, 40)
    night = the_json(call(well, "score", "--json"))
    assert (night["predicted"], "suspended" in night) == (40, False)
    assert well.execute(figures.format(night["run_id"])) == [("rows", "usual")]


def test_a_night_of_a_stop_judges_no_rows_but_outcomes_that_settle(well: Database) -> None:
    well.execute("DELETE FROM monitoring")
    _suspend(well)
    well.execute("UPDATE patients SET outcome = 1")
    settled = well.stored(datetime.now(UTC) - timedelta(days=1))
    with without_triggers(well):
        well.execute("UPDATE patients SET labelled_at = :then", {"then": settled})
    night = the_json(call(well, "score", "--json"))
    assert "unpredicted" not in night
    kinds = "SELECT DISTINCT kind FROM monitoring WHERE run_id = {}"
    assert well.execute(kinds.format(night["run_id"])) == [("settled",)]


def test_rows_that_a_pull_rejects_during_a_stop_are_told_of_once_it_is_over(
    well: Database,
) -> None:
    """Beside rows that wait, the few that were rejected would be all."""
    _suspend(well)
    insert_patients(well, 100)
    rejected = ", ".join(f"('clinic', 'v{n}', 'missing', 'age', 999)" for n in range(12))
    columns = "source, source_key, reason, field, run_id"
    well.execute(f"INSERT INTO source_rejections ({columns}) VALUES {rejected}")
    assert call(well, "score").exit_code == 0
    assert "rows_without_prediction" not in call(well, "health").stderr


# ---- Elsewhere than in the database.


def test_files_and_exports_say_that_it_is_suspended(well: Database, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "patients.parquet", drawn_rows(5))
    before = tmp_path / "before.pima"
    assert call(well, "models", "export", "1", "--out", str(before)).exit_code == 0
    _suspend(well)
    into = ("--input", str(source), "--output", str(tmp_path / "refused"))
    refused = call(well, "score", "--json", *into)
    assert (refused.exit_code, the_json(refused)["error"]) == (3, "champion_suspended")
    assert "The champion, version 1, is suspended since 20" in refused.stderr
    assert not (tmp_path / "refused").exists()
    model, other = tmp_path / "version-1.pima", tmp_path / "version-2.pima"
    told = "Version 1, suspended since 20"
    assert told in call(well, "models", "export", "1", "--out", str(model)).stderr
    assert told in call(well, "models", "export", "1", str(tmp_path / "1.keras")).stderr
    assert call(well, "models", "export", "2", "--out", str(other)).stderr == ""
    for n, (database, which) in enumerate([(well, "1"), (None, str(model))]):
        into = ("--input", str(source), "--output", str(tmp_path / str(n)), "--model", which)
        ended = call(database, "score", *into)
        assert (ended.exit_code, told in ended.stderr) == (0, True)
    assert bytes_below(tmp_path / "0") == bytes_below(tmp_path / "1")
    exported = call(well, "export", "predictions").stdout.splitlines()
    assert [line.rpartition(",")[2] for line in exported] == ["suspended", *["true"] * 5]
    assert call(well, "models", "promote", "1", "--reason", "it is sound").exit_code == 0
    again = tmp_path / "again.pima"
    assert call(well, "models", "export", "1", "--out", str(again)).stderr == ""
    assert again.read_bytes() == before.read_bytes()
    into = ("--input", str(source), "--output", str(tmp_path / "2"), "--model", str(again))
    assert "suspended" not in call(None, "score", *into).stderr
    exported = call(well, "export", "predictions").stdout.splitlines()
    assert {line.rpartition(",")[2] for line in exported[1:]} == {"false"}


# ---- Nights that nobody starts by hand.


def test_a_scheduler_goes_on_through_a_stop_and_scores_what_waited_when_it_is_over(
    scored_database: Database, listener: AlertReceiver
) -> None:
    database = scored_database
    insert_patients(database, 3)
    environ = {
        "PIMA_ALERTS__URLS": listener.url,
        "PIMA_SCHEDULE__SCORE": EVERY_SECOND,
        "PIMA_SCHEDULE__RETRAIN": "0 0 29 2 mon",
        "PIMA_SCHEDULE__CATCH_UP": "none",
    }
    process = database.start("scheduler", **environ)
    predictions = "SELECT count(*) FROM predictions"
    wait_for(lambda: database.value(predictions) == 3, process)
    _suspend(database)
    insert_patients(database, 2)
    ended = "SELECT count(*) FROM runs WHERE status = 'succeeded' AND counts ->> 'suspended' <> ''"
    wait_for(lambda: database.value(ended) >= 2, process)
    wait_for(lambda: "suspended" in listener.titles, process)
    assert database.value(predictions) == 3
    assert _suspended_rows(database) == [(True, 3)]
    assert call(database, *PROMOTE_ANOTHER).exit_code == 0
    wait_for(lambda: database.value(predictions) == 5, process)
    wait_for(lambda: "suspended is over" in listener.titles, process)
    stop(process)
    failed = "SELECT count(*) FROM runs WHERE status IN ('failed', 'refused', 'crashed')"
    assert database.value(failed) == 0
    assert _suspended_rows(database) == [(False, 5)]
    told = {title for title in listener.titles if not title.startswith("champion_changed")}
    assert told == {"suspended", "suspended is over"}
