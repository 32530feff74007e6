"""Standard output, whatever it is: a terminal with few letters, a pipe that somebody closes, a disk that is full."""

import io
import os
import sys
from collections.abc import Callable

from pima.errors import ResultNotWritten


def keep_standard_descriptors() -> None:
    """Where one was closed from the beginning, what is opened next would get its number, such as the database's socket,
    and what native code writes there."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free


def prepare_output() -> None:
    """A letter that the terminal does not know is no failure, and a width of 0, as some shells say, is no width."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]


def written(write: Callable[[], None]) -> ResultNotWritten | None:
    """Print. Whoever closed the pipe has seen enough, while a full disk has lost what someone wants to read, and so has
    an output that was closed from the beginning (`>&-`)."""
    if sys.stdout is None:
        return ResultNotWritten(why="it is closed")
    try:
        prepare_output()
        write()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich ends the process at a closed pipe
        let_go_of_stdout()
    except OSError as error:
        let_go_of_stdout()
        return ResultNotWritten(why=error.strerror)
    return None


def let_go_of_stdout() -> None:
    """What is still buffered would fail again at the process's end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
