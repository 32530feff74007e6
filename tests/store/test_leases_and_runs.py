"""Leases, of which only one is given out at a time, and the ledger of runs."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import pytest

from pima.errors import DatabaseFailed
from pima.store.engine import reading, writing
from pima.store.service import leases, runs, schedules
from pima.store.service.runs import Status
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    until_someone_waits_for_a_lock,
)

LONG_AGO = "2001-01-01T00:00:00.000Z"
TICK = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
Result = TypeVar("Result")


def at_once(first: Callable[[], Result], second: Callable[[], Result]) -> list[Result]:
    """Both in threads of their own, started together; what they gave."""
    together = threading.Barrier(2)

    def start(work: Callable[[], Result]) -> Result:
        together.wait(timeout=PATIENCE_SECONDS)
        return work()

    with ThreadPoolExecutor(2) as threads:
        return [
            running.result(timeout=PATIENCE_SECONDS)
            for running in [threads.submit(start, work) for work in (first, second)]
        ]


# ---- leases


def take(
    database: Database, owner: str = "a", name: str = "retrain", seconds: int = 60
) -> int | None:
    with writing(database.engine) as connection:
        return leases.take_lease(connection, name, owner, seconds)


def renew(database: Database, fence: int, seconds: int = 60) -> bool:
    with writing(database.engine) as connection:
        return leases.renew_lease(connection, "retrain", fence, seconds)


def release(database: Database, fence: int) -> None:
    with writing(database.engine) as connection:
        leases.release_lease(connection, "retrain", fence)


def let_it_run_out(database: Database) -> None:
    database.execute("UPDATE leases SET expires_at = :at", {"at": LONG_AGO})


def expires_at(database: Database) -> datetime:
    found = database.value("SELECT expires_at FROM leases WHERE name = 'retrain'")
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    # In the session's zone no hour of the clocks' change equals a moment in another zone.
    return moment.astimezone(UTC)


def test_a_free_lease_is_taken_and_a_held_one_is_not(database: Database) -> None:
    assert take(database, "a") == 1
    before = expires_at(database)
    assert take(database, "b") is None
    assert take(database, "a") is None  # not by its holder either
    assert take(database, "a", "other") == 1
    with reading(database.engine) as connection:
        owner, until = leases.lease_holder(connection, "retrain")
    assert owner == "a"
    assert datetime.fromisoformat(until) == expires_at(database) == before


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(database: Database) -> None:
    fences = []
    for owner in ("a", "b", "c"):
        fences.append(take(database, owner))
        let_it_run_out(database)
    assert fences == [1, 2, 3]
    assert database.value("SELECT owner FROM leases") == "c"


def test_a_lost_lease_is_neither_renewed_nor_released(database: Database) -> None:
    lost = take(database, "a")
    assert lost is not None
    let_it_run_out(database)
    held = take(database, "b")
    assert held is not None
    before = expires_at(database)
    assert renew(database, lost, seconds=7200) is False
    release(database, lost)
    assert expires_at(database) == before
    assert take(database, "c") is None
    assert renew(database, held) is True


def test_a_released_lease_is_free_at_once_and_its_fence_never_goes_back(database: Database) -> None:
    first = take(database, "a")
    assert first is not None
    release(database, first)
    assert take(database, "b") == first + 1
    assert renew(database, first) is False


def test_of_two_takers_at_once_exactly_one_wins(database: Database) -> None:
    over = start(database)
    finish(database, over, Status.FAILED, {})
    for n in range(16):
        name, was_held = f"lease {n}", n % 4
        if was_held == 1:
            take(database, "earlier", name)
            let_it_run_out(database)
        elif was_held == 2:
            take(database, leases.owner_of(over), name)
        elif was_held == 3:
            take(database, NOT_ON_RECORD, name)
        won = at_once(
            lambda name=name: take(database, "a", name), lambda name=name: take(database, "b", name)
        )
        assert sorted(won, key=str) == [1 + bool(was_held), None]


NOT_ON_RECORD = leases.owner_of(1_000)


def test_a_lease_whose_run_is_not_on_record_is_free(database: Database) -> None:
    """As after a restore of `leases` without `runs`."""
    assert take(database, NOT_ON_RECORD) == 1
    assert take(database, leases.owner_of(start(database))) == 2
    assert take(database, "another") is None


def test_who_waits_for_a_taker_that_it_does_not_see_takes_nothing_from_it(
    postgresql: Database,
) -> None:
    take(postgresql, NOT_ON_RECORD)
    with ThreadPoolExecutor(1) as threads, writing(postgresql.engine) as first:
        run = runs.start_run(first, "retrain", "manual", None, "a host")
        assert leases.take_lease(first, "retrain", leases.owner_of(run or 0), 60) == 2
        second = threads.submit(take, postgresql, "another")
        until_someone_waits_for_a_lock(postgresql)
        first.commit()
        assert second.result(PATIENCE_SECONDS) is None


# ---- runs


def start(database: Database, job: str = "score", scheduled_for: datetime | None = None) -> int:
    with writing(database.engine) as connection:
        trigger = "manual" if scheduled_for is None else "schedule"
        return runs.start_run(connection, job, trigger, scheduled_for, "a host")


def finish(
    database: Database,
    run: int,
    status: Status,
    counts: dict[str, int] | None,
    error_code: str | None = None,
) -> None:
    with writing(database.engine) as connection:
        runs.finish_run(connection, run, status, counts, error_code)


def last(database: Database, newest: int = 10) -> list[runs.Run]:
    with reading(database.engine) as connection:
        return runs.last_runs(connection, newest)


def test_a_run_is_running_until_it_is_finished(database: Database) -> None:
    run = start(database)
    (open_run,) = last(database)
    assert (open_run.id, open_run.job, open_run.trigger) == (run, "score", "manual")
    assert (open_run.status, open_run.counts, open_run.finished_at) == ("running", {}, None)
    finish(database, run, Status.SUCCEEDED, {"predicted": 7})
    (ended,) = last(database)
    assert (ended.status, ended.counts, ended.error_code) == ("succeeded", {"predicted": 7}, None)
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.started_at == open_run.started_at
    assert ended.started_at.utcoffset() == timedelta(0)


def test_every_status_that_the_code_knows_fits_the_table(database: Database) -> None:
    for status in Status:
        finish(database, start(database), status, {}, "a_code")
    found = [(run.status, run.error_code) for run in last(database)]
    assert found == [(status, "a_code") for status in reversed(Status)]


def test_a_runs_recorded_progress_stays_when_it_ends_without_counts(database: Database) -> None:
    run, other = start(database), start(database)
    with writing(database.engine) as connection:
        runs.record_progress(connection, run, {"predicted": 3}, 2)
    finish(database, run, Status.FAILED, None, "database_failed")
    untouched, ended = last(database)
    assert (ended.status, ended.counts, ended.model_version) == ("failed", {"predicted": 3}, 2)
    assert (untouched.id, untouched.status, untouched.counts, untouched.model_version) == (
        other,
        "running",
        {},
        None,
    )


def test_work_and_heartbeat_are_signs_of_life(database: Database) -> None:
    run, other = start(database), start(database)
    for sign in (
        lambda connection: runs.beat(connection, run),
        lambda connection: runs.record_progress(connection, run, {}, None),
        lambda connection: runs.finish_run(connection, run, Status.SUCCEEDED, None, None),
    ):
        database.execute("UPDATE runs SET heartbeat_at = :at", {"at": LONG_AGO})
        with writing(database.engine) as connection:
            sign(connection)
        seen = database.execute("SELECT id, heartbeat_at FROM runs ORDER BY id")
        assert [(found, str(at).startswith("2001")) for found, at in seen] == [
            (run, False),
            (other, True),
        ]


def test_a_run_whose_last_sign_of_life_is_still_to_come_is_closed(database: Database) -> None:
    ghost, ahead_a_little, alive = (start(database) for _ in range(3))
    for run, seconds in ((ghost, 300), (ahead_a_little, 60)):
        at = database.stored(datetime.now(UTC) + timedelta(seconds=seconds))
        database.execute(f"UPDATE runs SET heartbeat_at = :at WHERE id = {run}", {"at": at})
    with writing(database.engine) as connection:
        assert [run.id for run in runs.mark_crashed(connection)] == [ghost]
    assert database.execute("SELECT id FROM runs WHERE status = 'running' ORDER BY id") == [
        (ahead_a_little,),
        (alive,),
    ]
    # What ends from now on came later.
    assert database.value(f"SELECT heartbeat_at FROM runs WHERE id = {ghost}") < database.stored(
        datetime.now(UTC) + timedelta(seconds=1)
    )


def test_a_run_that_was_taken_for_crashed_is_running_with_its_next_sign_of_life(
    database: Database,
) -> None:
    run = start(database)
    assert take(database, leases.owner_of(run)) == 1
    database.execute("UPDATE runs SET heartbeat_at = :at", {"at": LONG_AGO})
    with writing(database.engine) as connection:
        runs.mark_crashed(connection)
        runs.beat(connection, run)
    (found,) = last(database)
    assert (found.status, found.error_code, found.finished_at) == ("running", None, None)
    assert take(database, "another") is None
    finish(database, run, Status.FAILED, {})
    assert take(database, "another") == 2


def test_one_tick_gives_one_run(database: Database) -> None:
    assert start(database, "score", TICK) is not None
    elsewhere = TICK.astimezone(timezone(timedelta(hours=2)))  # the same moment on another clock
    for same in (TICK, elsewhere):
        assert start(database, "score", same) is None
    assert len(last(database)) == 1
    # Another job, another tick, and runs by hand are their own.
    assert start(database, "retrain", TICK) is not None
    assert start(database, "score", TICK + timedelta(days=1)) is not None
    for _ in range(2):
        start(database, "score")
    assert len(last(database)) == 5


def test_a_run_whose_id_was_given_before_is_an_error_and_no_run_of_its_tick(
    postgresql: Database,
) -> None:
    """As where the rows came without their counter: by logical replication, or a dump of the data
    alone."""
    start(postgresql)
    for began in (
        lambda: start(postgresql),
        lambda: start(postgresql, "score", TICK),
        lambda: note_missed(postgresql, TICK),
    ):
        postgresql.execute("SELECT setval('runs_id_seq', 1, false)")
        with pytest.raises(DatabaseFailed, match="pk_runs"):
            began()
    assert start(postgresql, "score", TICK) is not None


def note_missed(database: Database, tick: datetime) -> int:
    with writing(database.engine) as connection:
        return schedules.note_ticks(
            connection, "score", [tick], Status.MISSED, "nobody_was_there", "a host"
        )


@pytest.mark.judge
def test_two_schedulers_at_once_make_one_run_of_a_tick(database: Database) -> None:
    for n in range(10):
        tick = TICK + timedelta(days=n)
        made = at_once(*[lambda tick=tick: start(database, "score", tick)] * 2)
        assert [run is None for run in made].count(True) == 1
    assert database.value("SELECT count(*) FROM runs") == 10
