"""What is due: the ticks that have come, what is owed from before this process, and what is tried again.

It is the stepping thread's alone, and none of it is needed to go on after a crash.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine

from pima.errors import WrongConfiguration
from pima.logs import get_logger
from pima.schedule.catching_up import MOST_NOTED, next_attempt, owed
from pima.schedule.ticks import Schedule
from pima.settings import ScheduleSettings
from pima.store import attempts
from pima.store.engine import writing
from pima.store.runs import Status

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


class DueRuns:
    """The runs that are to be started, oldest first, and up to when ticks have been looked at."""

    def __init__(
        self, engine: Engine, settings: ScheduleSettings, schedules: Mapping[str, Schedule], host: str
    ) -> None:
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
        for job, schedule in self._schedules.items():
            _warn_of_oddities(job, schedule, now)
            self._handled[job] = now
            self._catch_up(job, schedule, now)
            get_logger().info("scheduled", job=job, next_run=_first(schedule, now).isoformat())

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
        if found.tick is not None:
            age = int((now - found.tick).total_seconds())
            get_logger().info(found.reason, job=job, tick=found.tick.isoformat(), age_seconds=age)
            self.add(Due(job, found.tick, found.attempt, found.reason, now))

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
                self.add(Due(job, ticks[-1], 1, "schedule", now))
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
