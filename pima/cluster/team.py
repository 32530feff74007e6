"""Child processes that share one work: one that was killed is replaced, and all stop together."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pima.errors import TRY_AGAIN_LATER, WorkersFailed, WorkersHeldUp
from pima.logs import get_logger
from pima.process.stopping import StopRequest
from pima.schedule.children import Child, Ended

_DEATHS_IN_A_ROW = 3
"""Without any progress between them."""
_A_YEAR = 366 * 24 * 3600.0
"""How long a child may take."""
_SECONDS_A_LOOK = 0.1


class Deaths:
    """How often workers were killed in a row without anything being done for good in between."""

    def __init__(self, progress: Callable[[], int]) -> None:
        """`progress` grows with what has been done."""
        self._progress, self._lock = progress, threading.Lock()
        self._done, self._in_a_row = -1, 0

    def one_more(self) -> bool:
        """Whether another worker may take the dead one's place."""
        done = self._progress()
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if done == self._done else 1
            self._done = done
            return self._in_a_row < _DEATHS_IN_A_ROW


class Team:
    """The children of one run."""

    def __init__(
        self, launches: Sequence[Callable[[], Child]], progress: Callable[[], int], grace_seconds: float
    ) -> None:
        """One child each; `progress` grows with what has been done for good. A child that does not stop within the
        grace time is killed."""
        self._launches, self._deaths, self._grace_seconds = launches, Deaths(progress), grace_seconds
        self._children: list[Child | None] = [None] * len(launches)
        self._lock = threading.Lock()
        self._stopping = False

    def work(self, stop: StopRequest, look: Callable[[], None] = lambda: None) -> None:
        """Until every child has ended well; `look` is called now and then meanwhile.

        Raises WorkersFailed or WorkersHeldUp, by what a child ended with, and Interrupted; all have ended then.
        """
        with ThreadPoolExecutor(len(self._launches), thread_name_prefix="child") as threads:
            waiting = [threads.submit(self._see_through, n) for n in range(len(self._launches))]
            try:
                while wait(waiting, _SECONDS_A_LOOK).not_done and not (stop.requested or self._stopping):
                    look()
            finally:
                self._end(waiting)
        stop.check()
        for each in waiting:
            each.result()

    def _end(self, waiting: Sequence[Future[None]]) -> None:
        self._stop()
        until = time.monotonic() + self._grace_seconds
        while wait(waiting, _SECONDS_A_LOOK).not_done:
            if time.monotonic() > until:
                self._kill()

    def _see_through(self, number: int) -> None:
        while (child := self._start(number)) is not None:
            ended = child.wait(_A_YEAR, self._grace_seconds)
            if ended.end.exit_code == 0 or self._stopping:
                return
            if ended.end.signal is None or not self._deaths.one_more():
                self._stop()
                raise _failed(ended)
            get_logger().warning("worker killed, another takes its place", signal=ended.end.signal)

    def _start(self, number: int) -> Child | None:
        with self._lock:
            if self._stopping:
                return None
            child = self._children[number] = self._launches[number]()
            return child

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            for child in filter(None, self._children):
                child.ask_to_stop()

    def _kill(self) -> None:
        for child in filter(None, self._children):
            child.kill_after(0)


def _failed(ended: Ended) -> WorkersFailed | WorkersHeldUp:
    code, signal = ended.end.exit_code, ended.end.signal
    if code == TRY_AGAIN_LATER:
        return WorkersHeldUp(line=ended.end.error_line)
    how = f"was killed by {signal} again and again" if signal else f"ended with exit code {code}"
    return WorkersFailed(how=how, line=ended.end.error_line or "nothing was said")
