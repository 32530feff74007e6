"""Monitoring stands beside a run's work: what can't be read or written of it is told in the log, and fails nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from pima.errors import PimaError
from pima.logs import get_logger


@contextmanager
def never_failing() -> Iterator[None]:
    """Around what is read or written for monitoring; a signal's end passes through."""
    try:
        yield
    except PimaError as error:
        _tell(error.code)
    except Exception as error:  # noqa: BLE001 (a document that somebody has changed may raise anything)
        _tell(f"unexpected_{type(error).__name__}")


def _tell(error_code: str) -> None:
    get_logger().warning("this run's monitoring is incomplete", error_code=error_code)
