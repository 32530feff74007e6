"""python -m jobs.load: loads patients from CSV or Parquet files. A row whose id is known is an
update: a correction, or its outcome. All or nothing, unless --partial."""

from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.intake.files.loading import LoadOptions, load_files
from pima.intake.files.patient_file import declared_key_types
from pima.logs import counted
from pima.runs.recorded_run import as_json


def _options(options: OptionParser) -> None:
    options.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="CSV or Parquet; - is stdin"
    )
    options.add_argument(
        "--partial",
        action="store_true",
        help="load the good lines and report the bad ones; ends with 0 even if no line is good",
    )
    options.add_argument(
        "--again", action="store_true", help="load a file without ids even if it was loaded before"
    )
    options.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="ignore this column, which each file must have; repeat the option for more columns",
    )


def _work(command: Command) -> Result:
    given = command.options
    key_types = declared_key_types(command.settings.sources)
    options = LoadOptions(given.partial, given.again, tuple(given.ignore), key_types)
    # It is all one transaction, which a signal may abandon anywhere.
    with command.stop.at_once():
        return as_json(load_files(command.engine, given.files, options, command.declared))


def _show(result: Result) -> None:
    print(
        f"{counted(result['files'], 'file')}: {counted(result['inserted'], 'row')} inserted, "
        f"{result['updated']:,} updated, {result['unchanged']:,} unchanged, "
        f"{counted(result['refused'], 'line')} refused"
    )
    for rule in result["broken_rules"]:
        print(f"  {rule['file']} {rule['text']}")
    for name, values in result["unknown_taken"].items():
        print(f"  {name}: {counted(values, 'unknown value')} taken as its declaration says")
    for file in result["partly_loaded"]:
        print(
            f"{file}: its good lines are in, and it has no ids: load only those that were refused, "
            "corrected, in a file of their own"
        )


main = main_of("jobs.load", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
