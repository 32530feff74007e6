"""The pull that comes before each tick, against a clock that the test sets, with real child
processes."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pima.runs.due import LONGEST_WAIT_FOR_PULL
from pima.runs.scheduler import Scheduler
from pima.settings.sections import ScheduleSettings
from pima.store.engine import writing
from pima.store.service.runs import Status
from pima.store.service.schedules import note_ticks
from tests.support.databases import Database
from tests.support.ledger import insert_run
from tests.support.schedulers import START, TRUE, Clock, python, until, wait_for_children

# What a scheduler asks of a database, test_scheduler_clock.py shows on both.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

NIGHTLY = ScheduleSettings(
    score="15 2 * * *", retrain="0 0 29 2 mon", grace_seconds=2, retries=2, retry_seconds=60
)
AT_ONCE = msgspec.structs.replace(NIGHTLY, retrain="15 2 * * *")
A_DAY, A_MINUTE = timedelta(days=1), timedelta(minutes=1)


def _ends_with(exit_code: int) -> list[str]:
    return python(f"raise SystemExit({exit_code})")


def _scheduler(
    database: Database,
    clock: Clock,
    pull: list[str],
    settings: ScheduleSettings = NIGHTLY,
    sources: tuple[str, ...] = ("clinic",),
    environ: Mapping[str, str] = os.environ,
    job: list[str] = TRUE,
) -> Scheduler:
    def command(name: str, _run: int) -> list[str]:
        return pull if name == "pull" else job

    scheduler = Scheduler(database.engine, settings, command, environ, clock, sources=sources)
    scheduler.begin()
    return scheduler


def _at_a_tick(
    database: Database, pull: list[str], *given: Any, **named: Any
) -> tuple[Clock, Scheduler]:
    """A scheduler whose next tick has come by its clock."""
    clock = Clock()
    scheduler = _scheduler(database, clock, pull, *given, **named)
    clock.now += A_DAY
    return clock, scheduler


def _settled(*schedulers: Scheduler) -> None:
    """All that is due now, to the end of its children: a pull, then the jobs."""
    for _ in range(3):
        for scheduler in schedulers:
            scheduler.step()
            wait_for_children()


def _scheduled(database: Database, columns: str = "job, status") -> list[tuple[Any, ...]]:
    """The runs of ticks, as they began."""
    found: list[tuple[Any, ...]] = database.execute(
        f"SELECT {columns} FROM runs WHERE scheduled_for IS NOT NULL ORDER BY id"
    )
    return found


PULLED, SCORED = ("pull", "succeeded"), ("score", "succeeded")


def test_each_tick_pulls_and_then_scores(ran_before: Database) -> None:
    clock = Clock()
    scheduler = _scheduler(ran_before, clock, TRUE)
    for _ in range(2):
        clock.now += A_DAY
        _settled(scheduler)
    found = _scheduled(ran_before, "job, trigger, attempt, status, exit_code")
    assert (
        found
        == [("pull", "schedule", 1, "succeeded", 0), ("score", "schedule", 1, "succeeded", 0)] * 2
    )
    ticks = _scheduled(ran_before, "scheduled_for")
    assert ticks[0] == ticks[1] < ticks[2] == ticks[3]


def test_without_a_source_nothing_is_pulled(ran_before: Database) -> None:
    _, scheduler = _at_a_tick(ran_before, TRUE, sources=())
    _settled(scheduler)
    assert _scheduled(ran_before) == [SCORED]
    assert ran_before.execute("SELECT job FROM schedules ORDER BY job") == [
        ("retrain",),
        ("score",),
    ]


def test_two_jobs_of_one_tick_share_its_pull(ran_before: Database, tmp_path: Path) -> None:
    over = tmp_path / "over"
    _, scheduler = _at_a_tick(ran_before, until(over), AT_ONCE)
    scheduler.step()
    scheduler.step()
    assert _scheduled(ran_before) == [("pull", "running")]
    over.touch()
    _settled(scheduler)
    assert _scheduled(ran_before) == [PULLED, ("retrain", "succeeded"), SCORED]


def test_a_tick_that_comes_during_another_s_pull_waits_for_its_end_and_pulls_anew(
    ran_before: Database, tmp_path: Path
) -> None:
    clock, over = Clock(), tmp_path / "over"
    later = msgspec.structs.replace(NIGHTLY, retrain="30 2 * * *")
    scheduler = _scheduler(ran_before, clock, until(over), later)
    clock.now = START.replace(hour=2, minute=15) + A_DAY
    scheduler.step()
    clock.now += timedelta(minutes=15)
    scheduler.step()
    scheduler.step()
    assert _scheduled(ran_before) == [("pull", "running")]
    over.touch()
    _settled(scheduler)
    # The second pull and scoring begin in either order.
    jobs = [job for job, _ in _scheduled(ran_before)]
    assert (jobs[0], sorted(jobs[1:3]), jobs[3:]) == ("pull", ["pull", "score"], ["retrain"])
    by_tick = sorted(_scheduled(ran_before, "scheduled_for, job, status"))
    assert [row[1:] for row in by_tick] == [PULLED, SCORED, PULLED, ("retrain", "succeeded")]


def test_a_pull_that_somebody_runs_by_hand_is_waited_for(ran_before: Database) -> None:
    clock = Clock()
    scheduler = _scheduler(ran_before, clock, TRUE)
    insert_run(ran_before, "pull", "running")
    clock.now += A_DAY
    _settled(scheduler)
    assert _scheduled(ran_before) == []
    ran_before.execute("UPDATE runs SET status = 'succeeded' WHERE job = 'pull'")
    _settled(scheduler)
    assert _scheduled(ran_before) == [PULLED, SCORED]


@pytest.mark.parametrize(("exit_code", "status"), [(1, "failed"), (3, "refused")])
def test_after_a_pull_that_failed_scoring_goes_on(
    ran_before: Database, exit_code: int, status: str
) -> None:
    _, scheduler = _at_a_tick(ran_before, _ends_with(exit_code))
    _settled(scheduler)
    assert _scheduled(ran_before) == [("pull", status), SCORED]


def test_scoring_waits_for_a_pull_that_is_tried_again(ran_before: Database) -> None:
    clock, scheduler = _at_a_tick(ran_before, _ends_with(75))
    for attempts, wait in ((1, 2), (2, 3)):
        _settled(scheduler)
        assert _scheduled(ran_before) == [("pull", "try_again_later")] * attempts
        clock.now += wait * A_MINUTE
    _settled(scheduler)
    assert _scheduled(ran_before) == [("pull", "try_again_later")] * 3 + [SCORED]
    clock.now += timedelta(hours=2)
    _settled(scheduler)
    assert len(_scheduled(ran_before)) == 4


def test_scoring_waits_no_longer_than_an_hour_for_a_pull_that_hangs(
    ran_before: Database, tmp_path: Path
) -> None:
    over = tmp_path / "over"
    clock, scheduler = _at_a_tick(ran_before, until(over))
    scheduler.step()
    clock.now += LONGEST_WAIT_FOR_PULL - A_MINUTE
    scheduler.step()
    assert _scheduled(ran_before) == [("pull", "running")]
    clock.now += A_MINUTE
    scheduler.step()
    assert [job for job, _ in _scheduled(ran_before)] == ["pull", "score"]
    over.touch()
    _settled(scheduler)
    assert _scheduled(ran_before) == [PULLED, SCORED]


def test_a_tick_that_comes_while_the_one_before_waits_for_its_pull_is_skipped(
    ran_before: Database, tmp_path: Path
) -> None:
    clock, over = Clock(), tmp_path / "over"
    minutely = msgspec.structs.replace(NIGHTLY, score="* * * * *")
    scheduler = _scheduler(ran_before, clock, until(over), minutely)
    for _ in range(4):
        clock.now += A_MINUTE
        scheduler.step()
    skipped = ("score", "skipped", "still_running")
    assert _scheduled(ran_before, "job, status, error_code") == [
        ("pull", "running", None),
        *[skipped] * 3,
    ]
    over.touch()
    _settled(scheduler)
    assert _scheduled(ran_before)[-1] == SCORED
    clock.now += A_MINUTE
    _settled(scheduler)
    assert _scheduled(ran_before)[-2:] == [PULLED, SCORED]


def test_a_missed_tick_is_caught_up_after_a_pull(ran_before: Database) -> None:
    clock = Clock()
    _scheduler(ran_before, clock, TRUE)  # has seen the schedule, and dies
    clock.now += 3 * A_DAY
    for _ in range(2):  # a second restart owes nothing
        _settled(_scheduler(ran_before, clock, TRUE))
    runs = [
        row
        for row in _scheduled(ran_before, "job, status, trigger, scheduled_for")
        if row[1] != "missed"
    ]
    assert [row[:3] for row in runs] == [
        ("pull", "succeeded", "catch_up"),
        ("score", "succeeded", "catch_up"),
    ]
    assert runs[0][3] == runs[1][3]


def test_for_a_tick_that_another_scheduler_has_let_go_nothing_is_pulled(
    ran_before: Database,
) -> None:
    clock, scheduler = _at_a_tick(ran_before, TRUE)
    with writing(ran_before.engine) as connection:
        tick = clock.now.replace(hour=2, minute=15)
        note_ticks(connection, "score", [tick], Status.SKIPPED, "still_running", "elsewhere")
    _settled(scheduler)
    assert _scheduled(ran_before) == [("score", "skipped")]


def test_a_tick_whose_pull_was_stopped_is_pulled_again_by_the_next_scheduler(
    ran_before: Database, tmp_path: Path
) -> None:
    clock = Clock()
    stopped = _scheduler(ran_before, clock, until(tmp_path / "never"))
    clock.now += A_DAY
    stopped.step()
    stopped.end()
    stopped.step()
    assert [job for job, status in _scheduled(ran_before) if status != "interrupted"] == []
    _settled(_scheduler(ran_before, clock, TRUE))
    assert _scheduled(ran_before, "job, status, attempt")[-2:] == [(*PULLED, 2), (*SCORED, 1)]


def test_a_tick_whose_scheduler_died_during_its_pull_waits_until_that_is_known(
    ran_before: Database,
) -> None:
    clock = Clock()
    _scheduler(ran_before, clock, TRUE)
    clock.now += A_DAY
    of_tick = {"trigger": "schedule", "scheduled_for": clock.now.replace(hour=2, minute=15)}
    insert_run(ran_before, "pull", "running", **of_tick)
    next_one = _scheduler(ran_before, clock, TRUE)
    _settled(next_one)
    assert _scheduled(ran_before) == [("pull", "running")]
    ran_before.execute(
        "UPDATE runs SET heartbeat_at = :beat WHERE job = 'pull'",
        {"beat": ran_before.stored(START - 400 * A_DAY)},
    )
    _settled(next_one)
    assert _scheduled(ran_before, "job, status, attempt") == [
        ("pull", "crashed", 1),
        (*PULLED, 2),
        (*SCORED, 1),
    ]


def test_of_two_schedulers_one_pulls_and_neither_scores_before(
    ran_before: Database, tmp_path: Path
) -> None:
    clock, over = Clock(), tmp_path / "over"
    first, second = (_scheduler(ran_before, clock, until(over)) for _ in range(2))
    clock.now += A_DAY
    for scheduler in (first, second, second):
        scheduler.step()
    assert _scheduled(ran_before) == [("pull", "running")]
    over.touch()
    wait_for_children()
    _settled(second, first)
    assert _scheduled(ran_before) == [PULLED, SCORED]


def test_a_job_s_process_gets_no_url_of_others_and_the_pull_alone_those_of_sources(
    ran_before: Database, tmp_path: Path
) -> None:
    clock, folder = Clock(), tmp_path / "told"
    folder.mkdir()
    tells = python(f"""
import os, pathlib, time
names = sorted(name for name in os.environ if name.startswith(("PIMA_", "DATABASE_")))
pathlib.Path({str(folder)!r}, str(time.time_ns())).write_text(" ".join(names))
""")
    of_jobs = ["DATABASE_URL", "PIMA_PULL__DATABASE_URL_FILE", "PIMA_SCORE__DATABASE_URL"]
    of_sources = ["PIMA_SOURCE__CLINIC__URL", "PIMA_SOURCE__WARD__URL_FILE"]
    environ = dict.fromkeys(of_jobs + of_sources, "x")
    scheduler = _scheduler(ran_before, clock, tells, AT_ONCE, environ=environ, job=tells)
    clock.now += A_DAY
    _settled(scheduler)
    of_pull, *of_others = [path.read_text().split() for path in sorted(folder.iterdir())]
    assert [job for job, _ in _scheduled(ran_before)] == ["pull", "retrain", "score"]
    assert of_pull == ["PIMA_PULL__DATABASE_URL_FILE", *of_sources]
    # Retraining and scoring start together, and either may be the first to tell.
    assert sorted(of_others) == [["DATABASE_URL"], ["PIMA_SCORE__DATABASE_URL"]]
