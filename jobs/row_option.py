"""ROW, as commands about one row take it: an id in patients, or a source's name and the row's key there."""

from collections.abc import Sequence

from pima.core.identifiers import LARGEST_ID, ById, ByKey, key_of_text

from jobs.command import Command
from pima.errors import WrongUsage

HELP = "an id in patients, or a source's name and a key in it"


def row_called(command: Command, row: Sequence[str], expected: str) -> ById | ByKey:
    """Raises WrongUsage, which says what was expected; what was typed may be a name, so that it is not repeated."""
    if len(row) == 1:
        return _by_id(row[0], expected)
    if len(row) == 2:
        return _by_key(command, row[0], row[1], expected)
    raise WrongUsage(what=expected)


def _by_id(text: str, expected: str) -> ById:
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_ID):
        raise WrongUsage(what=f"{expected}; an id is a whole number")
    return ById(int(text))


def _by_key(command: Command, source: str, text: str, expected: str) -> ByKey:
    known = {each.name: each for each in command.settings.sources}
    if source not in known:
        raise WrongUsage(what=f"{expected}; the settings have no [[source]] of that name")
    key = key_of_text(text, known[source].key_types)
    if key is None:
        raise WrongUsage(what=f"{expected}; that is no key of the source {source}")
    return ByKey(source, key)
