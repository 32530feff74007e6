"""python -m jobs.health: exit code 0 where the service is well, 1 with the reasons where it is not."""

import os
import sys
from collections.abc import Mapping, Sequence

from pima.watch.health import complaints

from jobs.command import Command, Result, parser, run_command
from pima.errors import Unhealthy


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    options = parser("health", __doc__ or "")
    return run_command(options, _work, _show, arguments, environ, needs_schema=False, needs_output=False)


def _work(command: Command) -> Result:
    found = complaints(command.engine, command.settings, command.declared)
    if found:
        raise Unhealthy(reasons="; ".join(map(str, found)))
    return {"healthy": True}


def _show(_result: Result) -> None:
    print("healthy")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
