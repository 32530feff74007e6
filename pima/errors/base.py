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
EXIT_CODES = {
    DONE: "Done. That includes an empty queue, and any verdict.",
    FAILED: "Failed, and just trying again will not help. Also where only the result could not be written.",
    WRONG: "Wrong usage, configuration, file or schema: correct what the message names.",
    REFUSED: "Refused by a guard: look the code up.",
    TRY_AGAIN_LATER: "Try again later. A scheduler does so by itself; under cron the rows wait for the next night.",
    INTERRUPTED_BY_CTRL_C: "Stopped by Ctrl-C. What was committed stays.",
    INTERRUPTED_BY_SIGTERM: "Stopped by SIGTERM. What was committed stays.",
}
"""Each exit code -> what it means and what to do."""


def _in_one_line(docstring: str) -> str:
    """Without the source's line ends, since a terminal makes its own; the facts keep theirs, and so their lists."""
    return " ".join(docstring.split())


class PimaError(Exception):
    """{message}"""

    exit_code: ClassVar[int] = FAILED
    code: ClassVar[str] = "failed"
    """Of each error its class's name in small letters, `DatabaseAway` being `database_away`."""
    note: ClassVar[str] = ""
    """What the message leaves out, for whoever looks the code up."""

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
    note = "A signal asked the process to stop. What was committed stays: run it again whenever you like."

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
