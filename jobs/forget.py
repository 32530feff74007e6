"""python -m jobs.forget: erases one person from the database: rows, queue, predictions, rejections,
keys, training snapshots and test sets. Loads and pulls refuse that person from then on. It lists
the places that it can't reach. A restored database forgets everyone again by a list that is kept
beside the backups."""

from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import ROW, OptionParser, row_called, this_user, why
from pima.core.declared.identifiers import ById, ByPerson, Who, canonical_text, key_of_text
from pima.erasing.forgetting import Forgetting, forget, read_list, write_list
from pima.errors import WrongUsage
from pima.logs import counted
from pima.runs.recorded_run import as_json

_EXPECTED = "expected a patient's ID, or a SOURCE and the row's KEY there, or --person KEY alone"


def _options(options: OptionParser) -> None:
    who = options.add_mutually_exclusive_group(required=True)
    who.add_argument("row", nargs="*", default=[], metavar="ROW", help=ROW)
    who.add_argument(
        "--person", metavar="KEY", help="the key of a person: all of that person's rows"
    )
    who.add_argument(
        "--import",
        type=Path,
        dest="listed",
        metavar="FILE",
        help="after a restore: everyone of a list",
    )
    who.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="list in a new file who was forgotten, as hashes",
    )
    options.add_argument(
        "--without-rows", action="store_true", help="for a key unknown here: keep that person out"
    )
    options.add_argument("--reason", type=why, metavar="TEXT", help="why, for the record: no names")
    options.add_argument(
        "--dry-run", action="store_true", help="count what would be erased, and erase nothing"
    )


def _work(command: Command) -> Result:
    given = command.options
    if given.export is not None:
        write_list(command.engine, given.export)
        return {"path": str(given.export)}
    if not (given.reason or given.dry_run):
        raise WrongUsage(
            what=(
                "--reason TEXT is needed: why the person is forgotten, for the record; or --dry-run"
            )
        )
    who: Who
    if given.listed is not None:
        who = read_list(command.engine, given.listed)
    elif given.person is not None:
        who = _person(command, given.person)
    else:
        who = row_called(command.settings.sources, given.row, _EXPECTED)
    if given.without_rows and isinstance(who, ById):
        raise WrongUsage(
            what=(
                "--without-rows goes with SOURCE KEY or --person KEY: an id may be given to "
                "another row"
            )
        )
    asked = Forgetting(
        who, this_user(), given.reason or "", given.without_rows or given.listed is not None
    )
    # It is all one transaction, which a signal may abandon anywhere.
    with command.stop.at_once():
        return {"dry_run": given.dry_run, **as_json(forget(command.engine, asked, given.dry_run))}


def _person(command: Command, text: str) -> ByPerson:
    types = [source.person_types for source in command.settings.sources if source.persons]
    spelled = (canonical_text(text), *(key_of_text(text, each) for each in types))
    keys = tuple(dict.fromkeys(key for key in spelled if key is not None))
    if not keys:
        raise WrongUsage(what=f"{_EXPECTED}; that is no key of a person")
    return ByPerson(keys)


_TOLD = {
    "rows": "row",
    "queue_entries": "entry of the queue",
    "predictions": "prediction",
    "prediction_scores": "score beside a prediction",
    "rejections": "rejection",
    "row_history": "replaced row",
    "row_keys": "key of a row",
    "test_sets": "test set",
}


def _show(result: Result) -> None:
    if "path" in result:
        print(result["path"])
        return
    if result["forgotten_before"]:
        print("this person was forgotten before")
    print("would be erased:" if result["dry_run"] else "erased:")
    for name, what in _TOLD.items():
        print(f"  {what}: {result[name]:,}")
    for number in result["snapshots"]:
        print(f"  rows of the training snapshot of version {number}")
    print("not reached, and may still hold something:")
    for what in result["not_reached"]:
        print(f"  {what}")
    if result["learned_by"]:
        versions = counted(len(result["learned_by"]), "version")
        print(
            f"{versions} learned from the rows: `python -m jobs.retrain` makes one that does not "
            "know them"
        )


main = main_of("jobs.forget", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
