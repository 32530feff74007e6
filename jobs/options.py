"""Options: the parser, and what several commands take: a whole number, a run, a row, a reason."""

import argparse
import getpass
import os
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from pima.core.identifiers import LARGEST_ID, ById, ByKey, key_of_text
from pima.core.source import Source
from pima.errors import WrongUsage
from pima.logs import write_line

ROW = "an id in patients, or a source's name and a key in it"

_UNKNOWN = "unrecognized arguments"
# Greedy, so that what follows is argparse's own list and no part of the value.
_VALUE = re.compile(
    r"(invalid choice): .*(?= \(choose from )|(ignored explicit argument|invalid \w+ value).*", re.DOTALL
)


class HelpAsked(Exception):
    """The help is to be shown, a text, by whoever sees to it that it can be written; where there are some, its facts as
    JSON."""


class OptionParser(argparse.ArgumentParser):
    """Argparse, save that wrong usage is an error like all others: it becomes JSON where that was asked for, and shows
    none of the values that were typed, since one might be a patient's.

    Shows its usage and raises WrongUsage, or HelpAsked, in place of ending the process.
    """

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 (argparse's own signature)
        raise HelpAsked(self.format_help(), None)

    def error(self, message: str) -> NoReturn:
        write_line(self.format_usage().rstrip())
        if message.startswith(_UNKNOWN):
            options = re.findall(r"(?<!\S)--[a-z]+(?:-[a-z]+)*", message)
            raise WrongUsage(what=_UNKNOWN + (f", among them {', '.join(options)}" if options else ""))
        raise WrongUsage(what=_VALUE.sub(lambda found: found[1] or found[2], message))


def whole_number(largest: int) -> Callable[[str], int]:
    """Make the type of an option's value that must be a whole number from 1 to `largest`."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(largest))
        if not (is_number and 1 <= int(text) <= largest):
            raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {largest}")
        return int(text)

    return read


positive = whole_number(1_000_000_000)


def add_run_id_option(options: argparse.ArgumentParser) -> None:
    """Add the option by which the scheduler tells its child which run it is, whose row in `runs` it has opened."""
    options.add_argument(
        "--run-id", type=positive, metavar="N", help="for the scheduler only: the run that it has opened"
    )


def row_called(sources: Sequence[Source], row: Sequence[str], expected: str) -> ById | ByKey:
    """Read ROW as commands about one row take it: an id in patients, or a source's name and the row's key there.

    Raises WrongUsage, which says what was expected; what was typed may be a name, so that it is not repeated.
    """
    if len(row) == 1:
        if not (row[0].isascii() and row[0].isdigit() and int(row[0][:20]) <= LARGEST_ID):
            raise WrongUsage(what=f"{expected}; an id is a whole number")
        return ById(int(row[0]))
    if len(row) != 2:
        raise WrongUsage(what=expected)
    name, text = row
    source = next((each for each in sources if each.name == name), None)
    if source is None:
        raise WrongUsage(what=f"{expected}; the settings have no [[source]] of that name")
    key = key_of_text(text, source.key_types)
    if key is None:
        raise WrongUsage(what=f"{expected}; that is no key of the source {name}")
    return ByKey(name, key)


def why(text: str) -> str:
    """Read an option that says why, for the record: words, in one line, that every database keeps and every terminal
    shows."""
    words = " ".join(text.split())
    if not words:
        raise argparse.ArgumentTypeError("expected a reason in words")
    return _printable(words)


def this_user() -> str:
    """The name under which this process runs, for the record of who gave a command."""
    try:
        return _printable(getpass.getuser())
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def _printable(text: str) -> str:
    """Replace what is no text: an argument or a variable may be any bytes, and such came as surrogates."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
