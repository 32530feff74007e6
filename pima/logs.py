"""Log lines on stderr: ids, counts, names and codes; never a patient's value."""

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, TextIO, cast

import structlog

Look = Literal["auto", "text", "json"]


# The facts of a finished run that a terminal's line shows; the command's output, `runs` and JSON
# lines have the rest.
_OF_A_RUN = ("job", "run_id", "status", "error_code", "claimed", "predicted", "rejected", "verdict")
_IDS_TOLD = 20
_OF_ANY_LINE = ("event", "timestamp", "level")
# Events that a command on a terminal prints in its own words at its end; a file or a scheduler has
# only the log line.
_TOLD_AT_THE_END = ("verdict", "judged before on the same data, settings and champion")


class _Stderr:
    """The log's stream, which ignores write errors: a closed pipe or a full disk must not end the
    work."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


class _Lines(logging.Handler):
    """Turns messages of libraries, by Python's own logging, into lines like pima's."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 (a library's wrong format must not end the work)
            text = str(record.msg)
        get_logger().warning("a library says", library=record.name, text=text)


def tell(text: str, level: Literal["error", "warning"] = "error") -> None:
    """Write plain words, such as an error message: unchanged for people, as a log line if those are
    JSON."""
    if isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer):
        getattr(get_logger(), level)(text)
        return
    write_line(text)


def tell_ids(ids: Sequence[int]) -> str:
    """Tell which rows an error is about, and return how many. Its own message stays in `runs`, from
    which no id could be erased."""
    rows = counted(len(ids), "row")
    shown = ", ".join(map(str, ids[:_IDS_TOLD]))
    tell(f"the error is about these rows of patients ({rows}, by id: {shown})")
    return rows


def write_line(text: str) -> None:
    """Write a line unchanged."""
    stream = _Stderr()
    stream.write(f"{text}\n")
    stream.flush()


def resolved_look(look: Look) -> Literal["text", "json"]:
    """Resolve "auto": text on a terminal, JSON elsewhere."""
    if look != "auto":
        return look
    if on_terminal():
        return "text"
    return "json"


def configure_logs(look: Look) -> None:
    """Set up the process's log lines once."""
    rendering: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ]
    if resolved_look(look) == "text":
        to_the_second = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ", utc=True)
        rendering = [
            to_the_second,
            _for_people,
            structlog.dev.ConsoleRenderer(colors=on_terminal(), pad_event_to=0),
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *rendering,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)


def _for_people(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """Keep a line's numbers and words, with short floats; lists and tables are only for
    programs."""
    if line["event"] in _TOLD_AT_THE_END and on_terminal():
        raise structlog.DropEvent
    kept = {*_OF_ANY_LINE, *_OF_A_RUN} if line["event"] == "run finished" else line
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in line.items()
        if name in kept and value is not None and not isinstance(value, dict | list)
    }


def on_terminal() -> bool:
    """Whether stderr is a terminal; there may be no stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def get_logger() -> Any:
    """The logger; every line has the facts given to `mark_lines`."""
    return structlog.get_logger()


def mark_lines(**facts: str | int) -> None:
    """Put a run's id and job into every line from here on."""
    structlog.contextvars.bind_contextvars(**facts)


@contextmanager
def quiet_native_code() -> Iterator[None]:
    """Discard what native code writes to file descriptor 2, the log's. Python's errors are raised
    as usual."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def counted(count: int, noun: str) -> str:
    """A count with its noun, such as "1 row" and "1,000 rows"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def in_brackets(words: str | None) -> str:
    """Words that follow others in brackets; empty if there are none."""
    if not words:
        return ""
    return f" ({words})"
