"""The runs that are due: the ticks that have come, those from before this process, and attempts that follow others.

The rules are pure: what the table `runs` says and the time come in as arguments. What `DueRuns` remembers is the
stepping thread's alone, and none of it is needed to go on after a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine

from pima.errors import WrongConfiguration
from pima.logs import get_logger
from pima.runs.ticks import PULL, Schedule, pull_of
from pima.settings.sections import ScheduleSettings
from pima.store import runs
from pima.store.engine import writing
from pima.store.runs import Attempt, Status

MOST_NOTED = 100
"""Of longer downtimes only the newest ticks are noted, so that a schedule of seconds does not flood the table."""

MOST_ATTEMPTS = 10
"""A job that takes its scheduler down with it each time is given up after so many; health tells."""

LONGEST_WAIT_FOR_PULL = timedelta(hours=1)
"""How long a job waits for the pull of its tick, with all its attempts: a night's rows must not wait for a source that
is away, or hangs."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One job's ticks from before a scheduler started, and what to do about them."""

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
    """Find what is owed to a job at start.

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
    """Number the next attempt at a tick; None where one has succeeded or is under way, or after too many."""
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


@dataclass(frozen=True, slots=True)
class Due:
    """A run that is to be started."""

    job: str
    tick: datetime
    attempt: int
    trigger: str
    not_before: datetime
    retries: int = 0
    """How many attempts of this process have come to nothing before it."""
    pull: int = 0
    """The attempt of its tick's pull that comes first; 0 where nothing is pulled for it."""

    @property
    def waits_until(self) -> datetime:
        """When it goes on without the pull."""
        return self.not_before + LONGEST_WAIT_FOR_PULL


class DueRuns:
    """The runs that are to be started, oldest first, and up to when ticks have been looked at."""

    def __init__(
        self,
        engine: Engine,
        settings: ScheduleSettings,
        schedules: Mapping[str, Schedule],
        host: str,
        sources: Sequence[str],
    ) -> None:
        """`sources` are pulled before each tick."""
        self._sources = sources
        self._engine, self._settings, self._schedules, self._host = engine, settings, schedules, host
        self.waiting: list[Due] = []
        """The runs; a step, during which some come and go, walks over a copy."""
        self._handled: dict[str, datetime] = {}
        """Up to when each job's ticks have been dealt with."""

    def begin(self, now: datetime) -> None:
        """Catch up or note the ticks that went by before this process.

        Raises WrongConfiguration where a schedule never comes true.
        """
        ticks = ", ".join(schedule.expression for schedule in self._schedules.values())
        with writing(self._engine) as connection:
            for source in self._sources:
                # Since when each is pulled at these ticks, so that health can tell when one is overdue.
                runs.see_schedule(connection, pull_of(source), ticks, self._settings.time_zone, now)
        for job, schedule in self._schedules.items():
            self._handled[job] = now
            self._catch_up(job, schedule, now)
            first = schedule.next(now)
            if first is None:
                what = f"schedule '{schedule.expression}'"
                raise WrongConfiguration(what=what, expected="one that comes true some day")
            get_logger().info("scheduled", job=job, next_run=first.isoformat())

    def _catch_up(self, job: str, schedule: Schedule, now: datetime) -> None:
        with writing(self._engine) as connection:
            seen = runs.see_schedule(connection, job, schedule.expression, schedule.time_zone, now)
            found = owed(
                schedule,
                seen,
                runs.newest_tick(connection, job),
                now,
                catch_up=self._settings.catch_up == "latest",
                ever_ran=runs.has_run(connection, job),
                attempts_of=partial(runs.attempts_of, connection, job),
            )
            self._note_missed(connection, job, found.missed, "nobody_was_there")
            pull = 0
            if found.tick is not None and self._sources:
                # Where that pull has succeeded, or somebody is at it, the first.
                pull = next_attempt(runs.attempts_of(connection, PULL, found.tick)) or 1
        if found.tick is not None:
            age = int((now - found.tick).total_seconds())
            get_logger().info(found.reason, job=job, tick=found.tick.isoformat(), age_seconds=age)
            self.waiting.append(Due(job, found.tick, found.attempt, found.reason, now, pull=pull))

    def catch_up_crashed(self, connection: Connection, run: runs.Crashed, now: datetime) -> None:
        """Have a crashed run's tick run again, where nothing has done its work meanwhile."""
        newest = runs.newest_tick(connection, run.job)
        if self._settings.catch_up == "none" or run.scheduled_for is None or run.scheduled_for != newest:
            return  # by hand, or a later tick has done its work
        attempt = next_attempt(runs.attempts_of(connection, run.job, run.scheduled_for))
        if attempt is not None:
            self.waiting.append(Due(run.job, run.scheduled_for, attempt, "catch_up", now))

    def collect_ticks(self, now: datetime) -> None:
        """Add the newest of each job's ticks that have come since the last look; older ones are noted as missed."""
        for job, schedule in self._schedules.items():
            # A clock that was set back: `runs` knows which of the ticks that come again were run.
            handled = min(self._handled[job], now)
            ticks = schedule.newest(handled, now, MOST_NOTED + 1)
            if len(ticks) > 1:  # between two steps: the machine slept, or the database was away
                with writing(self._engine) as connection:
                    self._note_missed(connection, job, ticks[:-1], "too_late")
            if ticks:
                self.waiting.append(Due(job, ticks[-1], 1, "schedule", now, pull=1 if self._sources else 0))
            self._handled[job] = now

    def _note_missed(self, connection: Connection, job: str, missed: list[datetime], error_code: str) -> None:
        noted = runs.note_ticks(connection, job, missed, Status.MISSED, error_code, self._host)
        if noted:
            get_logger().warning("ticks were missed", job=job, ticks=noted)
