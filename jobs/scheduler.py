"""python -m jobs.scheduler: the container's main process. Starts jobs.score and jobs.retrain at the times that the
settings name, each as a child process; ends with 0 when it is asked to stop."""

import os
import sys
from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, parser, run_command
from pima.scheduling import Scheduler


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    return run_command(parser("scheduler", __doc__ or ""), _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    Scheduler(command.settings.schedule, command.options.config, command.environ).run(command.stop)
    return {"stopped": "as asked"}


def _show(result: Result) -> None:
    print(f"stopped {result['stopped']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
