"""python -m jobs.mirror: copies model versions, their figures and their cards to an MLflow, each
once. It copies no models and no patients."""

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.extras.mirror import mirror
from pima.logs import counted
from pima.runs.recorded_run import as_json


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--dry-run", action="store_true", help="say which versions are not there yet; write nothing"
    )


def _work(command: Command) -> Result:
    is_dry = command.options.dry_run
    return as_json(mirror(command.engine, command.settings, command.stop, is_dry)) | {
        "dry_run": is_dry
    }


def _show(result: Result) -> None:
    numbers = ", ".join(str(number) for number in result["mirrored"])
    what = "would be mirrored" if result["dry_run"] else "mirrored"
    print(
        f"{counted(len(result['mirrored']), 'version')} {what}{': ' * bool(numbers)}{numbers}; the "
        f"champion is {result['champion'] or 'none'}"
    )


main = main_of("jobs.mirror", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
