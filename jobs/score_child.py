"""A child of `jobs.score` that does a part of its work."""

import sys

from jobs.command import Command
from pima.logs import resolved_look
from pima.schedule.children import Child

_LOOK = "PIMA_LOGS__FORMAT"


def score_child(command: Command, options: list[str]) -> Child:
    """Started with the same settings; its log lines look like the parent's, whatever it takes its own stderr for."""
    config = command.options.config
    line = [sys.executable, "-m", "jobs.score", *options, *([] if config is None else [f"--config={config}"])]
    environ = {name: value for name, value in command.environ.items() if name != f"{_LOOK}_FILE"}
    return Child(line, environ | {_LOOK: resolved_look(command.settings.logs.format)})
