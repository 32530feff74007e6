"""Identifiers: the ids and keys of rows and persons, and the marks of people who were forgotten.

The type of a key is declared and never guessed: one driver gives an integer where another gives a
decimal, a UUID has several spellings, and keys that are compared as text must be the same text each
time. No key is better than one that could be another row's, so NULL, floats and all that is not of
the declared type count as no key.

Forgotten people are kept in a form that no one can read: as an HMAC of the name of a row or a
person. The salt is random and the installation's own, so that without it even a list of all
possible keys reveals nothing.
"""

import hmac
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from types import NoneType
from uuid import UUID

from pima.core.declared.source import KeyType

LARGEST_GIVEN_ID = 2**62
"""Files and other writers give ids up to here."""
LARGEST_ID = 2**62 + 2**61
"""The counter draws ids up to here: two quintillion more than the largest given one."""
BELOW_ALL_IDS = -(2**63)
"""The start of a walk over rows: SQLite can be told to ignore CHECK conditions, so an id may be
below 1."""


LONGEST_KEY = 200
"""Bytes in UTF-8; an index of each database can hold this many."""

_UUID = re.compile(
    r"\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?", re.ASCII
)
_INTEGER = re.compile(r" *([+-]?[0-9]+)(?:\.0*)? *", re.ASCII)
# Joins the keys of a block; no key can contain it.
_BETWEEN = "\0"
_AS_ZERO = str.maketrans("123456789abcdef", "0" * 15)
_PLAIN_UUID = "00000000-0000-0000-0000-000000000000" + _BETWEEN


def canonical_text(value: str) -> str | None:
    """Text in NFC, without spaces at its end, case kept; None if it is empty, too long, or no table
    can hold it."""
    text = unicodedata.normalize("NFC", value).rstrip(" ")
    try:
        return text if text and "\0" not in text and len(text.encode()) <= LONGEST_KEY else None
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def canonical_key(values: Sequence[object], types: Sequence[KeyType]) -> str | None:
    """The key of a row: the text of one column, or a JSON array of several columns' texts; None if
    it has no key."""
    texts = [_canonical(value, key_type) for value, key_type in zip(values, types, strict=True)]
    if len(texts) == 1:
        return texts[0]
    if None in texts:
        return None
    return canonical_text(json.dumps(texts, ensure_ascii=False, separators=(",", ":")))


def canonical_keys(
    columns: Sequence[Sequence[object]], types: Sequence[KeyType]
) -> list[str | None]:
    """The keys of many rows, from a sequence of values for each column."""
    if len(types) == 1 and _are_canonical(columns[0], types[0]):
        return list(columns[0])  # type: ignore[arg-type]
    if tuple(types) == ("integer",) and set(map(type, columns[0])) <= {int, NoneType}:
        return [None if value is None else str(value) for value in columns[0]]
    return [canonical_key(values, types) for values in zip(*columns, strict=True)]


def key_of_text(text: str, types: Sequence[KeyType]) -> str | None:
    """The key of a row in a text by a person or a program. An integer may have a plus, leading
    zeros, and a point with only zeros after it; several columns are a JSON array. None if the text
    does not fit the types."""
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
    if key_type != "integer" or not isinstance(value, str) or len(value) > LONGEST_KEY:
        return value
    found = _INTEGER.fullmatch(value)
    return found and int(found[1])


def _canonical(value: object, key_type: KeyType) -> str | None:
    match key_type:
        case "integer":
            if isinstance(value, Decimal) and is_whole(value):
                value = int(value)
            # Only in Python is a truth value an int.
            if type(value) is int:
                return canonical_text(str(value))
        case "uuid":
            if isinstance(value, UUID):
                return str(value)
            if isinstance(value, str) and (found := _UUID.fullmatch(value.strip(" ").lower())):
                return "-".join(found.groups())
        case _:
            if isinstance(value, str):
                return canonical_text(value)
    return None


def is_whole(value: Decimal) -> bool:
    """Whether a decimal is a whole number with no more digits than a key may have: a large exponent
    could ask for more digits than fit into memory."""
    return (
        value.is_finite() and value.adjusted() < LONGEST_KEY and value == value.to_integral_value()
    )


def _are_canonical(values: Sequence[object], key_type: KeyType) -> bool:
    """Whether all values are canonical already; checked at once, since checking each costs more
    than reading it."""
    if key_type == "integer" or set(map(type, values)) != {str}:
        return False
    joined = _BETWEEN.join((*values, ""))  # type: ignore[arg-type]
    if key_type == "uuid":
        return joined.translate(_AS_ZERO) == _PLAIN_UUID * len(values)
    longest = max(map(len, values))  # type: ignore[arg-type]
    is_short = longest <= LONGEST_KEY and joined.count(_BETWEEN) == len(values)
    is_plain = is_short and joined.isascii()
    return is_plain and " \0" not in joined and "\0\0" not in joined and joined[0] != _BETWEEN


@dataclass(frozen=True, slots=True)
class ById:
    """A row that a command names by its id."""

    patient_id: int

    def __str__(self) -> str:
        return f"the id {self.patient_id}"


@dataclass(frozen=True, slots=True)
class ByKey:
    """A row that a command names by its key in its source; the key may be a name, so no text shows
    it."""

    source: str
    source_key: str

    def __str__(self) -> str:
        return f"that key from the source {self.source}"


@dataclass(frozen=True, slots=True)
class ByPerson:
    """All rows of a person, named by a key. The key is looked for as it was written, then as
    sources may spell it, and the first spelling that is found counts. No text shows it."""

    spellings: tuple[str, ...]

    def __str__(self) -> str:
        return "a person of that key"


FORGOTTEN = "forgotten"


ID = "id "
"""Begins the name of an id, and its mark."""
SOURCE = "source "
"""Begins the name of a key. Names of rows and persons also decide the side of the holdout: the
triggers have the same."""
PERSON = "person "
"""Begins the name of a person."""


def name_of_id(patient_id: int) -> str:
    """Name a row by its id. Names of different kinds are never equal."""
    return f"{ID}{patient_id}"


def name_of_key(source: str, source_key: str) -> str:
    """Name a row by its key; a source's name holds no space."""
    return f"{SOURCE}{source} {source_key}"


def name_of_person(person_key: str) -> str:
    """Name a person by its key."""
    return f"{PERSON}{person_key}"


def mark_of(name: str, salt: str) -> str:
    """Turn a name into the mark by which it is recognised later: 64 hexadecimal digits, and whether
    it is an id. Nothing else is kept of it."""
    digits = hmac.digest(salt.encode(), name.encode(), "sha256").hex()
    return f"{ID}{digits}" if name.startswith(ID) else digits


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The marks of all rows and people who were forgotten."""

    salt: str
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks)

    @property
    def as_list(self) -> str:
        """The marks of keys and persons, one a line, and last a hash of the salt, by which a list
        is known to be whole and of this installation. Ids are left out: a restored database gives
        those of later rows to others."""
        lasting = sorted(mark for mark in self.marks if not mark.startswith(ID))
        return "\n".join(
            [*lasting, f"pima forgotten 1 {sha256(self.salt.encode()).hexdigest()}", ""]
        )

    def has(self, name: str) -> bool:
        """Whether this name was forgotten."""
        mark = mark_of(name, self.salt)
        # Release 0.1.0 marked ids like all else.
        return mark in self.marks or mark.removeprefix(ID) in self.marks

    def among(self, source: str, keys: Sequence[str], persons: Iterable[str | None]) -> list[bool]:
        """Find which rows of a source were forgotten, by key or by person."""
        if not self:
            return [False] * len(keys)
        return [
            self.has(name_of_key(source, key))
            or (person is not None and self.has(name_of_person(person)))
            for key, person in zip(keys, persons, strict=True)
        ]


Who = ById | ByKey | ByPerson | Forgotten
"""Whom to forget: a row, a person, or everyone with one of these marks."""
