"""python -m jobs.status: one screen: champion, queue, sources, last and next runs, realised accuracy."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.command import Command, Result, parser, run_command
from pima.counted import counted
from pima.monitoring.overview import overview
from pima.schedule.ticks import next_ticks
from pima.store.runs import DRY_RUN


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    return run_command(parser("status", __doc__ or ""), _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    found = overview(command.engine, command.settings)
    return found | {"next_runs": next_ticks(command.settings.schedule, datetime.now(UTC))}


def _show(result: Result) -> None:
    from rich.console import Console
    from rich.table import Table

    champion, queue, realised = result["champion"], result["queue"], result["realised"]
    screen = Table("", "", box=None, show_header=False)
    if champion["version"] is None:
        screen.add_row("champion", _why_none(champion["last_verdict"]))
    else:
        pinned = ", pinned" if champion["pinned"] else ""
        accuracy = champion["holdout_accuracy"]
        judged = f", holdout accuracy {accuracy:.3f}" if accuracy is not None else ""
        screen.add_row(
            "champion", f"version {champion['version']}, trained {_when(champion['trained_at'])}{judged}{pinned}"
        )
    if result["holdout_differs"]:
        screen.add_row("holdout", f"{result['holdout_differs']}; retrain refuses that")
    oldest = f", the oldest since {_when(queue['oldest'])}" if queue["oldest"] else ""
    screen.add_row("queue", f"{counted(queue['rows'], 'row')} waiting{oldest}")
    if realised["outcomes"]:
        share = (
            f"{realised['accuracy']:.1%} of {counted(realised['outcomes'], 'prediction')} came true (newest outcomes)"
        )
    else:
        share = "no outcome has come after a prediction yet"
    screen.add_row("realised accuracy", share)
    for source in result["sources"]:
        screen.add_row(f"source {source['source']}", _pulled(source))
    for job, moment in result["next_runs"].items():
        screen.add_row(f"next {job}", f"{_when(moment)}, if a scheduler is running" if moment else "never")
    for run in result["runs"]:
        error = f" ({run['error_code']})" if run["error_code"] else ""
        dry = " (dry run)" if run["trigger"] == DRY_RUN else ""
        screen.add_row(
            f"run {run['id']}", f"{run['job']} {run['status']}{error}{dry}, started {_when(run['started_at'])}"
        )
    Console().print(screen)


def _pulled(source: dict[str, Any]) -> str:
    last, success = source["last_pull"], source["last_success"]
    if last is None:
        return "never pulled"
    error = f" ({last['error_code']})" if last["error_code"] else ""
    rows = f", {counted(last['counts']['rows'], 'row')} read"
    before = f"; the last that succeeded: {_when(success)}" if success and success != last["at"] else ""
    return f"pull {last['status']}{error}, {_when(last['at'])}{rows}{before}"


def _why_none(verdict: str | None) -> str:
    if verdict is None:
        return "none yet: python -m jobs.retrain makes the first"
    return f"none yet; the last retraining said {verdict}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
