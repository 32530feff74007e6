"""A scheduler as a process of its own; a clock that the test sets, and children that do as it
says."""

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from pima.settings.sections import STARTED
from tests.support.databases import PATIENCE_SECONDS

EVERY_SECOND = "* * * * * *"


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert stdout == ""
    for line in stderr.splitlines():  # a child's words too, and an error's
        assert json.loads(line)["event"], line
    return stderr


START = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRUE = ["/bin/true"]


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


_one_waits = threading.Lock()
"""Of two that join one thread at once, Python 3.11 lets one fail ("release unlocked lock")."""


def wait_for_children() -> None:
    """Wait until the children of every scheduler in this process have ended, and their ends are in
    `runs`."""
    for thread in threading.enumerate():
        with _one_waits:
            if thread.name in STARTED and thread.is_alive():
                thread.join()


def until(file: Path) -> list[str]:
    """A child that runs until there is such a file."""
    return python(
        f"import pathlib, time\nwhile not pathlib.Path({str(file)!r}).exists(): time.sleep(0.01)"
    )
