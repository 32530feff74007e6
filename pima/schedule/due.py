"""What is due: the ticks that have come, what is owed from before this process, and what is tried again.

It is the stepping thread's alone, and none of it is needed to go on after a crash.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine

from pima.errors import WrongConfiguration
from pima.logs import get_logger
from pima.schedule.catching_up import MOST_NOTED, next_attempt, owed
from pima.schedule.ticks import PULL, Schedule, pull_of
from pima.settings.sections import ScheduleSettings
from pima.store import attempts
from pima.store.engine import writing
from pima.store.runs import Status

LONGEST_WAIT_FOR_PULL = timedelta(hours=1)
"""How long a job waits for the pull of its tick, with all its attempts: a night's rows must not wait for a source that
is away, or hangs."""

_A_YEAR = timedelta(days=366)


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
        self._due: list[Due] = []
        self._handled: dict[str, datetime] = {}
        """Up to when each job's ticks have been dealt with."""

    def __iter__(self) -> Iterator[Due]:
        return iter(list(self._due))  # a copy, which lets whoever walks over it add and remove

    def add(self, due: Due) -> None:
        """Have a run started when its time has come."""
        self._due.append(due)

    def remove(self, due: Due) -> None:
        """It was started, or let go."""
        self._due.remove(due)

    def begin(self, now: datetime) -> None:
        """Catch up or note the ticks that went by before this process.

        Raises WrongConfiguration where a schedule never comes true.
        """
        self._see_sources(now)
        for job, schedule in self._schedules.items():
            _warn_of_oddities(job, schedule, now)
            self._handled[job] = now
            self._catch_up(job, schedule, now)
            get_logger().info("scheduled", job=job, next_run=_first(schedule, now).isoformat())

    def _see_sources(self, now: datetime) -> None:
        """Since when each is pulled at these ticks, so that health can tell when one is overdue."""
        ticks = ", ".join(schedule.expression for schedule in self._schedules.values())
        with writing(self._engine) as connection:
            for source in self._sources:
                attempts.see_schedule(connection, pull_of(source), ticks, self._settings.time_zone, now)

    def _catch_up(self, job: str, schedule: Schedule, now: datetime) -> None:
        with writing(self._engine) as connection:
            seen = attempts.see_schedule(connection, job, schedule.expression, schedule.time_zone, now)
            found = owed(
                schedule,
                seen,
                attempts.newest_tick(connection, job),
                now,
                catch_up=self._settings.catch_up == "latest",
                ever_ran=attempts.has_run(connection, job),
                attempts_of=partial(attempts.attempts_of, connection, job),
            )
            self._note_missed(connection, job, found.missed, "nobody_was_there")
            pull = self._pull_of(connection, found.tick)
        if found.tick is not None:
            age = int((now - found.tick).total_seconds())
            get_logger().info(found.reason, job=job, tick=found.tick.isoformat(), age_seconds=age)
            self.add(Due(job, found.tick, found.attempt, found.reason, now, pull=pull))

    def _pull_of(self, connection: Connection, tick: datetime | None) -> int:
        """The attempt of a tick's pull that comes next; where that has succeeded, or somebody is at it, the first."""
        if tick is None or not self._sources:
            return 0
        return next_attempt(attempts.attempts_of(connection, PULL, tick)) or 1

    def catch_up_crashed(self, connection: Connection, run: attempts.Crashed, now: datetime) -> None:
        """Have a crashed run's tick run again, where nothing has done its work meanwhile."""
        newest = attempts.newest_tick(connection, run.job)
        if self._settings.catch_up == "none" or run.scheduled_for is None or run.scheduled_for != newest:
            return  # by hand, or a later tick has done its work
        attempt = next_attempt(attempts.attempts_of(connection, run.job, run.scheduled_for))
        if attempt is not None:
            self.add(Due(run.job, run.scheduled_for, attempt, "catch_up", now))

    def collect_ticks(self, now: datetime) -> None:
        """Of the ticks that have come since the last look the newest is due, and older ones are noted."""
        for job, schedule in self._schedules.items():
            # A clock that was set back: `runs` knows which of the ticks that come again were run.
            handled = min(self._handled[job], now)
            ticks = schedule.newest(handled, now, MOST_NOTED + 1)
            if len(ticks) > 1:  # between two steps: the machine slept, or the database was away
                with writing(self._engine) as connection:
                    self._note_missed(connection, job, ticks[:-1], "too_late")
            if ticks:
                self.add(Due(job, ticks[-1], 1, "schedule", now, pull=1 if self._sources else 0))
            self._handled[job] = now

    def _note_missed(self, connection: Connection, job: str, missed: list[datetime], error_code: str) -> None:
        noted = attempts.note_ticks(connection, job, missed, Status.MISSED, error_code, self._host)
        if noted:
            get_logger().warning("ticks were missed", job=job, ticks=noted)


def _warn_of_oddities(job: str, schedule: Schedule, now: datetime) -> None:
    for oddity in schedule.oddities(now, now + _A_YEAR):
        what = "does not exist" if oddity.skipped else "comes twice"
        text = f"{oddity.wall_time:%Y-%m-%d %H:%M} {what} in {schedule.time_zone}; the job runs once that day"
        get_logger().warning("clock change", job=job, explanation=text, runs_at=oddity.moment.isoformat())


def _first(schedule: Schedule, now: datetime) -> datetime:
    following = schedule.next(now)
    if following is None:
        raise WrongConfiguration(what=f"schedule '{schedule.expression}'", expected="one that comes true some day")
    return following
