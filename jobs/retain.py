"""python -m jobs.retain: removes old predictions and rejections of versions that were corrected,
deleted or labelled, and old runs; with --to it moves them to Parquet files first. Other jobs may
run meanwhile."""

from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser, whole_number
from pima.erasing.retaining import Retaining, require_old_enough, retain
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
        "--dry-run", action="store_true", help="count, and write only the run's own row"
    )


def _work(command: Command) -> Result:
    given = command.options
    require_old_enough(given.older_than, command.settings.retain.minimum_days)
    with recorded_run(command.engine, "retain", None, given.dry_run) as command.run:
        retain(
            Retaining(
                command.engine, command.run, command.stop, given.older_than, given.dry_run, given.to
            )
        )
    return {"run_id": command.run.id, "dry_run": given.dry_run, **command.run.counts}


def _show(result: Result) -> None:
    rows = ", ".join(
        counted(result[name], what)
        for name, what in (
            ("predictions", "prediction"),
            ("rejections", "rejection"),
            ("replaced_rows", "replaced row"),
            ("runs", "run"),
        )
    )
    to = f", moved to {counted(len(result['files']), 'file')}" if result["files"] else ""
    done = "would be removed (dry run)" if result["dry_run"] else "removed"
    print(f"run {result['run_id']}: {rows} from before {result['older_than'][:10]} {done}{to}")


main = main_of("jobs.retain", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
