"""python -m jobs.scheduler: the container's main process. Starts jobs.score and jobs.retrain at the times that the
settings name, each as a child process; ends with 0 when it is asked to stop."""

import os
import sys
from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, parser, run_command
from pima.children import job_command
from pima.metrics_endpoint import serve_metrics
from pima.ping import ping
from pima.scheduling import Scheduler


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    return run_command(parser("scheduler", __doc__ or ""), _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    settings = command.settings

    def tell(job: str, status: str) -> None:
        ping(settings.ping, job, status)

    serve_metrics(command.engine, settings.metrics)
    how = job_command(command.options.config)
    Scheduler(command.engine, settings.schedule, how, command.environ, on_end=tell).run(command.stop)
    return {"stopped": "as asked"}


def _show(result: Result) -> None:
    print(f"stopped {result['stopped']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
