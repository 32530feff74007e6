"""Ended at any moment, a benchmark leaves no server and no folder behind: a signal becomes an
exception, once."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Ending:
    """Whether the process was asked to end, and whether it may."""

    asked: int | None = None
    held = False


def end_in_order() -> None:
    """From here on whatever the process has opened is closed when a signal ends it. Further signals
    change nothing."""
    for number in _SIGNALS:
        signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: object) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _Ending.asked = number
    _end_if_asked()


def _end_if_asked() -> None:
    if _Ending.asked is not None and not _Ending.held:
        raise SystemExit(128 + _Ending.asked)


@contextmanager
def to_its_end() -> Iterator[None]:
    """What half-done could not be undone, such as a server that is starting: the signal waits."""
    _Ending.held = True
    try:
        yield
    finally:
        _Ending.held = False
    _end_if_asked()


@contextmanager
def child_of(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A child that has ended when the block is left, however that happens. A signal that comes
    while it is being started waits until it can be told to end too."""
    child = None
    try:
        with to_its_end():
            child = subprocess.Popen(command, **options)
        yield child
    finally:
        if child is not None and child.returncode is None:
            child.terminate()
            child.wait()


def end_with_parent() -> None:
    """Be asked to end once whoever holds the other end of stdin, a pipe, is gone, however it
    ended."""
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
