"""A job as a child process: started in a group of its own, listened to, limited in time, and stopped when asked.

A child process, because TensorFlow grows in a long-lived one, and so that a job which dies does not take the clock
along.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pima.logs import tell, write_line
from pima.store.attempts import ChildEnd
from pima.store.runs import Status, status_of_exit_code

_LONGEST_LINE = 500

CommandLine = Callable[[str, int], Sequence[str]]
"""(job, run id) -> the command line of its child."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended, and whether its time was up."""

    end: ChildEnd
    timed_out: bool


def job_command(config: Path | None) -> CommandLine:
    """`python -m jobs.JOB`, told which run it is."""

    def command(job: str, run_id: int) -> list[str]:
        named = [] if config is None else ["--config", str(config)]
        return [sys.executable, "-m", f"jobs.{job}", "--run-id", str(run_id), *named]

    return command


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """What this thread starts meanwhile keeps SIGTERM pending until it listens (`StopRequest.listen`).

    It would kill a Python that is still importing, whose run could then not say that it was stopped.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """One running command."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        with _sigterm_blocked():
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
        try:
            self._listener.start()
        except RuntimeError:  # no more threads: nobody would see to the child
            self._process.kill()
            raise

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
        """Pass the child's log lines on, and remember what its error says, or where it has none the last line."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 (for the type checker: asked for above)
        with stream:
            self._pass_on(stream)

    def _pass_on(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode("utf-8", errors="replace").rstrip()
            said = _event(text)
            if text and not (self._line or "").startswith("error:"):
                self._line = _storable(text if said is None else said)[:_LONGEST_LINE]
            if said is None:
                tell(text, "warning")
            else:
                write_line(text)


def _event(line: str) -> str | None:
    """What a log line in JSON says; None where it is something else, such as native code's last words."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        return str(json.loads(line)["event"])
    return None


def _storable(text: str) -> str:
    """Without what no database takes as text; native code's last words may be anything."""
    return text.replace("\0", "").encode("utf-8", errors="replace").decode()


def what_became_of_it(ended: Ended, stopping: bool) -> tuple[Status, str | None]:
    """Status and error code for a run that its child left open."""
    if ended.timed_out:
        return Status.FAILED, "timed_out"
    if ended.end.signal is not None:
        return (Status.INTERRUPTED, "killed_at_stop") if stopping else (Status.CRASHED, f"killed_by_{ended.end.signal}")
    status = status_of_exit_code(ended.end.exit_code or 0)
    if status == Status.SUCCEEDED:
        return status, None
    return status, f"exit_code_{ended.end.exit_code}" if status == Status.FAILED else str(status)
