"""The scheduler against a clock that the test sets, with real child processes and both
databases."""

import json
import os
import signal
import sys
import tempfile
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from pima.logs import configure_logs
from pima.runs.children import job_command
from pima.runs.scheduler import Scheduler
from pima.settings.sections import ScheduleSettings
from pima.store.engine import writing
from pima.store.service import leases
from pima.store.service.runs import mark_crashed, start_run
from tests.support.databases import Database, clean_environ, insert_many
from tests.support.ledger import insert_run
from tests.support.schedulers import START, TRUE, Clock, python, until, wait_for_children
from tests.support.shipped import ROOT

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
NIGHTLY = ScheduleSettings(score="15 2 * * *", retrain="0 0 29 2 mon", grace_seconds=2)


class Told(list[tuple[str, str]]):
    """The ends that a scheduler has told of."""

    def __call__(self, job: str, status: str) -> None:
        self.append((job, status))


def _scheduler(
    database: Database,
    clock: Clock,
    command: list[str],
    settings: ScheduleSettings = NIGHTLY,
    told: Told | None = None,
) -> Scheduler:
    on_end = Told() if told is None else told
    scheduler = Scheduler(
        database.engine, settings, lambda _job, _run: command, os.environ, clock, on_end
    )
    scheduler.begin()
    return scheduler


def _with(settings: ScheduleSettings, **changed: float | str) -> ScheduleSettings:
    return msgspec.structs.replace(settings, **changed)


def _settled(scheduler: Scheduler) -> None:
    """Do what is due now, to the end of its children."""
    scheduler.step()
    wait_for_children()


def _after_a_night(
    database: Database,
    command: list[str],
    settings: ScheduleSettings = NIGHTLY,
    told: Told | None = None,
) -> tuple[Clock, Scheduler]:
    """A clock and a scheduler whose tick has come and whose children have ended."""
    clock = Clock()
    scheduler = _scheduler(database, clock, command, settings, told)
    clock.now += timedelta(days=1)
    _settled(scheduler)
    return clock, scheduler


def _scheduled(database: Database, columns: str = "status") -> list[tuple[object, ...]]:
    statement = f"SELECT {columns} FROM runs WHERE scheduled_for IS NOT NULL AND job = 'score'"
    found: list[tuple[object, ...]] = database.execute(
        f"{statement} ORDER BY scheduled_for, attempt"
    )
    return found


def test_a_tick_is_run_when_it_comes_and_once(ran_before: Database) -> None:
    clock = Clock()
    scheduler = _scheduler(ran_before, clock, TRUE)
    _settled(scheduler)
    assert _scheduled(ran_before) == []
    for _ in range(3):
        clock.now += timedelta(hours=15)
        _settled(scheduler)
        _settled(scheduler)
    assert (
        _scheduled(ran_before, "status, trigger, attempt, exit_code")
        == [("succeeded", "schedule", 1, 0)] * 2
    )


@on_sqlite
def test_a_clock_that_is_set_back_runs_no_tick_twice_and_misses_none(ran_before: Database) -> None:
    clock = Clock()
    scheduler = _scheduler(ran_before, clock, TRUE)
    nights = 3
    for _ in range(nights * 8):
        clock.now += timedelta(hours=3)
        _settled(scheduler)
    assert len(_scheduled(ran_before)) == nights
    end = clock.now
    clock.now -= timedelta(days=9)
    while clock.now < end + timedelta(days=2):
        _settled(scheduler)
        clock.now += timedelta(hours=3)
    ticks = [row[0] for row in _scheduled(ran_before, "scheduled_for")]
    assert len(ticks) == len(set(ticks)) >= nights + 1
    assert {row[0] for row in _scheduled(ran_before)} == {"succeeded"}


def test_downtime_is_caught_up_by_one_run(ran_before: Database) -> None:
    clock = Clock()
    _scheduler(ran_before, clock, TRUE)  # has seen the schedule, and dies
    clock.now += timedelta(days=9)
    for _ in range(2):  # a second restart owes nothing
        _settled(_scheduler(ran_before, clock, TRUE))
    assert _scheduled(ran_before) == [("missed",)] * 8 + [("succeeded",)]
    assert _scheduled(ran_before, "trigger")[-1] == ("catch_up",)


@on_sqlite
def test_an_edited_schedule_fires_nothing_by_itself(ran_before: Database) -> None:
    clock = Clock()
    _scheduler(ran_before, clock, TRUE)
    clock.now += timedelta(days=3)
    scheduler = _scheduler(ran_before, clock, TRUE, _with(NIGHTLY, score="30 11 * * *"))
    _settled(scheduler)
    assert _scheduled(ran_before) == []
    clock.now += timedelta(days=1)
    _settled(scheduler)
    assert len(_scheduled(ran_before)) == 1


def test_jobs_that_never_ran_are_run_once_retraining_first(database: Database) -> None:
    order = Told()
    scheduler = _scheduler(database, Clock(), TRUE, told=order)
    for _ in range(2):
        _settled(scheduler)
    assert order == [("retrain", "succeeded"), ("score", "succeeded")]
    assert database.execute("SELECT DISTINCT trigger FROM runs") == [("first_run",)]
    _settled(_scheduler(database, Clock(), TRUE))
    assert database.value("SELECT count(*) FROM runs") == 2


@pytest.mark.judge
@pytest.mark.campaign
def test_two_schedulers_make_one_run_a_tick(ran_before: Database, at_length: bool) -> None:
    """Each tick is met by both at the same moment."""
    clock, ticks = Clock(), 200 if at_length else 40
    both = [
        _scheduler(ran_before, clock, TRUE, _with(NIGHTLY, score="* * * * *")) for _ in range(2)
    ]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(ticks):
            clock.now += timedelta(minutes=1)
            list(threads.map(_settled, both))
    assert Counter(row[0] for row in _scheduled(ran_before)) == {"succeeded": ticks}
    assert Counter(row[0] for row in _scheduled(ran_before, "attempt")) == {1: ticks}


@on_sqlite
def test_of_two_schedulers_none_scores_before_the_other_has_retrained(
    database: Database, tmp_path: Path
) -> None:
    clock, over = Clock(), tmp_path / "over"
    first, second = (_scheduler(database, clock, until(over)) for _ in range(2))
    first.step()
    second.step()
    assert database.execute("SELECT job FROM runs") == [("retrain",)]
    over.touch()
    wait_for_children()
    _settled(second)
    _settled(first)
    assert database.execute("SELECT job, status FROM runs ORDER BY id") == [
        ("retrain", "succeeded"),
        ("score", "succeeded"),
    ]


@on_sqlite
@pytest.mark.parametrize("status", ["crashed", "interrupted"])
def test_a_first_run_that_came_to_nothing_is_run_again_by_the_next_scheduler(
    database: Database, status: str
) -> None:
    clock = Clock()
    dying = _scheduler(database, clock, python("import time; time.sleep(8)"))
    dying.step()
    if status == "crashed":
        long_ago = {"beat": database.stored(START - timedelta(days=400))}
        database.execute("UPDATE runs SET heartbeat_at = :beat", long_ago)
    else:
        dying.end()
    clock.now += timedelta(hours=3)
    _settled(_scheduler(database, clock, TRUE))
    dying.end()
    statement = "SELECT status, attempt, trigger FROM runs WHERE job = 'retrain' ORDER BY attempt"
    assert database.execute(statement) == [(status, 1, "first_run"), ("succeeded", 2, "first_run")]


@on_sqlite
def test_a_deaf_child_is_killed_at_the_stop_and_its_run_marked(ran_before: Database) -> None:
    clock = Clock()
    deaf = python("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    scheduler = _scheduler(ran_before, clock, deaf, _with(NIGHTLY, grace_seconds=0.5))
    clock.now += timedelta(days=1)
    scheduler.step()
    scheduler.end()
    assert _scheduled(ran_before, "status, error_code, signal") == [
        ("interrupted", "killed_at_stop", "SIGKILL")
    ]
    clock.now += timedelta(days=1)
    _settled(scheduler)
    assert _scheduled(ran_before, "status, error_code")[1:] == [
        ("interrupted", "stopped_before_it_began")
    ]


@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
def test_a_stop_that_meets_a_job_before_it_listens_stops_it_and_kills_nothing(
    scored_database: Database,
) -> None:
    database, clock = scored_database, Clock()
    insert_many(database, 20_000)
    environ = clean_environ() | {"DATABASE_URL": database.url, "PIMA_SCORE__BATCH_ROWS": "1"}
    settings = _with(NIGHTLY, grace_seconds=60)
    scheduler = Scheduler(database.engine, settings, job_command(None), environ, clock)
    scheduler.begin()
    scheduler.step()  # retraining comes first; there is nothing to train on
    wait_for_children()
    scheduler.step()
    scheduler.end()  # Python takes longer to start than this
    assert _scheduled(database, "status, error_code, exit_code, signal") == [
        ("interrupted", "interrupted", 143, None)
    ]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@on_sqlite
def test_a_run_whose_child_lives_is_not_taken_for_crashed_and_the_next_tick_is_skipped_with_its_reason(
    ran_before: Database, tmp_path: Path
) -> None:
    clock, over = Clock(), tmp_path / "over"
    scheduler = _scheduler(ran_before, clock, until(over))
    clock.now += timedelta(days=1)
    scheduler.step()
    long_ago = {"beat": ran_before.stored(START - timedelta(days=400))}
    ran_before.execute("UPDATE runs SET heartbeat_at = :beat WHERE status = 'running'", long_ago)
    scheduler.step()
    assert _scheduled(ran_before) == [("running",)]
    clock.now += timedelta(days=1)
    scheduler.step()
    over.touch()
    wait_for_children()
    assert _scheduled(ran_before, "status, error_code") == [
        ("succeeded", None),
        ("skipped", "still_running"),
    ]


@on_sqlite
def test_a_childs_plain_words_become_lines_like_the_others(
    ran_before: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json")
    dying = python("import sys; print('native: assertion failed', file=sys.stderr); sys.exit(1)")
    _after_a_night(ran_before, dying)
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert "native: assertion failed" in events
    assert _scheduled(ran_before, "error_line") == [("native: assertion failed",)]


@pytest.mark.parametrize(
    "words", ["\\0", "\\ud800", "[" * 3000], ids=["NUL", "half a character", "brackets"]
)
def test_whatever_a_child_says_at_its_end_is_recorded(ran_before: Database, words: str) -> None:
    as_json = json.dumps({"event": "error: WORDS"}).replace(
        "WORDS", words.replace("\\0", "\\u0000")
    )
    program = (
        f"import os; os.write(2, {as_json.encode()!r} + b'\\n' + {words.encode()!r} + b'\\0\\n'); "
        "os._exit(1)"
    )
    _after_a_night(ran_before, python(program))
    assert _scheduled(ran_before, "status, error_code") == [("failed", "exit_code_1")]
    assert _scheduled(ran_before, "error_line")[0][0].startswith("error:")


@on_sqlite
def test_it_looks_at_the_clock_soon_though_the_next_tick_is_far_away(ran_before: Database) -> None:
    """As it may be after the clock was set back."""
    assert _scheduler(ran_before, Clock(), TRUE).seconds_to_the_next_step == 5


@on_sqlite
def test_a_child_that_hangs_is_stopped_at_its_time_limit(ran_before: Database) -> None:
    deaf = python("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    _after_a_night(ran_before, deaf, _with(NIGHTLY, time_limit_minutes=0.02, grace_seconds=0.5))
    assert _scheduled(ran_before, "status, error_code, exit_code, signal") == [
        ("failed", "timed_out", None, "SIGKILL")
    ]


@on_sqlite
def test_nothing_temporary_outlives_a_child_that_is_killed(
    ran_before: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = tmp_path / "seen"
    program = f"import os, tempfile; name = tempfile.mkstemp()[1]; open({str(seen)!r}, 'w')"
    _after_a_night(ran_before, python(f"{program}.write(name); os.kill(os.getpid(), 9)"))
    assert _scheduled(ran_before, "signal") == [("SIGKILL",)]
    name = Path(seen.read_text())
    assert name.parent.parent == tmp_path
    assert not name.parent.exists()


KILLED = "import os; os.kill(os.getpid(), 9)"
STOPPED = "import sys; sys.exit(143)"
TRY_LATER = "import sys; print('error: try again', file=sys.stderr); sys.exit(75)"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (KILLED, ("crashed", "killed_by_SIGKILL", None, "SIGKILL", None)),
        (STOPPED, ("interrupted", "interrupted", 143, None, None)),
        (TRY_LATER, ("try_again_later", "try_again_later", 75, None, "error: try again")),
    ],
    ids=["killed", "stopped by somebody else", "75"],
)
@on_sqlite
def test_a_job_that_was_ended_and_exit_code_75_are_tried_again_with_growing_waits_and_told_once(
    ran_before: Database, program: str, expected: tuple[object, ...]
) -> None:
    told = Told()
    clock, scheduler = _after_a_night(
        ran_before, python(program), _with(NIGHTLY, retries=2, retry_seconds=60), told
    )
    for wait, attempts in ((30, 1), (60, 2), (60, 2), (120, 3), (3_600, 3)):
        assert told == ([("score", expected[0])] if attempts == 3 and wait == 3_600 else []), wait
        clock.now += timedelta(seconds=wait)
        _settled(scheduler)
        assert len(_scheduled(ran_before)) == attempts, wait
    assert told == [("score", expected[0])]
    columns = "attempt, status, error_code, exit_code, signal, error_line"
    assert _scheduled(ran_before, columns) == [(n, *expected) for n in (1, 2, 3)]


@pytest.mark.judge
def test_a_job_that_was_killed_gives_up_its_lease_to_the_next_attempt_and_is_told_as_a_success_alone(
    ran_before: Database,
) -> None:
    """As a retraining holds it, for the day that a machine may sleep."""
    holds = """
        import os, sys
        from pima.settings.sections import DatabaseSettings
        from pima.store.service import leases
        from pima.store.engine import writing
        from pima.store.urls import make_engine
        engine = make_engine(os.environ["DATABASE_URL"], DatabaseSettings())
        with writing(engine) as connection:
            fence = leases.take_lease(connection, "retrain", leases.owner_of(int(sys.argv[-1])), 86_400)
        if fence is None:
            sys.exit(75)
        os.kill(os.getpid(), 9) if fence == 1 else None
        """
    clock, told = Clock(), Told()

    def command(_job: str, run_id: int) -> list[str]:
        return [sys.executable, "-c", textwrap.dedent(holds), str(run_id)]

    environ = clean_environ() | {"DATABASE_URL": ran_before.url, "PYTHONPATH": str(ROOT)}
    scheduler = Scheduler(
        ran_before.engine, _with(NIGHTLY, retry_seconds=1), command, environ, clock, on_end=told
    )
    scheduler.begin()
    clock.now += timedelta(days=1)
    _settled(scheduler)
    clock.now += timedelta(seconds=2)
    _settled(scheduler)
    assert _scheduled(ran_before, "status, trigger") == [
        ("crashed", "schedule"),
        ("succeeded", "schedule"),
    ]
    assert told == [("score", "succeeded")]


def test_a_run_without_a_sign_of_life_gives_up_its_lease(database: Database) -> None:
    with writing(database.engine) as connection:
        run_id = start_run(connection, "retrain", "manual", None, "elsewhere") or 0
        assert leases.take_lease(connection, "retrain", leases.owner_of(run_id), 86_400) == 1
        long_ago = {"long_ago": database.stored(datetime(2020, 1, 1, tzinfo=UTC)), "id": run_id}
        connection.execute(
            text("UPDATE runs SET heartbeat_at = :long_ago WHERE id = :id"), long_ago
        )
        assert [run.id for run in mark_crashed(connection)] == [run_id]
        assert leases.take_lease(connection, "retrain", "the next", 60) == 2


@pytest.mark.parametrize(
    ("command", "ended"),
    [
        (python("import sys; sys.exit(1)"), ("failed", "exit_code_1")),
        (python("import sys; sys.exit(3)"), ("refused", "refused")),
        (["/no/such/program"], ("failed", "not_started")),
    ],
    ids=["failed", "refused", "not started"],
)
@on_sqlite
def test_other_ends_are_not_tried_again_and_told_at_once(
    ran_before: Database, command: list[str], ended: tuple[str, str]
) -> None:
    told = Told()
    clock, scheduler = _after_a_night(ran_before, command, told=told)
    for _ in range(2):
        clock.now += timedelta(minutes=20)
        _settled(scheduler)
    assert _scheduled(ran_before, "status, error_code") == [ended]
    assert told == [("score", ended[0])]


@on_sqlite
def test_a_job_that_is_killed_each_time_is_given_up_after_ten_attempts_whoever_starts_it(
    ran_before: Database,
) -> None:
    clock, told = Clock(), Told()
    settings = _with(NIGHTLY, retries=3, retry_seconds=1)
    _scheduler(ran_before, clock, TRUE, settings)
    clock.now += timedelta(days=1)
    for attempts in (
        4,
        8,
        10,
        10,
    ):  # each scheduler tries four times, as long as there are attempts left
        scheduler = _scheduler(ran_before, clock, python(KILLED), settings, told)
        for _ in range(6):
            _settled(scheduler)
            clock.now += timedelta(seconds=30)
        assert _scheduled(ran_before) == [("crashed",)] * attempts
    assert told == [("score", "crashed")] * 3


@pytest.mark.judge
@pytest.mark.parametrize("when", ["at the start", "later"])
def test_a_run_whose_scheduler_died_is_found_and_caught_up_by_another_and_told_once(
    ran_before: Database, when: str
) -> None:
    clock, told = Clock(), Told()
    living = _scheduler(ran_before, clock, TRUE, told=told)
    clock.now += timedelta(days=1)
    _lost_run(ran_before, "score", clock.now.replace(hour=2, minute=15))
    if when == "at the start":
        living = _scheduler(ran_before, clock, TRUE, told=told)
    _settled(living)
    _settled(living)
    assert _scheduled(ran_before, "status, error_code, attempt") == [
        ("crashed", "heartbeat_lost", 1),
        ("succeeded", None, 2),
    ]
    assert told == [("score", "succeeded")]


def _lost_run(database: Database, job: str, tick: datetime | None, attempt: int = 1) -> None:
    """A run that has given no sign of life for long."""
    of_tick = {"trigger": "schedule", "scheduled_for": tick, "attempt": attempt}
    insert_run(database, job, "running", **of_tick, heartbeat_at=START - timedelta(days=400))


def test_a_database_that_is_away_at_the_tick_is_waited_for(postgresql: Database) -> None:
    clock = Clock()
    scheduler = _scheduler(postgresql, clock, TRUE)
    _settled(scheduler)
    _settled(scheduler)
    clock.now += timedelta(days=1)
    postgresql.execute("ALTER TABLE runs RENAME TO runs_away")
    _settled(scheduler)
    postgresql.execute("ALTER TABLE runs_away RENAME TO runs")
    _settled(scheduler)
    assert _scheduled(postgresql, "trigger, status")[-1] == ("schedule", "succeeded")
