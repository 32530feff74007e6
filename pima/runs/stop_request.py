"""A request to stop, by a signal, a time limit or another program: where the work hears of it."""

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pima.errors import (
    INTERRUPTED_BY_CTRL_C,
    INTERRUPTED_BY_SIGTERM,
    Interrupted,
    TimedOut,
)
from pima.settings.sections import OWN_CODE

_EXIT_CODES = {signal.SIGINT: INTERRUPTED_BY_CTRL_C, signal.SIGTERM: INTERRUPTED_BY_SIGTERM}


class StopRequest:
    """Records whether a signal has asked the process to stop. A process has one, made before the
    work begins."""

    def __init__(self) -> None:
        self._ending: Interrupted | None = None
        self._at_once = False

    def listen(self) -> None:
        """Handle SIGTERM and SIGINT. A signal that came while a scheduler's child blocked it is
        delivered now."""
        for number in _EXIT_CODES:
            signal.signal(number, self._on_signal)
        atexit.register(_hear_no_more)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EXIT_CODES)

    def ask(self) -> None:
        """Ask the work to stop as SIGTERM does, when it runs in another program's process."""
        self._ending = Interrupted(INTERRUPTED_BY_SIGTERM)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._ending = self._ending or Interrupted(_EXIT_CODES[signal.Signals(number)])
        if self._at_once or _is_own_code(frame):
            raise self._ending

    @contextmanager
    def within(self, seconds: float, grace_seconds: float) -> Iterator[None]:
        """Limit the time of some work. When the time is up, the work is asked to stop, and raises
        TimedOut where it looks; if it does not end, the process is killed."""
        ended = threading.Event()

        def watch() -> None:
            if ended.wait(seconds):
                return
            self._ending = TimedOut()
            os.kill(os.getpid(), signal.SIGTERM)
            if not ended.wait(grace_seconds):
                os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, name="time limit", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    @property
    def requested(self) -> bool:
        """Whether the process was asked to stop."""
        return self._ending is not None

    def check(self) -> None:
        """Stop here if asked to: raises Interrupted if a stop was requested."""
        if self._ending is not None:
            raise self._ending

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Run work that may be abandoned anywhere, such as reading a file: a signal raises
        Interrupted in its middle.

        It is checked at both ends, since Python ignores exceptions inside a finaliser, and after
        any error, since a library's native code may have turned Interrupted into another error.
        """
        self._at_once = True
        try:
            self.check()
            yield
        except Exception:
            self.check()
            raise
        finally:
            self._at_once = False
        self.check()


def _is_own_code(frame: FrameType | None) -> bool:
    """Whether a signal came while the file of one's own network was running: a `build` that never
    ended heard no stop, and held its lease for ever."""
    while frame is not None and frame.f_code.co_filename != OWN_CODE:
        frame = frame.f_back
    return frame is not None


def _hear_no_more() -> None:
    """Ignore signals while Python exits, which takes long with TensorFlow: the work is done and
    recorded, and a signal would end the process with another exit code."""
    for number in _EXIT_CODES:
        signal.signal(number, signal.SIG_IGN)
