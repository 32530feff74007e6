"""What all errors have in common, the exit codes, and the one ending that is no error: being asked to stop."""

import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar

DONE = 0
FAILED = 1
WRONG = 2
REFUSED = 3
TRY_AGAIN_LATER = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with the work; run it again."""
INTERRUPTED_BY_CTRL_C = 130
INTERRUPTED_BY_SIGTERM = 143


def _in_one_line(docstring: str) -> str:
    """Without the source's line ends, since a terminal makes its own; the facts keep theirs, and so their lists."""
    return " ".join(docstring.split())


class PimaError(Exception):
    """{message}"""

    exit_code: ClassVar[int] = FAILED
    code: ClassVar[str] = "failed"
    """Of each error its class's name in small letters, `DatabaseAway` being `database_away`."""

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"\B(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(_in_one_line(type(self).__doc__ or "").format(**facts))

    def __reduce__(self) -> tuple[Callable[[], "PimaError"], tuple[()]]:
        """A worker's goes to another process, with its facts."""
        return partial(type(self), **self.facts), ()


class WrongError(PimaError):
    """{message}"""

    exit_code = WRONG


class RefusedError(PimaError):
    """{message}"""

    exit_code = REFUSED


class TemporaryError(PimaError):
    """{message}"""

    exit_code = TRY_AGAIN_LATER


class Interrupted(BaseException):
    """A signal asked the process to stop. Not an Exception: no library's `except Exception` may swallow it."""

    code = "interrupted"

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
