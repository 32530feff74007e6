"""Log lines on stderr: ids, counts, names and codes; never a patient's value."""

import sys
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog


class _Stderr:
    """The log's stream. A log line that can't be written (a closed pipe, a full disk) must not end the work."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


def tell(text: str) -> None:
    """A line for people on stderr, where there is one."""
    stream = _Stderr()
    stream.write(f"{text}\n")
    stream.flush()


def configure_logs(look: Literal["auto", "text", "json"]) -> None:
    """Set up the process's log lines once; "auto" is readable on a terminal and JSON elsewhere."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    as_text = look == "text" or (look == "auto" and on_terminal)
    renderer: Any = structlog.processors.JSONRenderer()
    if as_text:
        renderer = structlog.dev.ConsoleRenderer(colors=on_terminal, pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )


def get_logger() -> Any:
    """The logger; bind run id and job with `structlog.contextvars` so that every line carries them."""
    return structlog.get_logger()
