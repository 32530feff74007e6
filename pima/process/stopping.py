"""SIGTERM and Ctrl-C: asked to stop, the process ends at the next boundary, with nothing half-done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pima.errors import INTERRUPTED_BY_CTRL_C, INTERRUPTED_BY_SIGTERM, Interrupted

# Python's own modules are asked by native code; TensorFlow's asks some of them where it takes arguments apart, at each
# step of a fit.
_ASKED = "<frozen "
_ASKS = "tensorflow/python/util/nest_util.py"
_SECONDS_TO_ANSWER = 0.01
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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EXIT_CODES)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._exit_code = _EXIT_CODES[signal.Signals(number)]
        self._raise_soon(frame)

    def _raise_soon(self, frame: FrameType | None) -> None:
        """At once, but not where native code would make a traceback and another error of it."""
        if not self._at_once or self._exit_code is None:
            return
        if _is_called_by_native_code(frame):
            signal.signal(signal.SIGALRM, lambda _number, later: self._raise_soon(later))
            signal.setitimer(signal.ITIMER_REAL, _SECONDS_TO_ANSWER)
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
        self.check()


def _is_called_by_native_code(frame: FrameType | None) -> bool:
    file = "" if frame is None else frame.f_code.co_filename
    return file.startswith(_ASKED) or file.endswith(_ASKS)
