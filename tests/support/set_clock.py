"""A clock that the test sets, and children that do as it says."""

import sys
from datetime import UTC, datetime
from pathlib import Path

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


def until(file: Path) -> list[str]:
    """A child that runs until there is such a file."""
    return python(f"import pathlib, time\nwhile not pathlib.Path({str(file)!r}).exists(): time.sleep(0.01)")
