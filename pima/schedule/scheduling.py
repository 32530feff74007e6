"""The container's main work: at each tick, start the very command that a person would type, as a child. Where there are
sources, `jobs.pull` of them all comes first.

The table `runs` is the truth. A tick is run by whoever gets its row, so two schedulers on one database make one run a
tick, and what this process remembers may be lost at any moment. `step` decides by the clock and by `runs`, and doing it
once more changes nothing; what calls it is told in `pima/schedule/waking.py`.

What is remembered belongs to the one thread that calls `begin` and `step`. Others wait for children and put their ends
on a queue (`pima/schedule/ends.py`); the main thread calls `end`, which needs no more than the children that run.
"""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from pima.errors import PimaError
from pima.logs import get_logger
from pima.schedule.children import Child, CommandLine
from pima.schedule.due import DueRuns
from pima.schedule.ends import Ends, close_crashed
from pima.schedule.running import RunningChildren
from pima.schedule.starting import Starter
from pima.schedule.ticks import PULL, schedules
from pima.settings.reading import without_urls
from pima.settings.sections import ScheduleSettings
from pima.store import attempts
from pima.store.engine import writing
from pima.store.runs import Status


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
        sources: Sequence[str] = (),
    ) -> None:
        """`on_end(job, status)` is told of every run's end that no further attempt follows; `sources` are the names of
        what is pulled before each tick."""
        self._engine, self._settings, self._clock, self._on_end = engine, settings, clock, on_end
        self.schedules = schedules(settings)
        self._stopping = threading.Event()
        host = socket.gethostname()
        self._due = DueRuns(engine, settings, self.schedules, host, sources)
        self._running = RunningChildren(settings.grace_seconds, self._stopping)
        self._ends = Ends(engine, settings, clock, on_end, self._stopping)

        def launch(job: str, run_id: int) -> Child:
            return Child(command(job, run_id), environ if job == PULL else without_urls(environ))

        self._starter = Starter(engine, host, launch, self._due, self._running, self._ends, settings.retries)

    @property
    def stopping(self) -> bool:
        """Whether `end` was called; no child is started any more."""
        return self._stopping.is_set()

    def begin(self) -> None:
        """What is owed from before this process: crashed runs are closed, ticks that went by are caught up or noted.

        Raises WrongConfiguration where a schedule never comes true.
        """
        now = self._clock()
        with writing(self._engine) as connection:
            crashed = close_crashed(connection, self._settings.stale_seconds)
        self._due.begin(now)
        self._tell_of(crashed)

    def step(self) -> None:
        """Everything that is due now; by one thread, as often as one likes."""
        # The time before the ends: whoever knows of an end and sets the clock on finds the job free for its next tick.
        now = self._clock()
        self._take_in_ends()
        try:
            self._look_after(now)
            self._due.collect_ticks(now)
            self._starter.start_due(now)
        except PimaError as error:
            # The database is away: what was due stays so, since nothing was marked as handled.
            get_logger().warning("the scheduler waits for the database", error_code=error.code)

    def _take_in_ends(self) -> None:
        for gone in self._ends.since_last_step():
            self._running.forget(gone.job)
            if gone.retry is not None:
                self._due.add(gone.retry)

    def _look_after(self, now: datetime) -> None:
        """Signs of life, and other schedulers' runs that have lost theirs."""
        with writing(self._engine) as connection:
            attempts.record_heartbeat(connection, self._running.run_ids)
            crashed = close_crashed(connection, self._settings.stale_seconds)
            for run in crashed:
                self._due.catch_up_crashed(connection, run, now)
        self._tell_of(crashed)

    def _tell_of(self, crashed: list[attempts.Crashed]) -> None:
        """Of those that are caught up the further attempt's end is told."""
        caught_up = {(due.job, due.tick) for due in self._due}
        for run in crashed:
            if (run.job, run.scheduled_for) not in caught_up:
                self._on_end(run.job, Status.CRASHED)

    def end(self) -> None:
        """Ask the children to stop, all at once; kill those that have not within the grace time."""
        self._running.stop()

    def wait_for_children(self) -> None:
        """Until every child that runs now has ended and its end is in `runs`."""
        self._running.wait()
