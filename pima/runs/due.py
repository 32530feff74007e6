"""The runs that are due: new ticks, ticks from before this process started, and further attempts.

The rules are pure: the contents of `runs` and the time are arguments. Only the stepping thread uses
the state of `DueRuns`, and none of it is needed to continue after a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine

from pima.errors import WrongConfiguration
from pima.logs import get_logger
from pima.runs.ticks import Schedule, pull_of
from pima.settings.sections import PULL, ScheduleSettings
from pima.store.engine import writing
from pima.store.service import runs
from pima.store.service.runs import Status
from pima.store.service.schedules import Attempt, attempts_of, newest_tick, note_ticks, see_schedule

MOST_NOTED = 100
"""The most missed ticks to record: after a long downtime, a schedule in seconds would flood the
table."""

MOST_ATTEMPTS = 10
"""Attempts at one tick before giving up, for a job that takes the scheduler down each time; health
reports it."""

LONGEST_WAIT_FOR_PULL = timedelta(hours=1)
"""How long a job waits for its tick's pull, all attempts included: a night's rows must not wait for
a source that is down or hangs."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A job's ticks from before the scheduler started, and what to do about them."""

    tick: datetime | None
    """The tick to run once now; None if nothing is owed."""
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
    """Find which ticks of a job to catch up, and which to record as missed, at start.

    `newest_known` is the newest tick with any row; `attempts_of` returns the attempts at a tick.
    Only ticks since the schedule was first seen count, so editing a schedule starts nothing by
    itself.
    """
    latest = next(iter(schedule.newest(first_seen_at, now, 1)), None)
    unseen = schedule.newest(max(first_seen_at, newest_known or first_seen_at), now, MOST_NOTED)
    if not catch_up:
        return Owed(None, 0, "", unseen)
    missed = [tick for tick in unseen if tick != latest]
    if latest is None and ever_ran:
        return Owed(None, 0, "", missed)
    # The tick of a job that never ran is when its schedule was first seen, so only one of two
    # schedulers runs it.
    tick, reason = (first_seen_at, "first_run") if latest is None else (latest, "catch_up")
    attempt = next_attempt(attempts_of(tick))
    if attempt is None:
        return Owed(None, 0, reason, missed)
    return Owed(tick, attempt, reason, missed)


def next_attempt(attempts: list[Attempt]) -> int | None:
    """Number the next attempt at a tick; None if one succeeded or is running, or after
    MOST_ATTEMPTS."""
    made = max((attempt.attempt for attempt in attempts), default=0)
    if made >= MOST_ATTEMPTS or any(
        attempt.status in (Status.SUCCEEDED, Status.RUNNING) for attempt in attempts
    ):
        return None
    return made + 1


def is_awaited(attempts: list[Attempt], most_retries: int) -> bool:
    """Whether a tick may still succeed, according to `runs`: an attempt is running on any
    scheduler, or another will follow."""
    if not attempts:
        return False
    last = attempts[-1]
    retries = last.attempt - 1
    return last.status == Status.RUNNING or is_tried_again(
        last.status, last.attempt, retries, most_retries, False
    )


def is_tried_again(
    status: str, attempt: int, retries: int, most_retries: int, stopping: bool
) -> bool:
    """Whether a scheduler makes another attempt after the tick's `attempt`, which was its retry
    number `retries`.

    False while it is `stopping`: what it stopped is caught up at the next start.
    """
    was_ended = status in (Status.CRASHED, Status.INTERRUPTED) and attempt < MOST_ATTEMPTS
    return (
        (status == Status.TRY_AGAIN_LATER or was_ended) and retries < most_retries and not stopping
    )


@dataclass(frozen=True, slots=True)
class Due:
    """A run to start."""

    job: str
    tick: datetime
    attempt: int
    trigger: str
    not_before: datetime
    retries: int = 0
    """How many attempts of this process have failed before it."""
    pull: int = 0
    """The attempt number of the pull that must come first; 0 if nothing is pulled for it."""

    @property
    def waits_until(self) -> datetime:
        """When the run starts without the pull."""
        return self.not_before + LONGEST_WAIT_FOR_PULL


@dataclass(slots=True)
class DueRuns:
    """The runs to start, oldest first, and the time up to which ticks have been handled."""

    engine: Engine
    settings: ScheduleSettings
    schedules: Mapping[str, Schedule]
    host: str
    sources: Sequence[str]
    """They are pulled before each tick."""
    waiting: list[Due] = field(default_factory=list)
    """The runs to start. A step iterates over a copy, because it adds and removes some."""
    _handled: dict[str, datetime] = field(default_factory=dict)
    """The time up to which each job's ticks have been handled."""

    def begin(self, now: datetime) -> None:
        """Catch up the ticks from before this process, or record them as missed.

        Raises WrongConfiguration if a schedule never comes true.
        """
        ticks = ", ".join(schedule.expression for schedule in self.schedules.values())
        with writing(self.engine) as connection:
            for source in self.sources:
                # Health needs to know since when each source is pulled at these ticks, to see that
                # one is overdue.
                see_schedule(connection, pull_of(source), ticks, self.settings.time_zone, now)
        for job, schedule in self.schedules.items():
            self._handled[job] = now
            self._catch_up(job, schedule, now)
            first = schedule.next(now)
            if first is None:
                what = f"schedule '{schedule.expression}'"
                raise WrongConfiguration(what=what, expected="one that comes true some day")
            get_logger().info("scheduled", job=job, next_run=first.isoformat())

    def _catch_up(self, job: str, schedule: Schedule, now: datetime) -> None:
        with writing(self.engine) as connection:
            seen = see_schedule(connection, job, schedule.expression, schedule.time_zone, now)
            found = owed(
                schedule,
                seen,
                newest_tick(connection, job),
                now,
                catch_up=self.settings.catch_up == "latest",
                ever_ran=runs.has_run(connection, job),
                attempts_of=partial(attempts_of, connection, job),
            )
            self._note_missed(connection, job, found.missed, "nobody_was_there")
            pull = 0
            if found.tick is not None and self.sources:
                # 1 if that pull has succeeded, is running or was given up: `runs` has it, so it is
                # not started again.
                pull = next_attempt(attempts_of(connection, PULL, found.tick)) or 1
        if found.tick is not None:
            age = int((now - found.tick).total_seconds())
            get_logger().info(found.reason, job=job, tick=found.tick.isoformat(), age_seconds=age)
            self.waiting.append(Due(job, found.tick, found.attempt, found.reason, now, pull=pull))

    def catch_up_crashed(self, connection: Connection, run: runs.Crashed, now: datetime) -> None:
        """Run a crashed run's tick again, unless a later tick has done its work."""
        newest = newest_tick(connection, run.job)
        if (
            self.settings.catch_up == "none"
            or run.scheduled_for is None
            or run.scheduled_for != newest
        ):
            return  # started by hand, or a later tick has done its work
        attempt = next_attempt(attempts_of(connection, run.job, run.scheduled_for))
        if attempt is not None:
            self.waiting.append(Due(run.job, run.scheduled_for, attempt, "catch_up", now))

    def collect_ticks(self, now: datetime) -> None:
        """Add each job's newest tick since the last call; record older ones as missed."""
        for job, schedule in self.schedules.items():
            # The clock may have been set back: `runs` knows which of the repeated ticks were run.
            handled = min(self._handled[job], now)
            ticks = schedule.newest(handled, now, MOST_NOTED + 1)
            if len(ticks) > 1:  # between two steps, the machine slept or the database was down
                with writing(self.engine) as connection:
                    self._note_missed(connection, job, ticks[:-1], "too_late")
            if ticks:
                self.waiting.append(
                    Due(job, ticks[-1], 1, "schedule", now, pull=int(bool(self.sources)))
                )
            self._handled[job] = now

    def _note_missed(
        self, connection: Connection, job: str, missed: list[datetime], error_code: str
    ) -> None:
        noted = note_ticks(connection, job, missed, Status.MISSED, error_code, self.host)
        if noted:
            get_logger().warning("ticks were missed", job=job, ticks=noted)
