"""A job as a child process: started in a group of its own, listened to, limited in time, and stopped when asked.

A child process, because TensorFlow grows in a long-lived one, and so that a job which dies does not take the clock
along.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from pima.logs import tell
from pima.store.attempts import ChildEnd

_LONGEST_LINE = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended, and whether its time was up."""

    end: ChildEnd
    timed_out: bool


class Child:
    """One running command."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        # A group of its own: a Ctrl-C on the terminal reaches the scheduler alone, which passes it on once.
        self._process = subprocess.Popen(
            list(command),
            env=dict(environ),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._line: str | None = None
        self._listener = threading.Thread(target=self._listen, name="child's stderr", daemon=True)
        self._listener.start()

    def wait(self, time_limit_seconds: float, grace_seconds: float) -> Ended:
        """Wait for its end; where its time is up, ask it to stop, and kill it where it does not."""
        timed_out = False
        try:
            self._process.wait(time_limit_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.ask_to_stop()
            self.kill_after(grace_seconds)
        self._listener.join(timeout=5)
        return Ended(self._end(), timed_out)

    def ask_to_stop(self) -> None:
        """SIGTERM; a child that has ended already hears nothing."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill_after(self, grace_seconds: float) -> bool:
        """Wait so long, then kill the whole group; whether that was needed."""
        try:
            self._process.wait(grace_seconds)
            return False
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return True

    def _end(self) -> ChildEnd:
        code = self._process.returncode
        signal_name = signal.Signals(-code).name if code < 0 else None
        return ChildEnd(None if signal_name else code, signal_name, self._line if code else None)

    def _listen(self) -> None:
        """Pass the child's log lines on, and remember the error's first line, or where there is none the last line."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 (for the type checker: asked for above)
        with stream:
            self._pass_on(stream)

    def _pass_on(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode("utf-8", errors="replace").rstrip()
            if text and not (self._line or "").startswith("error:"):
                self._line = text[:_LONGEST_LINE]
            tell(text)
