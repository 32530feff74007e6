"""jobs.health turns unhealthy for each cause and back; the metrics and the ping tell what the
database says."""

import re
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from pima.errors import WrongConfiguration
from pima.runs.recorded_run import ping
from pima.runs.ticks import Schedule
from pima.settings.sections import DatabaseSettings, MetricsSettings, PingSettings
from pima.store.engine import writing
from pima.store.schema import HEAD
from pima.store.urls import make_engine
from pima.watch.health import period
from pima.watch.metrics import DatabaseFigures, serve_metrics
from tests.support.databases import PATIENCE_SECONDS, Database, call, free_port, insert_patients
from tests.support.declared import configuration
from tests.support.ledger import insert_run, insert_schedule
from tests.support.scrapes import reads, scrape
from tests.support.shipped import ROOT

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
# What the database itself is asked, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@pytest.fixture
def well(scored_database: Database) -> Database:
    """A service whose scheduler lives and whose jobs have just succeeded."""
    for job in ("score", "retrain"):
        insert_schedule(scored_database, job, LONG_AGO, datetime.now(UTC))
        _run(scored_database, job, "succeeded", datetime.now(UTC))
    return scored_database


def _run(database: Database, job: str, status: str, finished: datetime, counts: str = "{}") -> None:
    started = finished - timedelta(seconds=2.5)
    insert_run(database, job, status, counts=counts, started_at=started, finished_at=finished)


def _complaint(database: Database) -> str:
    ended = call(database, "health")
    assert ended.exit_code in (0, 1)
    assert (ended.exit_code == 0) == (ended.stdout == "healthy\n")
    return ended.stderr


@pytest.mark.parametrize(
    ("code", "change", "breaks", "mends"),
    [
        ("scheduler_silent", "UPDATE schedules SET heartbeat_at = :then", "in 2020", "now"),
        (
            "score_not_succeeding",
            "UPDATE runs SET finished_at = :then WHERE job = 'score'",
            "in 2020",
            "now",
        ),
        (
            "retrain_not_succeeding",
            "UPDATE runs SET status = :then WHERE job = 'retrain'",
            "failed",
            "succeeded",
        ),
        ("queue_old", "UPDATE scoring_queue SET enqueued_at = :then", "in 2020", "now"),
        ("schema_ahead", "UPDATE alembic_version SET version_num = :then", "9999", HEAD),
    ],
)
def test_each_cause_makes_it_unhealthy_and_its_mending_healthy_again(
    well: Database, code: str, change: str, breaks: str, mends: str
) -> None:
    insert_patients(well, 1)
    assert _complaint(well) == ""
    moments = {"in 2020": well.stored(LONG_AGO), "now": well.stored(datetime.now(UTC))}
    well.execute(change, {"then": moments.get(breaks, breaks)})
    assert code in _complaint(well)
    well.execute(change, {"then": moments.get(mends, mends)})
    assert _complaint(well) == ""


@pytest.mark.parametrize(
    ("usual", "now", "told"),
    [
        (timedelta(seconds=3), timedelta(minutes=9), False),  # short ones differ by much
        (timedelta(seconds=3), timedelta(minutes=11), True),
        (timedelta(hours=1), timedelta(hours=3.9), False),
        (timedelta(hours=1), timedelta(hours=4.1), True),
    ],
)
def test_a_retraining_that_takes_far_longer_than_the_last_ones_is_told(
    well: Database, usual: timedelta, now: timedelta, told: bool
) -> None:
    moment = datetime.now(UTC)
    for took in (usual, usual / 2):
        times = {"started_at": moment - took, "finished_at": moment}
        insert_run(well, "retrain", "succeeded", **times)
    running = {"started_at": moment - now, "heartbeat_at": moment}
    insert_run(well, "retrain", "running", trigger="dry_run", **running)
    assert _complaint(well) == ""
    insert_run(well, "retrain", "running", **running)
    assert ("retrain_slow: a retraining has run for" in _complaint(well)) is told
    well.execute("UPDATE runs SET status = 'succeeded', finished_at = heartbeat_at")
    assert _complaint(well) == ""


@on_sqlite
def test_a_first_retraining_is_compared_with_none(well: Database) -> None:
    well.execute("DELETE FROM runs WHERE job = 'retrain'")
    moment = datetime.now(UTC)
    started = moment - timedelta(hours=3)
    insert_run(well, "retrain", "running", started_at=started, heartbeat_at=moment)
    assert "retrain_slow" not in _complaint(well)


def _ended(
    database: Database, status: str, attempt: int = 1, *, ago: int = 0, trigger: str = "schedule"
) -> None:
    """A run of scoring whose last sign of life was so many seconds ago; each at a tick of its
    own."""
    tick = LONG_AGO + timedelta(days=database.value("SELECT max(id) FROM runs"))
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    of_tick = {
        "trigger": trigger,
        "scheduled_for": tick,
        "attempt": attempt,
        "error_code": "a_code",
    }
    insert_run(database, "score", status, **of_tick, heartbeat_at=moment)


@pytest.mark.parametrize(
    ("status", "attempt", "told"),
    [
        ("failed", 1, "failed (a_code)"),
        ("refused", 1, "was refused (a_code)"),
        ("crashed", 1, "crashed (a_code)"),
        ("try_again_later", 4, "gave up after its last try (a_code)"),
        ("try_again_later", 3, None),
        ("interrupted", 1, None),
        ("missed", 1, None),
        ("skipped", 1, None),
        ("running", 1, None),
        ("succeeded", 1, None),
    ],
)
@on_sqlite
def test_the_last_runs_failure_is_told_at_once_until_one_succeeds(
    well: Database, status: str, attempt: int, told: str | None
) -> None:
    _ended(well, status, attempt)
    for later in ("interrupted", "try_again_later", "running"):  # none of them has done the work
        complaint = _complaint(well)
        assert (
            f"score_failed: the last run of score {told}" in complaint if told else complaint == ""
        )
        _ended(well, later)
    _ended(well, "succeeded")
    assert _complaint(well) == ""


def test_a_crash_that_is_noticed_after_a_later_success_is_no_complaint(well: Database) -> None:
    _ended(well, "succeeded", ago=60)
    _ended(well, "crashed", ago=180)
    assert _complaint(well) == ""


@on_sqlite
def test_the_retries_of_the_settings_say_which_try_was_the_last(well: Database) -> None:
    _ended(well, "try_again_later", 2)
    assert call(well, "health", PIMA_SCHEDULE__RETRIES="2").exit_code == 0
    assert call(well, "health", PIMA_SCHEDULE__RETRIES="1").exit_code == 1


@on_sqlite
def test_a_run_that_no_scheduler_started_counts_but_to_be_stopped_or_tried_again_is_no_failure(
    well: Database,
) -> None:
    _ended(well, "failed", trigger="dry_run")
    for status in ("try_again_later", "interrupted"):
        _run(well, "score", status, datetime.now(UTC))
        assert call(well, "health", PIMA_SCHEDULE__RETRIES="0").exit_code == 0
    for status in ("failed", "refused", "crashed"):
        _run(well, "score", status, datetime.now(UTC))
        _ended(well, "succeeded", trigger="dry_run")
        assert "score_failed" in _complaint(well)
        _run(well, "score", "succeeded", datetime.now(UTC))
        assert _complaint(well) == ""


def test_whoever_looks_closes_a_run_that_died_unless_a_scheduler_will(well: Database) -> None:
    for looks in ("health", "status"):
        dead = {"heartbeat_at": datetime.now(UTC) - timedelta(minutes=3)}
        insert_run(well, "score", "running", **dead)
        insert_run(well, "retrain", "running", **dead, scheduled_for=LONG_AGO)
        call(well, looks)
        found = well.execute("SELECT job, status, error_code FROM runs ORDER BY id DESC LIMIT 2")
        assert found == [("retrain", "running", None), ("score", "crashed", "heartbeat_lost")]
        well.execute("DELETE FROM runs WHERE scheduled_for IS NOT NULL")


NOON_ON_SUNDAY = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("15 2 * * *", 24),
        ("0 8,9 * * *", 23),
        ("15 2 * * mon-fri", 72),
        ("0 3 1,2 * *", 29 * 24),
        ("0 3 * * sun", 7 * 24),
        ("* * * * * *", 1 / 60),
        ("0 0 30 2 *", 3652 * 24),
    ],
)
def test_a_period_is_the_longest_gap_near_by(expression: str, hours: float) -> None:
    assert period(Schedule(expression, "UTC"), NOON_ON_SUNDAY) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "change", [datetime(2025, 10, 26, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)]
)
def test_a_period_is_the_same_on_the_days_of_a_clock_change(change: datetime) -> None:
    for minutes in range(-120, 121, 5):
        now = change + timedelta(minutes=minutes)
        assert period(Schedule("*/15 * * * *", "Europe/Berlin"), now) == timedelta(minutes=15)
        assert period(Schedule("0 * * * *", "Europe/Berlin"), now) == timedelta(hours=1)


def test_a_dry_run_is_no_success_and_scores_nothing(well: Database) -> None:
    insert_patients(well, 2)
    before = scrape(well.engine)
    assert call(well, "score", "--dry-run").exit_code == 0
    after = scrape(well.engine)
    assert "(dry run)" in call(well, "status").stdout
    age = "pima_queue_oldest_seconds"
    assert {k: v for k, v in before.items() if k != (age,)} == {
        k: v for k, v in after.items() if k != (age,)
    }
    assert (
        well.value("SELECT count(*) FROM runs WHERE trigger = 'dry_run' AND status = 'succeeded'")
        == 1
    )
    well.execute(
        "UPDATE runs SET finished_at = :old WHERE trigger = 'manual'",
        {"old": well.stored(LONG_AGO)},
    )
    assert "score_not_succeeding" in _complaint(well)


def test_a_job_that_never_succeeded_is_overdue_once_rows_wait_or_another_job_ran(
    database: Database, tmp_path: Path
) -> None:
    """No scheduler has noted since when it should."""
    config = tmp_path / "clinic.toml"
    config.write_text(
        '[[source]]\nname = "clinic"\ntable = "visits"\nkey = "id"\ncolumns = { age = "age" }\n'
    )

    def overdue() -> list[str]:
        told = call(database, "health", "--config", str(config)).stderr
        return sorted(re.findall(r"(\w+) (?:has not succeeded|was not pulled) for", told))

    every = ["clinic", "retrain", "score"]
    assert overdue() == []
    insert_patients(database, 2)
    assert overdue() == []
    moved = "UPDATE scoring_queue SET enqueued_at = :then WHERE patient_id = 1"
    for days, told in ((3, ["clinic", "score"]), (15, every)):
        database.execute(moved, {"then": database.stored(datetime.now(UTC) - timedelta(days=days))})
        assert overdue() == told
    database.execute("DELETE FROM scoring_queue")
    assert overdue() == []
    _run(database, "retrain", "failed", LONG_AGO)
    assert overdue() == every
    for job in ("score", "retrain"):
        _run(database, job, "succeeded", datetime.now(UTC))
    assert overdue() == ["clinic"]
    # A scheduler notes it, at its next start of a source, too.
    insert_schedule(database, "score", datetime.now(UTC), datetime.now(UTC))
    assert overdue() == []


def test_without_any_scheduler_or_database_it_says_so(database: Database) -> None:
    assert "no scheduler has run" in _complaint(database)
    gone = Database(
        "postgresql", "postgresql+psycopg://nobody@127.0.0.1:1/nothing", database.engine
    )
    assert "database_away" in _complaint(gone)


def test_the_metrics_are_the_databases_and_true_after_a_restart(well: Database) -> None:
    insert_patients(well, 3)
    finished = datetime(2026, 11, 1, tzinfo=UTC)
    for _ in range(2):
        _run(
            well,
            "score",
            "succeeded",
            finished,
            '{"predicted": 40, "rejected": 2, "already_scored": 1}',
        )
    _run(well, "score", "failed", finished)
    insert_run(well, "score", "running", trigger="schedule")
    found = scrape(well.engine)
    assert ("pima_job_runs_total", "score", "running") not in found
    assert found["pima_job_runs_total", "pull", "failed"] == 0
    assert found["pima_rows_total", "predicted"] == 80
    assert found["pima_rows_total", "rejected"] == 4
    assert found["pima_job_runs_total", "score", "succeeded"] == 3
    assert found["pima_job_runs_total", "score", "failed"] == 1
    assert found["pima_job_duration_seconds", "score"] == 2.5
    assert found["pima_queue_rows",] == 3
    assert 0 <= found["pima_queue_oldest_seconds",] < 600
    assert found["pima_champion_version",] == 1
    assert 0.5 < found["pima_champion_holdout_accuracy",] < 1
    assert (
        abs(
            found["pima_job_last_success_timestamp_seconds", "retrain"]
            - datetime.now(UTC).timestamp()
        )
        < 600
    )
    assert found["pima_database_up",] == 1


def test_the_endpoint_answers_and_a_database_that_is_away_is_a_zero(postgresql: Database) -> None:
    port = free_port()
    serve_metrics(postgresql.engine, MetricsSettings(port=port), reads())
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS
    ) as answer:
        assert b"pima_database_up 1.0" in answer.read()
    postgresql.execute("ALTER TABLE runs RENAME TO runs_away")
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS
    ) as answer:
        assert b"pima_database_up 0.0" in answer.read()
    with pytest.raises(WrongConfiguration, match=r"metrics\.port"):
        serve_metrics(postgresql.engine, MetricsSettings(port=port), reads())


@pytest.mark.time_limit
def test_however_many_ask_while_a_table_is_held_one_connection_is_theirs(
    postgresql: Database,
) -> None:
    engine = make_engine(postgresql.url, DatabaseSettings(lock_timeout_seconds=1))
    figures, most = DatabaseFigures(engine, reads()), list[int]()
    event.listen(engine, "checkout", lambda *_: most.append(engine.pool.checkedout()))  # type: ignore[attr-defined]

    def ask(_: int) -> float:
        (up,) = figures.collect()
        return float(up.samples[0].value)

    with writing(postgresql.engine) as holder:
        holder.execute(text("LOCK TABLE monitoring IN ACCESS EXCLUSIVE MODE"))
        with ThreadPoolExecutor(5) as threads:
            assert set(threads.map(ask, range(5))) == {0.0}
    engine.dispose()
    assert set(most) == {1}


def test_without_a_port_nothing_listens(sqlite: Database) -> None:
    before = set(threading.enumerate())
    serve_metrics(sqlite.engine, MetricsSettings(), reads())
    assert set(threading.enumerate()) <= before


def test_a_success_and_a_failure_are_told_and_a_stop_is_not(
    receiver: tuple[str, list[str]],
) -> None:
    address, asked = receiver
    settings = PingSettings(score_url=f"{address}/uuid-1/", retrain_url=f"{address}/uuid-2")
    for job, status in (
        ("score", "succeeded"),
        ("retrain", "refused"),
        ("score", "crashed"),
        ("score", "interrupted"),
    ):
        thread = ping(settings, job, status)
        if thread is not None:
            thread.join(PATIENCE_SECONDS)
    assert asked == ["/uuid-1", "/uuid-2/fail", "/uuid-1/fail"]
    assert ping(PingSettings(), "score", "succeeded") is None


@on_sqlite
def test_a_job_that_no_scheduler_started_pings_by_itself(
    scored_database: Database, receiver: tuple[str, list[str]]
) -> None:
    address, asked = receiver
    url = {"PIMA_PING__SCORE_URL": f"{address}/score"}
    assert call(scored_database, "score", **url).exit_code == 0
    assert asked == ["/score"]
    assert call(scored_database, "score", "--dry-run", **url).exit_code == 0
    assert call(scored_database, "status", **url).exit_code == 0
    assert asked == ["/score"]
    insert_patients(scored_database, 1)
    scored_database.execute("UPDATE champion SET model_version = NULL")
    assert call(scored_database, "score", **url).exit_code == 3
    scored_database.execute("DROP TABLE schedules")
    assert call(scored_database, "score", **url).exit_code == 2
    away = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"
    assert call(None, "score", DATABASE_URL=away, **url).exit_code == 75
    assert asked == ["/score", *["/score/fail"] * 3]


@on_sqlite
def test_a_job_that_a_scheduler_started_leaves_the_ping_to_it(
    scored_database: Database, receiver: tuple[str, list[str]]
) -> None:
    address, asked = receiver
    insert_run(scored_database, "score", "running", trigger="schedule", id=77)
    ended = call(
        scored_database, "score", "--run-id", "77", PIMA_PING__SCORE_URL=f"{address}/score"
    )
    assert (ended.exit_code, asked) == (0, [])


def test_a_ping_that_nobody_answers_is_a_warning_without_its_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    uuid = "0b9d7a52-unmistakable"
    settings = PingSettings(score_url=f"http://127.0.0.1:{free_port()}/{uuid}")
    thread = ping(settings, "score", "succeeded")
    assert thread is not None
    thread.join(PATIENCE_SECONDS)
    told = capsys.readouterr()
    assert "not answered" in told.out + told.err
    assert uuid not in told.out + told.err


@on_sqlite
def test_settings_that_say_otherwise_than_the_database_are_told_with_the_first_difference(
    well: Database, tmp_path: Path
) -> None:
    shipped = (ROOT / "pima" / "data" / "features.toml").read_text()
    config = configuration(tmp_path, shipped)
    assert call(well, "health", "--config", config).exit_code == 0
    configuration(tmp_path, shipped.replace("high = 25", "high = 30", 1))
    told = call(well, "health", "--config", config)
    assert told.exit_code == 1
    what = "high of pregnancies is 30.0 in the settings and 25.0 in this database"
    assert f"Not healthy: declaration_differs: {what}; jobs refuse such settings" in told.stderr
    # The same words as a job's that refuses them.
    assert what in call(well, "score", "--config", config).stderr
    # Nor does it hide what else is wrong.
    well.execute("DELETE FROM schedules")
    told = call(well, "health", "--config", config)
    for reason in (what, "scheduler_silent: "):
        assert reason in told.stderr
