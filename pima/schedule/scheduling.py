"""The container's main work: at each tick, start the very command that a person would type, as a child.

The ledger of runs is the truth. A tick is run by whoever gets its row, so two schedulers on one database make one run a
tick, and what this process remembers may be lost at any moment. `step` decides by the clock and the ledger, and doing
it once more changes nothing; what calls it is told in `pima/schedule/waking.py`.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine

from pima.errors import PimaError, WrongConfiguration
from pima.logs import get_logger
from pima.schedule.catching_up import MOST_NOTED, is_tried_again, next_attempt, owed
from pima.schedule.children import Child, CommandLine, Ended, what_became_of_it
from pima.schedule.ticks import Schedule, schedules
from pima.settings import ScheduleSettings
from pima.store import attempts
from pima.store.attempts import ChildEnd
from pima.store.engine import reading, writing
from pima.store.runs import Status, start_run

_A_YEAR = timedelta(days=366)
_SECONDS_TO_WRITE_DOWN = 10
_NEVER_BEGAN = Ended(ChildEnd(None, None, None), timed_out=False)


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


@dataclass(frozen=True, slots=True)
class Running:
    """A job's child, and the thread that waits for its end."""

    run_id: int
    child: Child
    waiter: threading.Thread


@dataclass(slots=True)
class State:
    """What this process remembers; none of it is needed to go on after a crash."""

    handled: dict[str, datetime] = field(default_factory=dict)
    """Up to when each job's ticks have been dealt with."""
    due: list[Due] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)


class Scheduler:
    """One scheduler process; `clock` gives the time in UTC."""

    def __init__(
        self,
        engine: Engine,
        settings: ScheduleSettings,
        command: CommandLine,
        environ: Mapping[str, str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_end: Callable[[str, str], None] = lambda _job, _status: None,
    ) -> None:
        """`on_end(job, status)` is told of every run's end that no further attempt follows."""
        self._engine, self._settings, self._environ, self._clock = engine, settings, environ, clock
        self._command, self._on_end = command, on_end
        self.schedules = schedules(settings)
        self._state = State()
        self._lock = threading.Lock()
        """Held to start a child or to forbid it; never while the database is spoken to."""
        self.stopping = False
        """Whether `end` was called; no child is started any more."""
        self._host = socket.gethostname()

    def begin(self) -> None:
        """What is owed from before this process: crashed runs are closed, ticks that went by are caught up or noted.

        Raises WrongConfiguration where a schedule never comes true.
        """
        now = self._clock()
        with writing(self._engine) as connection:
            crashed = self._close_crashed(connection)
        for job, schedule in self.schedules.items():
            self._warn_of_oddities(job, schedule, now)
            self._state.handled[job] = now
            self._settle(job, schedule, now)
            get_logger().info("scheduled", job=job, next_run=_first(schedule, now).isoformat())
        self._tell_of(crashed)

    def _close_crashed(self, connection: Connection) -> list[attempts.Crashed]:
        crashed = attempts.mark_crashed(connection, self._settings.stale_seconds)
        for run in crashed:
            get_logger().error("a run has crashed", run_id=run.id, job=run.job)
        return crashed

    def _tell_of(self, crashed: list[attempts.Crashed]) -> None:
        """Of those that are caught up the further attempt's end is told."""
        caught_up = {(due.job, due.tick) for due in list(self._state.due)}
        for run in crashed:
            if (run.job, run.scheduled_for) not in caught_up:
                self._on_end(run.job, Status.CRASHED)

    def _settle(self, job: str, schedule: Schedule, now: datetime) -> None:
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
            self._state.due.append(Due(job, found.tick, found.attempt, found.reason, now))

    def _warn_of_oddities(self, job: str, schedule: Schedule, now: datetime) -> None:
        for oddity in schedule.oddities(now, now + _A_YEAR):
            what = "does not exist" if oddity.skipped else "comes twice"
            text = f"{oddity.wall_time:%Y-%m-%d %H:%M} {what} in {schedule.time_zone}; the job runs once that day"
            get_logger().warning("clock change", job=job, explanation=text, runs_at=oddity.moment.isoformat())

    def step(self) -> None:
        """Everything that is due now; by one thread, as often as one likes."""
        try:
            self._look_after()
            self._collect_ticks(self._clock())
            self._start_due(self._clock())
        except PimaError as error:
            # The database is away: what was due stays so, since nothing was marked as handled.
            get_logger().warning("the scheduler waits for the database", error_code=error.code)

    def _look_after(self) -> None:
        """Signs of life, and other schedulers' runs that have lost theirs."""
        with writing(self._engine) as connection:
            attempts.record_heartbeat(connection, [running.run_id for running in list(self._state.running.values())])
            crashed = self._close_crashed(connection)
            for run in crashed:
                self._catch_up_crashed(connection, run)
        self._tell_of(crashed)

    def _catch_up_crashed(self, connection: Connection, run: attempts.Crashed) -> None:
        newest = attempts.newest_tick(connection, run.job)
        if self._settings.catch_up == "none" or run.scheduled_for is None or run.scheduled_for != newest:
            return  # by hand, or a later tick has done its work
        attempt = next_attempt(attempts.attempts_of(connection, run.job, run.scheduled_for))
        if attempt is not None:
            self._state.due.append(Due(run.job, run.scheduled_for, attempt, "catch_up", self._clock()))

    def _collect_ticks(self, now: datetime) -> None:
        for job, schedule in self.schedules.items():
            # A clock that was set back: the ledger knows which of the ticks that come again were run.
            handled = min(self._state.handled[job], now)
            ticks = schedule.newest(handled, now, MOST_NOTED + 1)
            if len(ticks) > 1:  # between two steps: the machine slept, or the database was away
                with writing(self._engine) as connection:
                    self._note_missed(connection, job, ticks[:-1], "too_late")
            if ticks:
                self._state.due.append(Due(job, ticks[-1], 1, "schedule", now))
            self._state.handled[job] = now

    def _note_missed(self, connection: Connection, job: str, missed: list[datetime], error_code: str) -> None:
        noted = attempts.note_ticks(connection, job, missed, Status.MISSED, error_code, self._host)
        if noted:
            get_logger().warning("ticks were missed", job=job, ticks=noted)

    def _start_due(self, now: datetime) -> None:
        for due in list(self._state.due):
            if due.not_before > now or self._waits_for_retraining(due):
                continue
            if due.job in self._state.running:
                self._skip(due)
            else:
                self._start(due)
            self._state.due.remove(due)

    def _waits_for_retraining(self, due: Due) -> bool:
        """At start the owed scoring waits for the owed retraining."""
        if due.job != "score" or due.trigger == "schedule":
            return False
        if any(other.job == "retrain" and other.trigger != "schedule" for other in list(self._state.due)):
            return True
        with reading(self._engine) as connection:  # another scheduler may have it
            return attempts.is_running(connection, "retrain")

    def _skip(self, due: Due) -> None:
        with writing(self._engine) as connection:
            noted = attempts.note_ticks(connection, due.job, [due.tick], Status.SKIPPED, "still_running", self._host)
        if noted or due.attempt > 1:  # a further attempt has its tick's first row already, and is let go with this line
            get_logger().warning("skipped: the run before is still going", job=due.job, tick=due.tick.isoformat())

    def _start(self, due: Due) -> None:
        with writing(self._engine) as connection:
            run_id = start_run(connection, due.job, due.trigger, due.tick, self._host, due.attempt)
        if run_id is None:
            return  # another scheduler has it
        get_logger().info("job started", job=due.job, tick=due.tick.isoformat(), attempt=due.attempt, run_id=run_id)
        try:
            with self._lock:
                if not self.stopping:
                    self._launch(due, run_id)
                    return
            self._close(run_id, Status.INTERRUPTED, "stopped_before_it_began")
        except (OSError, RuntimeError) as error:  # no such program, no more processes, threads or files
            get_logger().error("the job could not be started", job=due.job, run_id=run_id, error=type(error).__name__)
            self._close(run_id, Status.FAILED, "not_started")
            self._on_end(due.job, Status.FAILED)

    def _launch(self, due: Due, run_id: int) -> None:
        child = Child(self._command(due.job, run_id), self._environ)
        waiter = threading.Thread(target=self._wait_for_end, args=(due, run_id, child), name=due.job, daemon=True)
        self._state.running[due.job] = Running(run_id, child, waiter)
        try:
            waiter.start()
        except RuntimeError:
            child.kill_after(0)
            del self._state.running[due.job]
            raise

    def _wait_for_end(self, due: Due, run_id: int, child: Child) -> None:
        try:
            ended = child.wait(self._settings.time_limit_minutes * 60, self._settings.grace_seconds)
            status, error_code = what_became_of_it(ended, self.stopping)
            final = self._close(run_id, status, error_code, ended)
            log = get_logger().info if final == Status.SUCCEEDED else get_logger().error
            log("job ended", job=due.job, run_id=run_id, status=final, exit_code=ended.end.exit_code)
            if is_tried_again(final, due.attempt, due.retries, self._settings.retries, self.stopping):
                self._state.due.append(self._retry(due))
            else:
                self._on_end(due.job, final)
        except Exception as error:  # noqa: BLE001 (of a thread's end nobody else would hear)
            get_logger().error("the run's end could not be told", run_id=run_id, error=type(error).__name__)
            self._close(run_id, Status.FAILED, "end_not_told")
        finally:
            del self._state.running[due.job]

    def _close(self, run_id: int, status: Status, error_code: str | None, ended: Ended = _NEVER_BEGAN) -> str:
        """The final status: what the child has said of itself stands, unless its time was up."""
        try:
            with writing(self._engine) as connection:
                return attempts.close_attempt(connection, run_id, status, error_code, ended.end, ended.timed_out)
        except PimaError as error:
            # The row stays `running`, and whoever looks next finds its heartbeat stale.
            get_logger().error("the run's end was not recorded", run_id=run_id, error_code=error.code)
            return str(status)

    def _retry(self, due: Due) -> Due:
        """Twice as long each time, and not at the same moment as everybody else."""
        wait = self._settings.retry_seconds * 2**due.retries * random.uniform(0.75, 1.25)  # noqa: S311
        get_logger().info("will try again", job=due.job, tick=due.tick.isoformat(), in_seconds=int(wait))
        not_before = self._clock() + timedelta(seconds=wait)
        return Due(due.job, due.tick, due.attempt + 1, due.trigger, not_before, due.retries + 1)

    def end(self) -> None:
        """Ask the children to stop, all at once; kill those that have not within the grace time."""
        with self._lock:
            self.stopping = True
            running = dict(self._state.running)
        for each in running.values():
            each.child.ask_to_stop()
        until = time.monotonic() + self._settings.grace_seconds
        for job, each in running.items():
            if each.child.kill_after(max(0.0, until - time.monotonic())):
                get_logger().error("job killed: it did not stop in time", job=job)
        until = time.monotonic() + _SECONDS_TO_WRITE_DOWN
        for each in running.values():
            each.waiter.join(max(0.0, until - time.monotonic()))

    def wait_for_children(self) -> None:
        """Until every child that runs now has ended and its end is in the ledger."""
        for each in list(self._state.running.values()):
            each.waiter.join()


def _first(schedule: Schedule, now: datetime) -> datetime:
    following = schedule.next(now)
    if following is None:
        raise WrongConfiguration(what=f"schedule '{schedule.expression}'", expected="one that comes true some day")
    return following
