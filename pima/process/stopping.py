"""SIGTERM and Ctrl-C: asked to stop, the process ends at the next boundary, with nothing half-done."""

import atexit
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pima.errors import INTERRUPTED_BY_CTRL_C, INTERRUPTED_BY_SIGTERM, Interrupted

# TensorFlow's native code, at each step of a fit and in between, calls Python and makes another error of what is raised
# there, or ends the process. A fit has boundaries of its own. Python's own modules are asked by native code too, and an
# import is not torn.
_NATIVE = ("-packages/tensorflow/", "-packages/keras/")
_ASKED = "<frozen "
_SECONDS_TO_WAIT = 0.01
_EXIT_CODES = {signal.SIGINT: INTERRUPTED_BY_CTRL_C, signal.SIGTERM: INTERRUPTED_BY_SIGTERM}


class StopRequest:
    """Whether a signal has asked the process to stop. One a process, made before the work begins."""

    def __init__(self) -> None:
        self._exit_code: int | None = None
        self._at_once = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT. What came while a scheduler's child could not listen yet is heard now."""
        for number in _EXIT_CODES:
            signal.signal(number, self._on_signal)
        atexit.register(_hear_no_more)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EXIT_CODES)

    def ask(self) -> None:
        """Ask the work to stop as SIGTERM does, where it runs in a process of somebody else's."""
        self._exit_code = INTERRUPTED_BY_SIGTERM

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._exit_code = _EXIT_CODES[signal.Signals(number)]
        self._raise_soon(frame)

    def _raise_soon(self, frame: FrameType | None) -> None:
        """Raise at once, but not where native code would make a traceback and another error of it."""
        if not self._at_once or self._exit_code is None:
            return
        if _is_amid_native_code(frame):
            signal.signal(signal.SIGALRM, lambda _number, later: self._raise_soon(later))
            signal.setitimer(signal.ITIMER_REAL, _SECONDS_TO_WAIT)
            return
        raise Interrupted(self._exit_code)

    @property
    def requested(self) -> bool:
        """Whether the process was asked to stop."""
        return self._exit_code is not None

    def check(self) -> None:
        """A boundary: raises Interrupted where a stop was requested."""
        if self._exit_code is not None:
            raise Interrupted(self._exit_code)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Work that may be dropped anywhere, such as a fit: a signal raises in the middle of it.

        Checked at both ends, since Python swallows what is raised inside a finaliser, and where something else was
        raised, since a library's native code may have made another error of it.
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
            if self._exit_code is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)  # it may be waiting for a boundary still
        self.check()


def _hear_no_more() -> None:
    """The work is done and its end told. While Python clears up, which TensorFlow makes long, a signal would do again
    what it does by itself: end the process, with another exit code."""
    for number in (*_EXIT_CODES, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _is_amid_native_code(frame: FrameType | None) -> bool:
    if frame is not None and frame.f_code.co_filename.startswith(_ASKED):
        return True
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in _NATIVE):
            return True
        frame = frame.f_back
    return False
