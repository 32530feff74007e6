"""Jobs as child processes: each in its own process group, its log read, its time limited, and
stopped on request.

A child process per job, because TensorFlow's memory grows in a long-lived process, and because a
job that crashes must not take the scheduler with it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from pima.logs import get_logger, tell, write_line
from pima.store.service.runs import ChildEnd, Status, status_of_exit_code

_SECONDS_TO_WRITE_DOWN = 10

CommandLine = Callable[[str, int], Sequence[str]]
"""(job, run id) -> the command line of its child."""


def job_command(config: Path | None) -> CommandLine:
    """Make the command line `python -m jobs.JOB`, which tells the child which run it is."""
    named = [] if config is None else ["--config", str(config)]
    return lambda job, run_id: [
        sys.executable,
        "-m",
        f"jobs.{job}",
        "--run-id",
        str(run_id),
        *named,
    ]


class Child:
    """One running command."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        # Nothing temporary outlives the child, even if it is killed.
        self._folder = ""
        with suppress(OSError):  # without room there, it looks for room itself
            self._folder = mkdtemp(prefix="pima-")
            environ = {**environ, "TMPDIR": self._folder}
        # The child keeps SIGTERM pending until it listens (`StopRequest.listen`). While Python is
        # still importing, the signal would kill it, and the run could not record that it was
        # stopped.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            # A process group of its own: Ctrl-C on the terminal reaches only the scheduler, which
            # passes it on once.
            self._process = subprocess.Popen(
                list(command),
                env=dict(environ),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._line: str | None = None
        self._listener = threading.Thread(target=self._listen, name="child's stderr", daemon=True)
        self._listener.start()

    def wait(self, time_limit_seconds: float, grace_seconds: float) -> ChildEnd:
        """Wait for the child to end. At its time limit, ask it to stop; kill it if it does not."""
        timed_out = False
        try:
            self._process.wait(time_limit_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.ask_to_stop()
            self.kill_after(grace_seconds)
        self._listener.join(timeout=5)
        rmtree(self._folder, ignore_errors=True)
        code = self._process.returncode
        line = self._line if code else None
        if code < 0:
            return ChildEnd(None, signal.Signals(-code).name, line, timed_out)
        return ChildEnd(code, None, line, timed_out)

    def ask_to_stop(self) -> None:
        """Send SIGTERM; does nothing if the child has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill_after(self, grace_seconds: float) -> bool:
        """Wait for the grace time, then kill the whole group; return whether that was needed."""
        try:
            self._process.wait(grace_seconds)
            return False
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return True

    def _listen(self) -> None:
        """Pass the child's log lines on, and remember its error line, or its last line if there is
        no error."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 (for the type checker: asked for above)
        with stream:
            for line in stream:
                text = line.decode("utf-8", errors="replace").rstrip()
                said = _event(text)
                if text and not (self._line or "").startswith("error:"):
                    self._line = said or text
                if said is None:
                    tell(text, "warning")
                else:
                    write_line(text)


def _event(line: str) -> str | None:
    """Return the event of a JSON log line; None for any other line, such as one from native
    code."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        return str(json.loads(line)["event"])
    return None


def what_became_of_it(ended: ChildEnd, stopping: bool) -> tuple[Status, str | None]:
    """Choose the status and error code of a run that its child left open."""
    if ended.timed_out:
        return Status.FAILED, "timed_out"
    if ended.signal is not None:
        if stopping:
            return (Status.INTERRUPTED, "killed_at_stop")
        return (Status.CRASHED, f"killed_by_{ended.signal}")
    status = status_of_exit_code(ended.exit_code or 0)
    if status == Status.SUCCEEDED:
        return status, None
    if status == Status.FAILED:
        return Status.FAILED, f"exit_code_{ended.exit_code}"
    return status, str(status)


@dataclass(frozen=True, slots=True)
class Running:
    """A job's child, and the thread that waits for its end."""

    run_id: int
    child: Child
    waiter: threading.Thread


class RunningChildren:
    """The running children, at most one for each job.

    The stepping thread starts children and forgets those that have ended. Any thread may stop them,
    even while a step hangs on an unresponsive database. After that none is started.
    """

    def __init__(self, grace_seconds: float, stopping: threading.Event) -> None:
        """`stop` sets `stopping`; other threads read it."""
        self._grace_seconds = grace_seconds
        self._stopping = stopping
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()
        """Held to start a child or to forbid it; never during a database call."""

    def __contains__(self, job: str) -> bool:
        return job in self._running

    @property
    def run_ids(self) -> list[int]:
        """The runs that have a running child."""
        return [running.run_id for running in self._running.values()]

    def start(
        self,
        job: str,
        run_id: int,
        launch: Callable[[], Child],
        wait_for_end: Callable[[Child], None],
    ) -> bool:
        """Launch a child and a thread that waits for its end; False, without launching, once `stop`
        was called.

        Raises OSError: there is no such program, or no process or file descriptor is left.
        """
        with self._lock:
            if self._stopping.is_set():
                return False
            child = launch()
            waiter = threading.Thread(target=wait_for_end, args=(child,), name=job, daemon=True)
            waiter.start()
            self._running[job] = Running(run_id, child, waiter)
            return True

    def forget(self, job: str) -> None:
        """Remove a job whose child has ended."""
        with self._lock:
            del self._running[job]

    def stop(self) -> None:
        """Ask all children to stop at once; kill those that have not ended within the grace
        time."""
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
