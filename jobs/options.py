"""Options: the parser, and the values that several commands take: a whole number, a run, a row, a
reason."""

import argparse
import getpass
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from pima.core.declared.identifiers import LARGEST_ID, ById, ByKey, key_of_text
from pima.core.declared.source import Source
from pima.errors import WrongUsage
from pima.logs import write_line

ROW = "an id in patients, or a source's name and a key in it"

_UNKNOWN = "unrecognized arguments"
# Greedy, so that the match ends at argparse's own list and not inside the value.
_VALUE = re.compile(
    r"(invalid choice): .*(?= \(choose from )|(ignored explicit argument|invalid \w+ value).*",
    re.DOTALL,
)


class HelpAsked(Exception):
    """Raised so that `main`, which handles output errors, shows a text such as the help, or its
    facts as JSON."""


class OptionParser(argparse.ArgumentParser):
    """A parser whose errors are like all others: they become JSON if asked for, and repeat none of
    the typed values, since one might be a patient's.

    It shows its usage and raises WrongUsage, or HelpAsked, instead of ending the process.
    """

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 (argparse's own signature)
        raise HelpAsked(self.format_help(), None)

    def error(self, message: str) -> NoReturn:
        write_line(self.format_usage().rstrip())
        if message.startswith(_UNKNOWN):
            options = re.findall(r"(?<!\S)--[a-z]+(?:-[a-z]+)*", message)
            what = _UNKNOWN
            if options:
                what += f", among them {', '.join(options)}"
            raise WrongUsage(what=what)
        raise WrongUsage(what=_VALUE.sub(lambda found: found[1] or found[2], message))


def whole_number(largest: int) -> Callable[[str], int]:
    """Make the type of an option's value that must be a whole number from 1 to `largest`."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(largest))
        if not (is_number and 1 <= int(text) <= largest):
            raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {largest}")
        return int(text)

    return read


from_one = whole_number(1_000_000_000)


def add_run_id_option(options: argparse.ArgumentParser) -> None:
    """Add the option by which a scheduler's child learns which run to take over."""
    options.add_argument(
        "--run-id",
        type=from_one,
        metavar="N",
        help="for the scheduler only: the run that it has opened",
    )


def row_called(sources: Sequence[Source], row: Sequence[str], expected: str) -> ById | ByKey:
    """Read the argument ROW: an id in patients, or a source's name and the row's key there.

    Raises WrongUsage, which says what was expected and does not repeat what was typed, since that
    may be a name.
    """
    if len(row) == 1:
        if not (
            row[0].isascii() and row[0].isdigit() and len(row[0]) < 20 and int(row[0]) <= LARGEST_ID
        ):
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


def moment(text: str) -> datetime:
    """Read a day or a moment, in UTC if it names no zone."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            "expected a day or a moment, such as 2026-01-31 or 2026-01-31T18:00"
        ) from None


def why(text: str) -> str:
    """Read a reason for the record: words in one line, of characters that every database stores and
    every terminal shows."""
    words = " ".join(text.split())
    if not words:
        raise argparse.ArgumentTypeError("expected a reason in words")
    return _printable(words)


def this_user() -> str:
    """The user name of this process, to record who gave a command."""
    try:
        return _printable(getpass.getuser())
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def _printable(text: str) -> str:
    """Replace unprintable characters: arguments and variables may be any bytes, which Python reads
    as surrogates."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
