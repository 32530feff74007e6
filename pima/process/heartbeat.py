"""Signs of life while one long computation runs: the run's heartbeat and the renewal of its lease."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pima.errors import PimaError
from pima.logs import get_logger


@contextmanager
def beating(beat: Callable[[], None], every_seconds: float) -> Iterator[None]:
    """Call `beat` in a thread of its own until the block ends. A beat that fails is logged and tried again."""
    ended = threading.Event()

    def keep_beating() -> None:
        while not ended.wait(every_seconds):
            try:
                beat()
            except PimaError as error:
                get_logger().warning("heartbeat failed", error_code=error.code)

    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
