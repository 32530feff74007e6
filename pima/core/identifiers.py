"""Identifiers: the ids and keys of rows and persons, and the marks of those who were forgotten.

The type of a key is declared and never guessed, since one driver gives an integer for what another gives as a decimal,
a UUID has several spellings, and what is compared as text must be the same text each time. No key is better than one
that could be another's: NULL, floats and whatever is not of the declared type are none.

Who was forgotten is kept as nobody can read it: as an HMAC of what a row or a person was called. The salt is the
installation's own and drawn at random, so that a list of all possible keys tells nothing to whoever lacks the salt.
"""

import hmac
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from uuid import UUID

from pima.core.source import KeyType

LARGEST_GIVEN_ID = 2**62
"""Files and other writers give ids up to here."""
LARGEST_ID = 2**62 + 2**61
"""The counter draws ids up to here: two quintillions behind the largest given one."""
BELOW_ALL_IDS = -(2**63)
"""Where a walk over rows begins, since SQLite can be told to check no condition: an id may then be below 1."""


LONGEST_KEY = 200
"""Bytes in UTF-8: an index of the databases takes them all."""

_UUID = re.compile(r"\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?", re.ASCII)
_INTEGER = re.compile(r" *([+-]?[0-9]+)(?:\.0*)? *", re.ASCII)
# What joins the keys of a block: it can stand in none of them.
_BETWEEN = "\0"
_AS_ZERO = str.maketrans("123456789abcdef", "0" * 15)
_PLAIN_UUID = "00000000-0000-0000-0000-000000000000" + _BETWEEN


def canonical_text(value: str) -> str | None:
    """Text in NFC, without spaces at its end, case kept; None where it is empty, too long, or no table can hold it."""
    text = value if value.isascii() else unicodedata.normalize("NFC", value)
    text = text.rstrip(" ")
    try:
        return text if text and "\0" not in text and len(text.encode()) <= LONGEST_KEY else None
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def canonical_key(values: Sequence[object], types: Sequence[KeyType]) -> str | None:
    """The key of a row: of one column its text, of several a JSON array of their texts; None where it has no key."""
    texts = [_canonical(value, key_type) for value, key_type in zip(values, types, strict=True)]
    if len(texts) == 1 or None in texts:
        return texts[0] if len(texts) == 1 else None
    return canonical_text(json.dumps(texts, ensure_ascii=False, separators=(",", ":")))


def canonical_keys(columns: Sequence[Sequence[object]], types: Sequence[KeyType]) -> list[str | None]:
    """The keys of many rows, a sequence of values a column."""
    if len(types) == 1 and _are_canonical(columns[0], types[0]):
        return list(columns[0])  # type: ignore[arg-type]
    if tuple(types) == ("integer",) and set(map(type, columns[0])) <= {int, NoneType}:
        return [None if value is None else str(value) for value in columns[0]]
    return [canonical_key(values, types) for values in zip(*columns, strict=True)]


def key_of_text(text: str, types: Sequence[KeyType]) -> str | None:
    """The key of a row that a person or a program has written down: an integer may have a plus, zeros before it and
    none but zeros behind a point, and several columns are a JSON array; None where it is none of these types."""
    values: object = [text]
    if len(types) > 1:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return None
    if not isinstance(values, list) or len(values) != len(types):
        return None
    return canonical_key(list(map(_read_integer, values, types)), types)


def _read_integer(value: object, key_type: KeyType) -> object:
    if key_type != "integer" or not isinstance(value, str):
        return value
    found = _INTEGER.fullmatch(value) if len(value) <= LONGEST_KEY else None
    return None if found is None else int(found[1])


def _canonical(value: object, key_type: KeyType) -> str | None:
    match key_type:
        case "integer":
            if isinstance(value, Decimal) and is_whole(value):
                value = int(value)
            # A truth value is an int to Python alone.
            return canonical_text(str(value)) if type(value) is int else None
        case "uuid":
            if isinstance(value, UUID):
                return str(value)
            found = _UUID.fullmatch(value.strip(" ").lower()) if isinstance(value, str) else None
            return None if found is None else "-".join(found.groups())
        case _:
            return canonical_text(value) if isinstance(value, str) else None


def is_whole(value: Decimal) -> bool:
    """Whether it is a whole number, of no more digits than a key may have: an exponent can say more than a memory
    holds."""
    return value.is_finite() and value.adjusted() < LONGEST_KEY and value == value.to_integral_value()


def _are_canonical(values: Sequence[object], key_type: KeyType) -> bool:
    """Whether all are what they would become, asked at once: to look at each would cost more than to read it."""
    if key_type == "integer" or set(map(type, values)) != {str}:
        return False
    joined = _BETWEEN.join((*values, ""))  # type: ignore[arg-type]
    if key_type == "uuid":
        return joined.translate(_AS_ZERO) == _PLAIN_UUID * len(values)
    is_plain = joined.isascii() and joined.count(_BETWEEN) == len(values) and max(map(len, values)) <= LONGEST_KEY  # type: ignore[arg-type]
    return is_plain and " \0" not in joined and "\0\0" not in joined and joined[0] != _BETWEEN


@dataclass(frozen=True, slots=True)
class ById:
    """A row, as a person names it in a command by its id."""

    patient_id: int

    def __str__(self) -> str:
        return f"the id {self.patient_id}"


@dataclass(frozen=True, slots=True)
class ByKey:
    """A row by its key in its source; that may be a name, so no text shows it."""

    source: str
    source_key: str

    def __str__(self) -> str:
        return f"that key from the source {self.source}"


@dataclass(frozen=True, slots=True)
class ByPerson:
    """All rows of a person by its key: as it was written, and then as sources may spell it, of which the first that is
    known counts. No text shows it."""

    spellings: tuple[str, ...]

    def __str__(self) -> str:
        return "a person of that key"


FORGOTTEN = "forgotten"


def name_of_id(patient_id: int) -> str:
    """Name a row by its id. No two kinds of names can meet."""
    return f"id {patient_id}"


def name_of_key(source: str, source_key: str) -> str:
    """Name a row by its key; a source's name holds no space."""
    return f"source {source} {source_key}"


def name_of_person(person_key: str) -> str:
    """Name a person by its key."""
    return f"person {person_key}"


def mark_of(name: str, salt: str) -> str:
    """Mark a name so that it is known again: 64 hexadecimal digits are all that is kept of it."""
    return hmac.digest(salt.encode(), name.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """All who were forgotten."""

    salt: str
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks)

    def has(self, name: str) -> bool:
        """Whether this is the name of one of them."""
        return mark_of(name, self.salt) in self.marks

    def among(self, source: str, keys: Sequence[str], persons: Iterable[str | None]) -> list[bool]:
        """Tell which rows of a source are theirs, by key or by person."""
        if not self:
            return [False] * len(keys)
        return [
            self.has(name_of_key(source, key)) or (person is not None and self.has(name_of_person(person)))
            for key, person in zip(keys, persons, strict=True)
        ]
