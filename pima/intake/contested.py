"""Writing rows that others write, too: what can't be had at once is given back and tried again a little later.

Whoever waits for one row while holding others may be waited for in a circle, and of a circle the server ends somebody:
it may be the clinic's own software.
"""

from collections.abc import Callable
from typing import TypeVar

from pima.errors import RowsContested
from pima.logs import get_logger

PAUSES_SECONDS = (0.1, 0.2, 0.5, *[1.0] * 10)
"""Between the tries."""

Done = TypeVar("Done")


def until_free(attempt: Callable[[], Done], pause: Callable[[float], None]) -> Done:
    """What comes of the first attempt that ends well; each gives all back that it holds. Raises RowsContested where the
    last one does, too."""
    for seconds in PAUSES_SECONDS:
        try:
            return attempt()
        except RowsContested as error:
            get_logger().info("others write the same rows; tried again", because=error.facts["what"])
        pause(seconds)
    return attempt()
