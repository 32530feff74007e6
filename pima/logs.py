"""Log lines on stderr: ids, counts, names and codes; never a patient's value."""

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, Literal, TextIO, cast


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Hide the package from whatever is imported meanwhile, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # Python's own sign for it
    try:
        yield
    finally:
        del sys.modules[package]


# Where rich is installed structlog imports it, for tracebacks in colour, of which no line of ours has any; a command
# without work to do would spend a tenth of its time on it.
with _absent("rich"):
    import structlog

Look = Literal["auto", "text", "json"]


# What a terminal's line says of a run that is over; the rest is in the command's own words, `runs` and JSON lines.
_OF_A_RUN = ("job", "run_id", "status", "error_code", "claimed", "predicted", "rejected", "verdict")
_OF_ANY_LINE = ("event", "timestamp", "level")
# What a command on a terminal says in its own words at its end; in a file or a scheduler's lines it stands here alone.
_TOLD_AT_THE_END = ("verdict", "judged before on the same data, settings and champion")


class _Stderr:
    """The log's stream. A log line that can't be written (a closed pipe, a full disk) must not end the work."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


class _Lines(logging.Handler):
    """Writes what libraries say by Python's own logging as lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 (a wrong format in a library must not end the work that it logs about)
            text = str(record.msg)
        get_logger().warning("a library says", library=record.name, text=text)


def tell(text: str, level: Literal["error", "warning"] = "error") -> None:
    """Plain words, such as an error's: as they are for people, and as a line like the others where they are JSON."""
    if _are_json():
        getattr(get_logger(), level)(text)
        return
    write_line(text)


def write_line(text: str) -> None:
    """A line as it is."""
    stream = _Stderr()
    stream.write(f"{text}\n")
    stream.flush()


def resolved_look(look: Look) -> Literal["text", "json"]:
    """What "auto" means here: readable on a terminal, JSON elsewhere."""
    return "text" if look == "text" or (look == "auto" and on_terminal()) else "json"


def configure_logs(look: Look) -> None:
    """Set up the process's log lines once."""
    rendering: list[Any] = [structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()]
    if resolved_look(look) == "text":
        to_the_second = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ", utc=True)
        rendering = [to_the_second, _for_people, structlog.dev.ConsoleRenderer(colors=on_terminal(), pad_event_to=0)]
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
    """A line's numbers and words, floats in short; what holds several things is for programs to read."""
    if line["event"] in _TOLD_AT_THE_END and on_terminal():
        raise structlog.DropEvent
    kept = {*_OF_ANY_LINE, *_OF_A_RUN} if line["event"] == "run finished" else line
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in line.items()
        if name in kept and value is not None and not isinstance(value, dict | list)
    }


def on_terminal() -> bool:
    """Whether lines go to one; they may go nowhere."""
    return sys.stderr is not None and sys.stderr.isatty()


def _are_json() -> bool:
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def get_logger() -> Any:
    """The logger; what `mark_lines` was given stands in every line."""
    return structlog.get_logger()


def mark_lines(**facts: str | int) -> None:
    """Put a run's id and job into every line from here on."""
    structlog.contextvars.bind_contextvars(**facts)


@contextmanager
def quiet_native_code() -> Iterator[None]:
    """Drop what native code writes to file descriptor 2, which is the log's; Python's own errors are raised and come
    through."""
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
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
