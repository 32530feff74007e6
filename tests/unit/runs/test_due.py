"""What is owed to a job when the scheduler starts."""

from datetime import UTC, datetime, timedelta

import pytest

from pima.runs.due import MOST_NOTED, Owed, next_attempt, owed
from pima.runs.ticks import Schedule
from pima.store.service.schedules import Attempt

NIGHTLY = Schedule("15 2 * * *", "UTC")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _tick(days_ago: int) -> datetime:
    return NOW.replace(hour=2, minute=15) - timedelta(days=days_ago)


def _owed(
    first_seen_days_ago: float, newest_known_days_ago: int | None, *attempts: str, **changed: object
) -> Owed:
    given = {"catch_up": True, "ever_ran": True, **changed}
    return owed(
        given.pop("schedule", NIGHTLY),  # type: ignore[arg-type]
        NOW - timedelta(days=first_seen_days_ago),
        None if newest_known_days_ago is None else _tick(newest_known_days_ago),
        NOW,
        attempts_of=lambda _tick: [
            Attempt(n, status) for n, status in enumerate(attempts, start=1)
        ],
        **given,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("missed", [1, 2, 9])
def test_of_missed_ticks_the_latest_is_run_and_the_others_are_noted(missed: int) -> None:
    assert _owed(30, 0, "succeeded") == Owed(None, 0, "catch_up", [])
    assert _owed(30, missed) == Owed(
        _tick(0), 1, "catch_up", [_tick(days) for days in range(missed - 1, 0, -1)]
    )


@pytest.mark.parametrize(
    "status", ["failed", "refused", "crashed", "interrupted", "try_again_later", "skipped"]
)
def test_a_tick_without_success_is_run_once_more(status: str) -> None:
    assert _owed(30, 0, status) == Owed(_tick(0), 2, "catch_up", [])
    assert _owed(30, 0, status, "succeeded").tick is None
    assert _owed(30, 0, status, "running").tick is None


def test_with_catching_up_switched_off_all_is_noted_and_nothing_run() -> None:
    assert _owed(30, 3, catch_up=False) == Owed(None, 0, "", [_tick(2), _tick(1), _tick(0)])
    assert _owed(0.001, None, catch_up=False, ever_ran=False) == Owed(None, 0, "", [])
    assert _owed(0.001, None, "refused", ever_ran=True) == Owed(None, 0, "", [])


def test_attempts_are_numbered_on() -> None:
    assert next_attempt([]) == 1
    assert next_attempt([Attempt(1, "crashed"), Attempt(3, "failed")]) == 4


def test_after_a_long_downtime_only_the_newest_ticks_are_noted() -> None:
    every_second = _owed(30, None, schedule=Schedule("* * * * * *", "UTC"))
    assert len(every_second.missed) == MOST_NOTED - 1
    assert every_second.tick == NOW
