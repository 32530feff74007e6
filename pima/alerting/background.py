"""Telling from within a scheduler: in a thread of its own, so that no receiver, and no fault here, keeps a job
waiting."""

import threading
from collections.abc import Callable

from pima.errors import PimaError
from pima.logs import get_logger

SECONDS_BETWEEN_LOOKS = 300
_SECONDS_TO_END = 10


class BackgroundTelling:
    """Within it people are told after each run, and every few minutes of what comes without one, such as a row that
    waits too long."""

    def __init__(self, tell: Callable[[], object] | None, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
        """`tell` tells what is due; None tells nobody of anything."""
        self._tell, self._seconds = tell, seconds
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __enter__(self) -> None:
        # It waits before its first look, too: what is owed at start may be done by then.
        if self._tell is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_SECONDS_TO_END)

    def wake(self) -> None:
        """Look now; returns at once."""
        self._wake.set()

    def _run(self) -> None:
        while self._tell is not None:
            self._wake.wait(self._seconds)
            self._wake.clear()
            if self._ending.is_set():
                return
            _look(self._tell)


def _look(tell: Callable[[], object]) -> None:
    try:
        tell()
    except PimaError as error:
        get_logger().warning("alerts: it is tried again in a few minutes", error_code=error.code)
    except Exception as error:  # noqa: BLE001 (it must not end the scheduler, and no text of it is ours to show)
        get_logger().error("alerts: a defect of pima, please report it", error=type(error).__name__)
