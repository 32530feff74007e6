"""python -m jobs.models: the model versions, and a person's decisions about them."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from jobs.command import Command, Result, end_with, main_of
from jobs.model_tables import version_list, version_with_decisions
from jobs.options import OptionParser, from_one, this_user, why
from pima.core.verdicts.evidence import document
from pima.core.verdicts.verdict import stored_figures
from pima.errors import NoChampion, NoSuchVersion, NotReproduced, WrongUsage, extra_missing
from pima.files.model_file import export_model, warn_of_stop
from pima.logs import counted
from pima.report.answers import FILE, read_answers
from pima.runs.recorded_run import as_json
from pima.runs.whole_file import whole_file
from pima.scorer import keras_bytes
from pima.settings.reading import settings_folder
from pima.store.engine import reading
from pima.store.models import registry
from pima.store.models.beside_verdicts import evidence_beside
from pima.store.models.ledger import list_moves, own_verdicts
from pima.train.fit import reproduce
from pima.train.ledger import Decider, pin, promote, roll_back, suspend
from pima.watch.figures import versions
from pima.watch.suspension import in_words

_COMMANDS = {
    "list": "all versions, newest first",
    "show": "one version and every decision about it",
    "card": "a version's model card, as Markdown",
    "promote": "make a version champion by hand",
    "rollback": "go back to the version that the champion replaced",
    "suspend": "stop the champion: nothing is scored until `promote N` ends it",
    "pin": "hold the champion: retraining records verdicts but promotes nothing",
    "unpin": "let retraining promote again",
    "export": "write a version's .keras file, or its model file, which scores files",
    "reproduce": "fit a version again from its training snapshot and compare",
}


def _options(options: OptionParser) -> None:
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    of = {name: commands.add_parser(name, help=what) for name, what in _COMMANDS.items()}
    of["card"].add_argument(
        "number", type=from_one, nargs="?", metavar="N", help="the champion, unless given"
    )
    of["card"].add_argument(
        "--open", action="store_true", help="only the questions that nobody has answered"
    )
    for name in ("show", "promote", "export", "reproduce"):
        of[name].add_argument("number", type=from_one, metavar="N")
    for name in ("promote", "rollback", "suspend", "pin", "unpin"):
        of[name].add_argument(
            "--reason",
            required=name != "unpin",
            type=why,
            metavar="TEXT",
            help="why, for the ledger",
        )
    of["rollback"].add_argument(
        "--from",
        dest="only_from",
        type=from_one,
        metavar="N",
        help="only if N is the champion; else nothing is done",
    )
    of["export"].add_argument("path", type=Path, nargs="?", metavar="PATH.keras")
    of["export"].add_argument(
        "--out", type=Path, metavar="FILE", help="the model file: for `score --input --model FILE`"
    )
    for command in of.values():
        # Accepted after the subcommand too; SUPPRESS keeps the value that was given before it.
        command.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        command.add_argument(
            "--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def _work(command: Command) -> Result:
    given = command.options
    engine = command.engine
    decider = Decider(this_user(), getattr(given, "reason", None) or "")
    match given.command:
        case "list":
            found = versions(engine, command.settings)
            return as_json(found) if given.json else {"versions": found}
        case "show":
            return _version(command)
        case "card":
            return _card(command)
        case "promote":
            return asdict(promote(engine, given.number, decider))
        case "rollback":
            return roll_back(engine, decider, given.only_from)
        case "suspend":
            return asdict(suspend(engine, decider))
        case "pin" | "unpin":
            return asdict(pin(engine, given.command == "pin", decider))
        case "reproduce":
            return _reproduce(command)
        case _:
            return _export(command)


def _card(command: Command) -> Result:
    try:
        from pima.report.card import as_markdown, left_open, read_card
    except ImportError:
        raise extra_missing("report") from None
    given = command.options
    answers = read_answers(settings_folder(given.config))
    with reading(command.engine) as connection:
        number = given.number or registry.read_champion(connection).model_version
    if number is None:
        raise NoChampion(what="name the version: python -m jobs.models card N")
    card = read_card(command.engine, number, command.settings, answers)
    if given.open:
        return {"version": number, "open": left_open(card)}
    return as_json(card) if given.json else {"card": as_markdown(card)}


def _export(command: Command) -> Result:
    given = command.options
    engine = command.engine
    if (given.path is None) == (given.out is None):
        raise WrongUsage(
            what="export takes PATH.keras for the Keras form, or --out FILE for the model file"
        )
    if given.out is not None:
        return export_model(engine, given.number, given.out)
    with reading(engine) as connection:
        warn_of_stop(registry.read_champion(connection), given.number)
    content = keras_bytes(engine, given.number)
    with whole_file(given.path, "export") as file:
        return {"bytes": file.write(content), "path": str(given.path)}


def _version(command: Command) -> Result:
    number = command.options.number
    with reading(command.engine) as connection:
        version = registry.read_version(connection, number)
        moves = list_moves(connection, number)
        evidence = evidence_beside(connection, own_verdicts(moves).get(number))
    if version is None:
        raise NoSuchVersion(number=number)
    if not command.options.json:
        return {"version": version, "moves": moves}
    return {
        "version": asdict(version),
        "decisions": [asdict(move) | {"figures": stored_figures(move.figures)} for move in moves],
        "evidence": evidence and document(evidence),
    }


def _reproduce(command: Command) -> Result:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = settings_folder(command.options.config)
    found = reproduce(command.engine, command.options.number, folder)
    if not found.reproduced:
        then, now = (
            ", ".join(f"{k} {v}" for k, v in each.items())
            for each in (found.libraries_then, found.libraries)
        )
        raise NotReproduced(
            number=found.number, difference=found.largest_difference, then=then, now=now
        )
    return asdict(found)


def _show(result: Result) -> None:
    if "open" in result:
        for each in result["open"]:
            print(": ".join(filter(None, each.values())))
        print(f"{counted(len(result['open']), 'question')} open; answers stand in {FILE}")
    elif "versions" in result or "version" in result:
        _show_tables(result)
    elif "card" in result:
        print(result["card"])
    elif "reproduced" in result:
        print(
            f"version {result['number']}: reproduced from its {result['training_rows']} training "
            f"rows, largest difference {result['largest_difference']:.2g}"
        )
    elif "path" in result:
        print(f"{result['bytes']} bytes written to {result['path']}")
    else:
        held = ", pinned" if result["pinned"] else ""
        held += in_words(result["suspended_at"])
        print(f"champion: version {result['model_version']}{held}")
        if "from_version" in result:
            print(
                f"before: version {result['from_version']}, since "
                f"{result['last_moved_at']:%Y-%m-%d %H:%M:%S} UTC"
            )


def _show_tables(result: Result) -> None:
    console = Console(highlight=False, markup=False)
    if "version" in result:
        version = result["version"]
        console.print(version_with_decisions(version, result["moves"]))
        console.print(f"\nThe evidence of its verdict: python -m jobs.models card {version.number}")
    elif result["versions"].versions:
        console.print(version_list(result["versions"]))
        for remark in result["versions"].threshold_remarks:
            console.print(f"\n{remark}")
    else:
        console.print("no versions yet: python -m jobs.retrain makes the first")


main = main_of("jobs.models", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
