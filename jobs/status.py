"""python -m jobs.status: one screen: champion, queue, sources, what came true, nights, last
verdicts, rejections, last and next runs."""

import sys
from datetime import UTC, datetime

from jobs.command import Command, Result, end_with, main_of
from pima.runs.recorded_run import as_json
from pima.runs.ticks import next_ticks
from pima.watch.overview import overview


def _work(command: Command) -> Result:
    found = overview(command.engine, command.settings)
    next_runs = next_ticks(command.settings.schedule, datetime.now(UTC))
    if command.options.json:
        return as_json(found) | {"next_runs": next_runs}
    return {"overview": found, "next_runs": next_runs}


def _show(result: Result) -> None:
    from rich.console import Console

    from jobs.status_tables import screen

    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False, markup=False)
    for part in screen(result["overview"], result["next_runs"]):
        console.print(part)


main = main_of("jobs.status", __doc__, _work, _show)

if __name__ == "__main__":
    end_with(main)
