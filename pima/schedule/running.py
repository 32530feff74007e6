"""The children that run, and how they are stopped.

The stepping thread starts children and forgets those that have ended. Any thread may stop them, however long a step
hangs on a silent database, and from then on none is started.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pima.logs import get_logger
from pima.schedule.children import Child

_SECONDS_TO_WRITE_DOWN = 10


@dataclass(frozen=True, slots=True)
class Running:
    """A job's child, and the thread that waits for its end."""

    run_id: int
    child: Child
    waiter: threading.Thread


class RunningChildren:
    """One child a job at most."""

    def __init__(self, grace_seconds: float, stopping: threading.Event) -> None:
        """`stopping` is set by `stop`, and read by others."""
        self._grace_seconds, self._stopping = grace_seconds, stopping
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()
        """Held to start a child or to forbid it; never while the database is spoken to."""

    def __contains__(self, job: str) -> bool:
        return job in self._running

    @property
    def run_ids(self) -> list[int]:
        """The runs whose children run."""
        return [running.run_id for running in self._all()]

    def _all(self) -> list[Running]:
        with self._lock:
            return list(self._running.values())

    def start(self, job: str, run_id: int, launch: Callable[[], Child], wait_for_end: Callable[[Child], None]) -> bool:
        """Launch a child and have a thread wait for its end; False, and nothing launched, where all are to stop.

        Raises OSError or RuntimeError: there is no such program, or no more processes, threads or files.
        """
        with self._lock:
            if self._stopping.is_set():
                return False
            child = launch()
            waiter = threading.Thread(target=wait_for_end, args=(child,), name=job, daemon=True)
            try:
                waiter.start()
            except RuntimeError:
                child.kill_after(0)
                raise
            self._running[job] = Running(run_id, child, waiter)
            return True

    def forget(self, job: str) -> None:
        """Its child has ended."""
        with self._lock:
            del self._running[job]

    def stop(self) -> None:
        """Ask the children to stop, all at once; kill those that have not within the grace time."""
        with self._lock:
            self._stopping.set()
            running = dict(self._running)
        for each in running.values():
            each.child.ask_to_stop()
        until = time.monotonic() + self._grace_seconds
        for job, each in running.items():
            if each.child.kill_after(max(0.0, until - time.monotonic())):
                get_logger().error("job killed: it did not stop in time", job=job)
        until = time.monotonic() + _SECONDS_TO_WRITE_DOWN
        for each in running.values():
            each.waiter.join(max(0.0, until - time.monotonic()))

    def wait(self) -> None:
        """Until every child that runs now has ended and its end is in `runs`."""
        for each in self._all():
            each.waiter.join()
