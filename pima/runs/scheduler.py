"""The container's main work: at each tick, start the command that a person would type, as a child
process. If there are sources, `jobs.pull` pulls all of them first.

The table `runs` is the truth. Whichever scheduler inserts a tick's row runs it, so two schedulers
on one database make one run for each tick, and the state of this process may be lost at any moment.
A step decides by the clock and by `runs`; repeating a step changes nothing.

There are three kinds of threads. One takes the steps and owns the state in memory. One for each
child waits for its end, records it and reports it, since a step may hang meanwhile; it passes the
end to the next step by a queue. The main thread makes no database call, so it passes a signal on at
once even while the database does not respond.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from queue import SimpleQueue

from sqlalchemy import Connection, Engine

from pima.errors import PimaError
from pima.logs import get_logger
from pima.runs.children import Child, CommandLine, RunningChildren, what_became_of_it
from pima.runs.due import Due, DueRuns, is_awaited, is_tried_again
from pima.runs.stop_request import StopRequest
from pima.runs.ticks import schedules
from pima.settings.reading import environ_of_job
from pima.settings.sections import PULL, ScheduleSettings
from pima.store.engine import reading, writing
from pima.store.service import runs
from pima.store.service.runs import ChildEnd, Status, start_run
from pima.store.service.schedules import Attempt, attempts_of, note_ticks, record_heartbeat

_MOST_SECONDS_BETWEEN_STEPS = 5
_NEVER_BEGAN = ChildEnd(None, None, None)


@dataclass
class Scheduler:
    """One scheduler process.

    One thread calls `begin` and `step`. Any thread may call `end`, which uses only the running
    children.
    """

    engine: Engine
    settings: ScheduleSettings
    command: CommandLine
    environ: Mapping[str, str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The time in UTC."""
    on_end: Callable[[str, str], None] = lambda _job, _status: None
    """Called with job and status when a run ends and no further attempt follows."""
    sources: Sequence[str] = ()
    """The names of the sources to pull before each tick."""

    def __post_init__(self) -> None:
        self._schedules = schedules(self.settings)
        self._host = socket.gethostname()
        self._stopping = threading.Event()
        self._due = DueRuns(self.engine, self.settings, self._schedules, self._host, self.sources)
        self._running = RunningChildren(self.settings.grace_seconds, self._stopping)
        self._ended: SimpleQueue[tuple[str, Due | None]] = SimpleQueue()
        """One entry for each child that ended: its job, and the attempt that follows or None."""

    @property
    def stopping(self) -> bool:
        """Whether `end` was called; no child is started any more."""
        return self._stopping.is_set()

    @property
    def seconds_to_the_next_step(self) -> float:
        """Seconds until the next tick, at most 5, since children end and clocks are changed."""
        now = self.clock()
        ticks = (schedule.next(now) for schedule in self._schedules.values())
        waits = [(tick - now).total_seconds() for tick in ticks if tick is not None]
        return min(_MOST_SECONDS_BETWEEN_STEPS, *waits)

    def begin(self) -> None:
        """Close crashed runs, and catch up earlier ticks or record them as missed.

        Raises WrongConfiguration if a schedule never comes true.
        """
        now = self.clock()
        with writing(self.engine) as connection:
            crashed = self._close_crashed(connection)
        self._due.begin(now)
        self._tell_of(crashed)

    def step(self) -> None:
        """Do everything that is due now. Call it from one thread, as often as you like."""
        # Read the clock before the ends: a job whose child ended before this tick is then free for
        # it.
        now = self.clock()
        while not self._ended.empty():
            job, retry = self._ended.get_nowait()
            self._running.forget(job)
            if retry is not None:
                self._due.waiting.append(retry)
        try:
            self._look_after(now)
            self._due.collect_ticks(now)
            self._start_due(now)
        except PimaError as error:
            # The database is down: everything stays due, since nothing was marked as handled.
            get_logger().warning("the scheduler waits for the database", error_code=error.code)

    def _look_after(self, now: datetime) -> None:
        """Write heartbeats, and close the runs of other schedulers that have stopped writing
        theirs."""
        with writing(self.engine) as connection:
            record_heartbeat(connection, self._running.run_ids)
            crashed = self._close_crashed(connection)
            for run in crashed:
                self._due.catch_up_crashed(connection, run, now)
        self._tell_of(crashed)

    def _close_crashed(self, connection: Connection) -> list[runs.Crashed]:
        """Close all runs, of any scheduler, whose last heartbeat is too old."""
        crashed = runs.mark_crashed(connection)
        for run in crashed:
            get_logger().error("a run has crashed", run_id=run.id, job=run.job)
        return crashed

    def _tell_of(self, crashed: list[runs.Crashed]) -> None:
        """Report the end of each crashed run, unless it is caught up: then the end of that attempt
        is reported."""
        caught_up = {(due.job, due.tick) for due in self._due.waiting}
        for run in crashed:
            if (run.job, run.scheduled_for) not in caught_up:
                self.on_end(run.job, Status.CRASHED)

    def _start_due(self, now: datetime) -> None:
        """Start the runs that may start now, and skip those that can't; the rest stay due."""
        pulling = set()
        for due in list(self._due.waiting):
            # Of two pulls of a source at once, the second would be refused.
            if due.not_before > now or (due.job == PULL and self._runs_somewhere(PULL)):
                continue
            is_let_go = due.job in self._running or due.job in pulling
            if not is_let_go:
                self._pull_first(due, now)
            if self._waits_for_retraining(due):
                continue
            if is_let_go:
                self._skip(due)
            elif self._waits_for_its_pull(due, now):
                pulling.add(due.job)
                continue
            else:
                self._start(due)
            self._due.waiting.remove(due)

    def _waits_for_retraining(self, due: Due) -> bool:
        """Whether scoring must wait. After a start, both jobs may have a tick to catch up: then
        retraining comes first."""
        if due.job != "score" or due.trigger == "schedule":
            return False
        if any(
            other.job == "retrain" and other.trigger != "schedule" for other in self._due.waiting
        ):
            return True
        # A retraining may have ended, and its next attempt may not be due yet.
        return self._runs_somewhere("retrain")

    def _runs_somewhere(self, job: str) -> bool:
        if job in self._running:
            return True
        with reading(self.engine) as connection:  # another scheduler may have it
            return runs.is_running(connection, job)

    def _pull_first(self, due: Due, now: datetime) -> None:
        """Start the pull of the run's tick, if it can begin and no scheduler has started it."""
        if (
            due.pull
            and now < due.waits_until
            and not self._is_taken(due)
            and not self._runs_somewhere(PULL)
        ):
            pull = Due(PULL, due.tick, due.pull, due.trigger, now)
            if not self._is_taken(pull):
                self._start(pull)

    def _is_taken(self, due: Due) -> bool:
        """Whether `runs` has this attempt or a later one."""
        return any(made.attempt >= due.attempt for made in self._made(due.job, due.tick))

    def _made(self, job: str, tick: datetime) -> list[Attempt]:
        with reading(self.engine) as connection:
            return attempts_of(connection, job, tick)

    def _waits_for_its_pull(self, due: Due, now: datetime) -> bool:
        """Whether the pull of the run's tick may still succeed."""
        if not due.pull or self._is_taken(due):
            return False
        made = self._made(PULL, due.tick)
        is_to_come = not made or made[-1].attempt < due.pull
        is_to_come |= any(
            (other.job, other.tick) == (PULL, due.tick) for other in self._due.waiting
        )
        # The pull may have ended since this step began, and its next attempt may not be due yet.
        is_to_come |= PULL in self._running
        if not is_to_come and not is_awaited(made, self.settings.retries):
            return False
        if now < due.waits_until:
            return True
        get_logger().warning(
            "starts without the pull: waited an hour for it", job=due.job, tick=due.tick.isoformat()
        )
        return False

    def _skip(self, due: Due) -> None:
        with writing(self.engine) as connection:
            noted = note_ticks(
                connection, due.job, [due.tick], Status.SKIPPED, "still_running", self._host
            )
        # A further attempt adds no row, since its tick has one. It is only logged.
        if noted or due.attempt > 1:
            get_logger().warning(
                "skipped: the run before is still going", job=due.job, tick=due.tick.isoformat()
            )

    def _start(self, due: Due) -> None:
        """Start the child, if this scheduler gets the row of the tick's attempt."""
        with writing(self.engine) as connection:
            run_id = start_run(connection, due.job, due.trigger, due.tick, self._host, due.attempt)
        if run_id is None:
            return  # another scheduler has it
        get_logger().info(
            "job started",
            job=due.job,
            tick=due.tick.isoformat(),
            attempt=due.attempt,
            run_id=run_id,
        )
        launch = partial(
            Child, self.command(due.job, run_id), environ_of_job(self.environ, due.job)
        )
        try:
            if not self._running.start(
                due.job, run_id, launch, partial(self._wait_for_end, due, run_id)
            ):
                self._close(run_id, Status.INTERRUPTED, "stopped_before_it_began")
        except OSError as error:  # no such program, or no process or file descriptor is left
            get_logger().error(
                "the job could not be started",
                job=due.job,
                run_id=run_id,
                error=type(error).__name__,
            )
            self._close(run_id, Status.FAILED, "not_started")  # trying again would change nothing
            self.on_end(due.job, Status.FAILED)

    def _wait_for_end(self, due: Due, run_id: int, child: Child) -> None:
        """Wait for a child's end and settle it; a child's waiting thread runs this."""
        retry = None
        try:
            ended = child.wait(self.settings.time_limit_minutes * 60, self.settings.grace_seconds)
            retry = self._settle(due, run_id, ended)
        except Exception as error:  # noqa: BLE001 (an error in a thread is seen nowhere else)
            get_logger().error(
                "the run's end was not handled", run_id=run_id, error=type(error).__name__
            )
            self._close(run_id, Status.FAILED, "end_not_told")
        finally:
            self._ended.put((due.job, retry))

    def _settle(self, due: Due, run_id: int, ended: ChildEnd) -> Due | None:
        """Record the end; then return the attempt that follows, or report the end and return
        None."""
        status, error_code = what_became_of_it(ended, self._stopping.is_set())
        final = self._close(run_id, status, error_code, ended)
        log = get_logger().info if final == Status.SUCCEEDED else get_logger().error
        log("job ended", job=due.job, run_id=run_id, status=final, exit_code=ended.exit_code)
        if not is_tried_again(
            final, due.attempt, due.retries, self.settings.retries, self._stopping.is_set()
        ):
            self.on_end(due.job, final)
            return None
        wait = self.settings.retry_seconds * 2**due.retries
        get_logger().info("will try again", job=due.job, tick=due.tick.isoformat(), in_seconds=wait)
        not_before = self.clock() + timedelta(seconds=wait)
        return Due(due.job, due.tick, due.attempt + 1, due.trigger, not_before, due.retries + 1)

    def _close(
        self, run_id: int, status: Status, error_code: str | None, ended: ChildEnd = _NEVER_BEGAN
    ) -> str:
        """Close a run and return its final status. The status that the child wrote stands, unless
        its time was up."""
        try:
            with writing(self.engine) as connection:
                return runs.close_attempt(connection, run_id, status, error_code, ended)
        except PimaError as error:
            # The row stays `running`, and the next check finds its heartbeat stale.
            get_logger().error(
                "the run's end was not recorded", run_id=run_id, error_code=error.code
            )
            return str(status)

    def end(self) -> None:
        """Ask all children to stop at once; kill those that have not ended within the grace
        time."""
        self._running.stop()


def run_until_stopped(scheduler: Scheduler, stop: StopRequest) -> None:
    """Start the jobs at their ticks until a signal asks to stop; then stop the children and wait
    for them.

    Raises what `begin` raises (the database is down, a schedule is wrong). A step continues while
    the database is down, so an error that it raises is a defect.
    """
    steps = _Steps(scheduler)
    steps.start()
    try:
        while steps.is_alive() and not stop.requested:
            time.sleep(0.2)
    finally:
        scheduler.end()
    if steps.error is not None:
        raise steps.error


class _Steps(threading.Thread):
    """Step after step, until the process ends or something breaks."""

    def __init__(self, scheduler: Scheduler) -> None:
        # It may hang on an unresponsive database when the process ends.
        super().__init__(name="steps", daemon=True)
        self._scheduler = scheduler
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._scheduler.begin()
            while not self._scheduler.stopping:
                self._scheduler.step()
                time.sleep(self._scheduler.seconds_to_the_next_step)
        except BaseException as error:  # noqa: BLE001 (the main thread raises it)
            self.error = error
