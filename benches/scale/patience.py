"""So that a part of the measuring that hangs does not keep the others from being measured."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in the block once so long has gone by; a child that it waits for is
    killed."""
    before = signal.signal(signal.SIGALRM, _over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _over(_number: int, _frame: object) -> None:
    raise TimeoutError("it took too long")
