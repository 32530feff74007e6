"""One value of a table, whatever a driver or a file makes of it: what it could be to pima."""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID

from pima.core.cells import as_word
from pima.core.identifiers import canonical_key
from pima.core.source import KeyType

MISSING = "missing"
NUMBER = "number"
NOT_FINITE = "not finite"
WORD = "word"
DATE = "date"
COMMA = "comma"
UUID_TEXT = "uuid"
OTHER = "other"

TYPES = {NoneType, bool, int, float, Decimal, str, UUID, date, datetime}
"""Of the values that can be read; all of them can be counted by a dictionary."""

_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ].*)?|\d{4}/\d\d?/\d\d?( .*)?|\d{1,2}[./]\d{1,2}[./](\d{4}|\d\d)( .*)?|\d\d?:\d\d(:\d\d)?",
    re.ASCII,
)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_LENGTHS_OF_A_UUID = (32, 36, 38)


class Cell(NamedTuple):
    """What a value could be."""

    kind: str
    number: float = 0.0
    word: str = ""
    """Of a number or a word, what stands for it where words are compared."""
    spelled: str = ""
    """A word as it stands there, without the spaces around it."""
    key: str | None = None
    """What it would be as a key; None where it is none, or prose."""
    key_type: KeyType | None = None


_MISSING = Cell(MISSING)


def read_cell(value: Any) -> Cell:
    """A value of one of `TYPES`."""
    if value is None:
        return _MISSING
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool):
        return Cell(WORD, word=as_word(value), spelled=as_word(value))
    if isinstance(value, UUID):
        return Cell(UUID_TEXT, key=str(value), key_type="uuid")
    if isinstance(value, date):
        return Cell(DATE)
    return _of_number(value)


def _of_text(value: str) -> Cell:
    text = value.strip()
    if not text:
        return _MISSING
    if len(text) in _LENGTHS_OF_A_UUID and (uuid := canonical_key([value], ["uuid"])) is not None:
        return Cell(UUID_TEXT, key=uuid, key_type="uuid")
    # What has several words is told, and names nothing.
    key = None if text.count(" ") > 1 else canonical_key([value], ["text"])
    if (number := as_number(text)) is not None:
        found = NUMBER if math.isfinite(number) else NOT_FINITE
        return Cell(found, number, as_word(number) if math.isfinite(number) else "", key=key, key_type="text")
    if is_date(text):
        return Cell(DATE)
    if _COMMA.fullmatch(text):
        return Cell(COMMA)
    return Cell(WORD, word=as_word(text), spelled=text, key=key, key_type="text")


def _of_number(value: int | float | Decimal) -> Cell:
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an integer beyond all floats, a signalling NaN
        return Cell(NOT_FINITE)
    if not math.isfinite(number):
        return Cell(NOT_FINITE)
    key = None if isinstance(value, float) else canonical_key([value], ["integer"])
    return Cell(NUMBER, number, as_word(value), key=key, key_type="integer" if key else None)


def as_number(text: str) -> float | None:
    """Digits with a point, as everywhere: with underscores, or of other scripts, they are numbers to Python alone."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_date(text: str) -> bool:
    """Whether a text is a date or a time of day, in one of the usual ways to write them."""
    return _DATE.fullmatch(text) is not None
