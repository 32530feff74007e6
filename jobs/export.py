"""python -m jobs.export: predictions, scores beside them, rejections, runs or verdicts as a CSV or
Parquet file. The file identifies patients, because a person asks for it."""

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, get_args

from jobs.command import Command, Result, end_with, main_of, written
from jobs.options import OptionParser, moment
from pima.errors import FileNotWritten, WrongUsage
from pima.extras.export import Exported, Format, export
from pima.logs import counted
from pima.runs.recorded_run import as_json
from pima.runs.whole_file import whole_file
from pima.store.rows.exported import ALL_PREDICTIONS, EXPORTS


def _options(options: OptionParser) -> None:
    what = [name for name in EXPORTS if name != ALL_PREDICTIONS]
    options.add_argument("what", choices=what, metavar="|".join(what), help="what to export")
    options.add_argument(
        "--all", action="store_true", help="for predictions: also those that are no longer current"
    )
    options.add_argument(
        "--values",
        action="store_true",
        help="for predictions: also the measurements that each was made from, where they are kept",
    )
    options.add_argument(
        "--since", type=moment, metavar="DATE", help="only rows since this day or moment, UTC"
    )
    options.add_argument("--format", choices=get_args(Format), default="csv", help="default: csv")
    options.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="a new file, complete or absent (default: standard output)",
    )


def _work(command: Command) -> Result:
    given = command.options
    if given.all and given.what != "predictions":
        raise WrongUsage(what="--all is for predictions: everything else is always exported whole")
    if given.values and given.what != "predictions":
        raise WrongUsage(what="--values is for predictions: nothing else was made from values")
    if given.out is None and (given.json or given.format == "parquet"):
        what = "--json" if given.json else "--format parquet"
        raise WrongUsage(what=f"{what} needs --out FILE: standard output can't hold the rows then")
    if given.out is not None:
        with whole_file(given.out, "--out") as file:
            found = _export(command, file)
        return as_json(found) | {"path": str(given.out)}
    # Output for standard output goes to an unnamed file first: a slow reader must not keep a
    # transaction open, and a failing export should print nothing.
    try:
        with TemporaryFile() as file:
            found = _export(command, file)
            file.seek(0)
            failure = written(lambda: _print_rows(file))
    except OSError as error:
        raise FileNotWritten(path="a temporary file", why=error.strerror) from None
    if failure is not None:
        raise failure
    return as_json(found) | {"path": None}


def _print_rows(file: Any) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # UTF-8 as in a file, whatever the terminal's encoding is.
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as lines:
        shutil.copyfileobj(lines, sys.stdout)


def _show(result: Result) -> None:
    if result["path"] is not None:
        print(f"{result['path']}: {counted(result['rows'], 'row')}")


def _export(command: Command, file: Any) -> Exported:
    given = command.options
    what = ALL_PREDICTIONS if given.all else given.what
    return export(command.engine, what, given.format, given.since, file, command.stop, given.values)


main = main_of("jobs.export", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
