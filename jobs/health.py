"""python -m jobs.health: exit code 0 where the service is well, 1 with the reasons where it is not."""

from jobs.command import Command, Result, end_with, main_of
from pima.errors import Unhealthy
from pima.watch.health import complaints


def _work(command: Command) -> Result:
    found = complaints(command.engine, command.settings, command.declared)
    if found:
        raise Unhealthy(reasons="; ".join(map(str, found)))
    return {"healthy": True}


def _show(_result: Result) -> None:
    print("healthy")


main = main_of("jobs.health", __doc__, _work, _show, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
