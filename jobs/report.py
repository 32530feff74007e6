"""python -m jobs.report: one page of HTML on the champion, the evidence for it, what came true,
and the nights. It needs no network and shows no group of fewer than ten patients."""

from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.report.making import FILE_NAME, last_report, make_report, write_report


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--out",
        type=Path,
        default=Path(FILE_NAME),
        metavar="FILE",
        help=(
            "where to write it; it replaces an earlier report, and nothing else (default: "
            f"{FILE_NAME})"
        ),
    )
    options.add_argument(
        "--last",
        action="store_true",
        help="the report that the last retraining left in the database",
    )


def _work(command: Command) -> Result:
    given = command.options
    with command.stop.at_once():
        if given.last:
            html = last_report(command.engine)
        else:
            html = make_report(command.engine, command.settings)
        return {"path": str(given.out), "bytes": write_report(html, given.out)}


def _show(result: Result) -> None:
    print(f"{result['path']}: the report, {result['bytes']:,} bytes; it opens in any browser")


main = main_of("jobs.report", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
