"""Log lines on stderr: ids, counts, names and codes; never a patient's value."""

import sys
from typing import Any, Literal

import structlog


def configure_logs(look: Literal["auto", "text", "json"]) -> None:
    """Set up the process's log lines once; "auto" is readable on a terminal and JSON elsewhere."""
    as_text = look == "text" or (look == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer()
    if as_text:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger() -> Any:
    """The logger; bind run id and job with `structlog.contextvars` so that every line carries them."""
    return structlog.get_logger()
