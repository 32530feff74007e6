"""Which ticks are run again: those that went by while nobody was there, and those whose run came to nothing.

Pure rules over what the table `runs` says; times come in as arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pima.schedule.ticks import Schedule
from pima.store.attempts import Attempt
from pima.store.runs import Status

MOST_NOTED = 100
"""Of longer downtimes only the newest ticks are noted, so that a schedule of seconds does not flood the table."""

MOST_ATTEMPTS = 10
"""A job that takes its scheduler down with it each time is given up after so many; health tells."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What to do about one job."""

    tick: datetime | None
    """The tick to run once now; None where nothing is owed."""
    attempt: int
    reason: str
    """`first_run` or `catch_up`: the run's trigger."""
    missed: list[datetime]
    """Ticks to note in `runs` as missed, oldest first."""


def owed(
    schedule: Schedule,
    first_seen_at: datetime,
    newest_known: datetime | None,
    now: datetime,
    *,
    catch_up: bool,
    ever_ran: bool,
    attempts_of: Callable[[datetime], list[Attempt]],
) -> Owed:
    """What is owed to a job at start.

    `newest_known` is the newest tick with any row, `attempts_of` tells what has been tried for a tick. Only ticks since
    the schedule was first seen count, so that an edited schedule fires nothing by itself.
    """
    latest = next(iter(schedule.newest(first_seen_at, now, 1)), None)
    unseen = schedule.newest(max(first_seen_at, newest_known or first_seen_at), now, MOST_NOTED)
    if not catch_up:
        return Owed(None, 0, "", unseen)
    missed = [tick for tick in unseen if tick != latest]
    if latest is None and ever_ran:
        return Owed(None, 0, "", missed)
    # Of a job that never ran the moment its schedule was first seen stands for a tick: of two schedulers one runs it.
    tick, reason = (first_seen_at, "first_run") if latest is None else (latest, "catch_up")
    attempt = next_attempt(attempts_of(tick))
    return Owed(tick if attempt else None, attempt or 0, reason, missed)


def next_attempt(attempts: list[Attempt]) -> int | None:
    """The number of the next attempt at a tick; None where one has succeeded or is under way, or after too many."""
    made = max((attempt.attempt for attempt in attempts), default=0)
    if made >= MOST_ATTEMPTS or any(attempt.status in (Status.SUCCEEDED, Status.RUNNING) for attempt in attempts):
        return None
    return made + 1


def is_awaited(attempts: list[Attempt], most_retries: int) -> bool:
    """Whether something may still come of a tick, as far as `runs` knows, whoever has it: an attempt is under way, or
    another is to follow."""
    if not attempts:
        return False
    last = attempts[-1]
    retries = last.attempt - 1
    return last.status == Status.RUNNING or is_tried_again(last.status, last.attempt, retries, most_retries, False)


def is_tried_again(status: str, attempt: int, retries: int, most_retries: int, stopping: bool) -> bool:
    """Whether a scheduler follows a run that ended so by another: the tick's `attempt`, after `retries` of its own.

    Not where it stops itself (`stopping`): what it has stopped is caught up at the next start.
    """
    was_ended = status in (Status.CRASHED, Status.INTERRUPTED) and attempt < MOST_ATTEMPTS
    return (status == Status.TRY_AGAIN_LATER or was_ended) and retries < most_retries and not stopping
