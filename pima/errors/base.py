"""The base of all errors, the exit codes, and the one ending that is no error: a request to
stop."""

import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from pima.errors.places import with_places

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
    FAILED: (
        "Failed; trying again alone will not help. Also used if only the result could not be "
        "written."
    ),
    WRONG: "Wrong usage, configuration, file or schema: correct what the message names.",
    REFUSED: "Refused by a guard: look the code up.",
    TRY_AGAIN_LATER: (
        "Try again later. A scheduler does so by itself; under cron the rows wait for the next "
        "night."
    ),
    INTERRUPTED_BY_CTRL_C: "Stopped by Ctrl-C. What was committed stays.",
    INTERRUPTED_BY_SIGTERM: "Stopped by SIGTERM. What was committed stays.",
}
"""The meaning of each exit code, and what to do."""


class PimaError(Exception):
    """{message}"""

    exit_code: ClassVar[int] = FAILED
    code: ClassVar[str] = "failed"
    """The class's name in lower case with underscores: `database_away` for `DatabaseAway`."""
    note: ClassVar[str] = ""
    """A further remark, shown when the code is looked up."""

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"\B(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        # Without the source's line breaks, since a terminal wraps lines itself; facts keep theirs.
        in_one_line = " ".join((type(self).__doc__ or "").split())
        super().__init__(with_places(in_one_line.format(**facts)))

    def __reduce__(self) -> tuple[Callable[[], "PimaError"], tuple[()]]:
        """Pickle the error with its facts, since a worker's error goes to another process."""
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
    """A signal asked the process to stop. Not an Exception, so that no library's `except Exception`
    catches it."""

    code = "interrupted"
    note = (
        "A signal asked the process to stop. What was committed stays: run it again whenever you "
        "like."
    )

    told = "stopped: asked by a signal; what was committed stays"

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


class TimedOut(Interrupted):
    """The run took too long, so it was asked to stop: that is a failure."""

    code = "timed_out"
    told = "stopped: it ran longer than schedule.time_limit_minutes; what was committed stays"

    def __init__(self) -> None:
        super().__init__(FAILED)
