"""python -m jobs.health: exit code 0 where the service is well, 1 with the reasons where it is not."""

from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, end_with, parser, run_command
from pima.errors import Unhealthy
from pima.watch.health import complaints


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = parser("health", __doc__)
    return run_command(options, _work, _show, arguments, environ, needs_schema=False)


def _work(command: Command) -> Result:
    found = complaints(command.engine, command.settings, command.declared)
    if found:
        raise Unhealthy(reasons="; ".join(map(str, found)))
    return {"healthy": True}


def _show(_result: Result) -> None:
    print("healthy")


if __name__ == "__main__":
    end_with(main)
