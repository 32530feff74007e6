"""How runs end.

The thread that waits for a child writes its end down and tells of it, since a step may hang meanwhile. What the next
step must know of it goes on a queue: nothing that the step decides by changes under its hands.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from sqlalchemy import Connection, Engine

from pima.errors import PimaError
from pima.logs import get_logger
from pima.schedule.catching_up import is_tried_again
from pima.schedule.children import Child, Ended, what_became_of_it
from pima.schedule.due import Due
from pima.settings.sections import ScheduleSettings
from pima.store import attempts
from pima.store.attempts import ChildEnd
from pima.store.engine import writing
from pima.store.runs import Status

_NEVER_BEGAN = Ended(ChildEnd(None, None, None), timed_out=False)


@dataclass(frozen=True, slots=True)
class Gone:
    """A child that has ended."""

    job: str
    retry: Due | None
    """The attempt that follows."""


class Ends:
    """Writes the ends of runs down, and keeps those of children until the next step."""

    def __init__(
        self,
        engine: Engine,
        settings: ScheduleSettings,
        clock: Callable[[], datetime],
        on_end: Callable[[str, str], None],
        stopping: threading.Event,
    ) -> None:
        self._engine, self._settings, self._clock, self._stopping = engine, settings, clock, stopping
        self._on_end = on_end
        self._gone: SimpleQueue[Gone] = SimpleQueue()

    def since_last_step(self) -> Iterator[Gone]:
        """Each child's end once."""
        try:
            while True:
                yield self._gone.get_nowait()
        except Empty:
            return

    def wait_for_end(self, due: Due, run_id: int, child: Child) -> None:
        """All that a child's waiting thread does."""
        retry = None
        try:
            ended = child.wait(self._settings.time_limit_minutes * 60, self._settings.grace_seconds)
            retry = self._settle(due, run_id, ended)
        except Exception as error:  # noqa: BLE001 (of a thread's end nobody else would hear)
            get_logger().error("the run's end could not be told", run_id=run_id, error=type(error).__name__)
            self.close(run_id, Status.FAILED, "end_not_told")
        finally:
            self._gone.put(Gone(due.job, retry))

    def _settle(self, due: Due, run_id: int, ended: Ended) -> Due | None:
        """Write the end down; then another attempt follows, or the end is told of."""
        status, error_code = what_became_of_it(ended, self._stopping.is_set())
        final = self.close(run_id, status, error_code, ended)
        log = get_logger().info if final == Status.SUCCEEDED else get_logger().error
        log("job ended", job=due.job, run_id=run_id, status=final, exit_code=ended.end.exit_code)
        if is_tried_again(final, due.attempt, due.retries, self._settings.retries, self._stopping.is_set()):
            return self._retry(due)
        self._on_end(due.job, final)
        return None

    def _retry(self, due: Due) -> Due:
        """Twice as long each time, and not at the same moment as everybody else."""
        wait = self._settings.retry_seconds * 2**due.retries * random.uniform(0.75, 1.25)  # noqa: S311
        get_logger().info("will try again", job=due.job, tick=due.tick.isoformat(), in_seconds=int(wait))
        not_before = self._clock() + timedelta(seconds=wait)
        return Due(due.job, due.tick, due.attempt + 1, due.trigger, not_before, due.retries + 1)

    def not_started(self, job: str, run_id: int) -> None:
        """There is no child; trying again would change nothing."""
        self.close(run_id, Status.FAILED, "not_started")
        self._on_end(job, Status.FAILED)

    def close(self, run_id: int, status: Status, error_code: str | None, ended: Ended = _NEVER_BEGAN) -> str:
        """The final status: what the child has said of itself stands, unless its time was up."""
        try:
            with writing(self._engine) as connection:
                return attempts.close_attempt(connection, run_id, status, error_code, ended.end, ended.timed_out)
        except PimaError as error:
            # The row stays `running`, and whoever looks next finds its heartbeat stale.
            get_logger().error("the run's end was not recorded", run_id=run_id, error_code=error.code)
            return str(status)


def close_crashed(connection: Connection, stale_seconds: int) -> list[attempts.Crashed]:
    """Close the runs, whoever had them, that have given no sign of life for so long."""
    crashed = attempts.mark_crashed(connection, stale_seconds)
    for run in crashed:
        get_logger().error("a run has crashed", run_id=run.id, job=run.job)
    return crashed
