"""python -m jobs.retain: removes old predictions of rows that were deleted or labelled, but for
those that count, old rejections and old runs; with --to it moves them to Parquet files first. Other
jobs may run meanwhile."""

import math
from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser, whole_number
from pima.core.outcomes.horizon import horizon_of
from pima.erasing.retaining import Retaining, retain
from pima.errors import TooYoungToRemove, WrongUsage
from pima.logs import counted
from pima.runs.recorded_run import recorded_run


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--older-than",
        type=whole_number(100_000),
        required=True,
        metavar="DAYS",
        help="only rows that are at least this old",
    )
    options.add_argument(
        "--to", type=Path, metavar="FOLDER", help="move the rows to Parquet files in this folder"
    )
    options.add_argument(
        "--values",
        action="store_true",
        help="also predictions that count, with their values: rows that old count as they stand",
    )
    options.add_argument(
        "--dry-run", action="store_true", help="count, and write only the run's own row"
    )


def _work(command: Command) -> Result:
    given = command.options
    minimum_days = command.settings.retain.minimum_days
    if given.values:
        minimum_days = max(minimum_days, _days_of_a_verdict(command))
    if given.older_than < minimum_days:
        raise TooYoungToRemove(days=given.older_than, minimum=minimum_days)
    with recorded_run(command.engine, "retain", None, given.dry_run) as command.run:
        retain(
            Retaining(
                engine=command.engine,
                run=command.run,
                stop=command.stop,
                days=given.older_than,
                dry_run=given.dry_run,
                folder=given.to,
                all_values=given.values,
            )
        )
    asked = {"dry_run": given.dry_run, "values": given.values}
    return {"run_id": command.run.id, **asked, **command.run.counts}


def _days_of_a_verdict(command: Command) -> int:
    """How long after its prediction a row may be in a verdict."""
    gate = command.settings.gate
    if gate.window == "all":
        raise WrongUsage(
            what='--values would take from verdicts what they need: by gate.window = "all" each is '
            "on all rows, as they were predicted on"
        )
    horizon = horizon_of(command.declared.outcome)
    days = 7 * gate.window_weeks
    if horizon is not None:
        days += math.ceil(horizon.length_ms / 86_400_000)
    return days


def _show(result: Result) -> None:
    rows = ", ".join(
        counted(result[name], what)
        for name, what in (
            ("predictions", "prediction"),
            ("rejections", "rejection"),
            ("row_history", "replaced row"),
            ("runs", "run"),
        )
    )
    to = f", moved to {counted(len(result['files']), 'file')}" if result["files"] else ""
    done = "would be removed (dry run)" if result["dry_run"] else "removed"
    print(f"run {result['run_id']}: {rows} from before {result['older_than'][:10]} {done}{to}")
    if result["values"]:
        print(
            "Rows that old are learned from, explained and compared with scores as they stand: "
            "earlier verdicts and explanations can't be computed again. Training snapshots stay."
        )


main = main_of("jobs.retain", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
