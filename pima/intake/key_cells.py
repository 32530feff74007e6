"""Whose row it is, as a file says it: by a source and a key there, by a person, or by both."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pima.core.features import KEYS
from pima.core.identifiers import key_of_text
from pima.core.source import KeyType, Source
from pima.intake.header import is_not_utf8
from pima.intake.patient_rows import BadLine

Keys = tuple[str | None, ...]
ReadKeys = Callable[[int, Sequence[str | None]], Keys | BadLine]
KeyTypes = Mapping[tuple[str, str], tuple[KeyType, ...]]
"""Of what types a source's `source_key`, or `person_key`, is; of a source that is not there both are text."""

ALL_TEXT: KeyTypes = MappingProxyType({})
_TEXT: tuple[KeyType, ...] = ("text",)


def declared_key_types(sources: Sequence[Source]) -> KeyTypes:
    """As the settings declare them, by which a pull and a file call a row the same."""
    found = {(source.name, "source_key"): source.key_types for source in sources}
    return found | {(source.name, "person_key"): source.person_types for source in sources if source.persons}


def persons_not_texts(key_types: KeyTypes) -> Mapping[str, tuple[KeyType, ...]]:
    """The sources whose persons are no plain texts, with their types."""
    return {name: types for (name, key), types in key_types.items() if key == "person_key" and types != _TEXT}


def reading_keys(at: Mapping[str, int], key_types: KeyTypes) -> ReadKeys | None:
    """A function from a line's number and its cells to its keys, as the tables have them; None where the file has none.

    `at` says in which cell each column stands.
    """
    positions = [(name, at[name]) for name in KEYS if name in at]
    source_at = at.get("source")
    if not positions:
        return None

    def read(line: int, cells: Sequence[str | None]) -> Keys | BadLine:
        keys: list[str | None] = []
        source = "" if source_at is None else cells[source_at] or ""
        for name, position in positions:
            cell = cells[position] or ""
            key = _canonical(name, cell, key_types.get((source, name), _TEXT))
            if key is None and (cell or name != "person_key"):
                return BadLine(line, "not_utf8" if is_not_utf8(cell) else f"bad_{name}", name)
            keys.append(key)
        return tuple(keys)

    return read


def _canonical(name: str, cell: str, types: tuple[KeyType, ...]) -> str | None:
    if name == "source":
        return cell if re.fullmatch(r"[a-z][a-z0-9_]{0,29}", cell) else None
    return key_of_text(cell, types)
