"""A table that nothing is declared of yet: its rows as they go by, and each column with what its values could be.

Of a value only what it could be is kept: at most 18 bytes a row, however long it was.
"""

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from types import NoneType
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd

from pima.core.arrays import Float64Array, Int64Array
from pima.core.cells import as_word
from pima.core.identifiers import canonical_key
from pima.core.source import KeyType, Source
from pima.extras.suggest.column_names import may_be_in_a_key
from pima.logs import counted

SHOWN_FROM = 20
"""Rows: of what fewer have in common nothing is shown, and a bound is taken from as many at its end."""
FEWER = f"fewer than {SHOWN_FROM} rows"
MOST_ROWS = 1_000_000
"""Of a table; the ranges of more would be the same, and what is kept of each row would fill the memory."""
MOST_WORDS = 50
"""Different values that a column may have to be one of few values."""

_MOST_SPELLINGS = 1_000
"""Of these values, all together."""

_READABLE = {NoneType, bool, int, float, Decimal, str, UUID, date, datetime}
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ].*)?|\d{4}/\d\d?/\d\d?( .*)?|\d{1,2}[./]\d{1,2}[./](\d{4}|\d\d)( .*)?|\d\d?:\d\d(:\d\d)?",
    re.ASCII,
)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_LENGTHS_OF_A_UUID = (32, 36, 38)


def rows_shown(count: int) -> str:
    """So many rows, in words."""
    return counted(count, "row") if count >= SHOWN_FROM else FEWER


class ReadValue(NamedTuple):
    """One value, by what it could be."""

    kind: Literal["missing", "number", "not finite", "word", "date", "comma", "uuid", "other"]
    key_type: KeyType | None = None
    key: str | None = None
    """What it would be as a key; None where it is none, or prose."""
    number: float = math.nan
    spelled: str | None = None
    """A word as it stands there, without the spaces around it; of a number, what stands for it among words."""


def _read(kind: type, value: Any) -> ReadValue:
    if kind not in _READABLE:
        return ReadValue("other")
    if value is None or (isinstance(value, str) and not value.strip()):
        return ReadValue("missing")
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool):
        return ReadValue("word", spelled=as_word(value))
    if isinstance(value, UUID):
        return ReadValue("uuid", "uuid", str(value))
    if isinstance(value, date):
        return ReadValue("date")
    with suppress(OverflowError, ValueError):  # an integer beyond all floats, a signalling NaN
        if math.isfinite(number := float(value)):
            key = None if isinstance(value, float) else canonical_key([value], ["integer"])
            return ReadValue("number", "integer" if key else None, key, number, as_word(value))
    return ReadValue("not finite")


def _read_text(value: str) -> ReadValue:
    text = value.strip()
    if not is_unicode(text):
        return ReadValue("word")
    if len(text) in _LENGTHS_OF_A_UUID and (uuid := canonical_key([value], ["uuid"])) is not None:
        return ReadValue("uuid", "uuid", uuid)
    # What has several words is told, and names nothing.
    key = None if text.count(" ") > 1 else canonical_key([value], ["text"])
    key_type: KeyType | None = "text" if key else None
    number = as_number(text)
    if number is not None and math.isfinite(number):
        return ReadValue("number", key_type, key, number, as_word(number))
    if number is not None:
        return ReadValue("not finite", key_type, key)
    if _DATE.fullmatch(text):
        return ReadValue("date")
    return ReadValue("comma") if _COMMA.fullmatch(text) else ReadValue("word", key_type, key, spelled=text)


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair: bytes of a file that are no UTF-8 come as such."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def as_number(text: str) -> float | None:
    """Digits with a point, as everywhere: with underscores, or of other scripts, they are numbers to Python alone."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(eq=False)
class TableColumn:
    """A column whose rows go by; what is told of them is asked for once all have.

    The arrays grow in their place: pieces that are put together at the end would take as much memory again.
    """

    name: str
    kinds: Counter[str] = field(default_factory=Counter)
    """Rows by what they hold."""
    _key_types: set[KeyType | None] = field(default_factory=set)
    _numbers: "array[float]" = field(default_factory=lambda: array("d"))
    _hashes: "array[int] | None" = field(default_factory=lambda: array("q"))
    _spellings: dict[str, int] | None = field(default_factory=dict)
    """Of words and numbers, each with its code; None where there are too many."""
    _codes: "array[int]" = field(default_factory=lambda: array("h"))

    def take(self, values: Sequence[Any]) -> None:
        """Read some more rows."""
        # Each different value once, since few stand in many rows; by its type as well, since 1, 1.0 and True are equal.
        # What can't be read may not be hashed either.
        pairs = [(type(value), value if type(value) in _READABLE else None) for value in values]
        read = {pair: _read(*pair) for pair in dict.fromkeys(pairs)}
        cells = [read[pair] for pair in pairs]
        self.kinds.update(cell.kind for cell in cells)
        self._key_types |= {cell.key_type for cell in read.values() if cell.kind != "missing"}
        self._numbers.extend(cell.number for cell in cells if cell.kind == "number")
        is_kept = may_be_in_a_key(self.name) or len(read) == len(cells)
        if not is_kept or any(cell.key is None and cell.kind != "missing" for cell in read.values()):
            self._hashes = None
        if self._hashes is not None:
            self._hashes.extend(hash(cell.key) if cell.key else 0 for cell in cells)
        if (spellings := self._spellings) is None:
            return
        for spelled in dict.fromkeys(cell.spelled for cell in cells if cell.spelled is not None):
            spellings.setdefault(spelled, len(spellings))
        if len(spellings) > _MOST_SPELLINGS or len(set(map(str.casefold, spellings))) > MOST_WORDS:
            self._spellings, self._codes = None, array("h")
        else:
            self._codes.extend(-1 if cell.spelled is None else spellings[cell.spelled] for cell in cells)

    @cached_property
    def numbers(self) -> Float64Array:
        """(n,): those that are finite, ascending."""
        numbers = np.frombuffer(self._numbers, dtype=np.float64)
        numbers.sort()
        return numbers

    @cached_property
    def spelled(self) -> pd.Series:
        """(rows,): words and numbers as they stand there; without rows where there are too many."""
        codes = np.frombuffer(self._codes, dtype=np.int16)
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(list(self._spellings or ()), dtype="str")))

    @cached_property
    def words(self) -> Mapping[str, int] | None:
        """Different words and numbers, as words are compared, with their rows; None where more than `MOST_WORDS`."""
        return None if self._spellings is None else rows_by_word(self.spelled).to_dict()

    @cached_property
    def key_type(self) -> KeyType | None:
        """What all values would be as keys; None where one of them would be none, or they repeat and are not named like
        keys."""
        types: set[KeyType | None] = {"text"} if self._key_types == {"uuid", "text"} else self._key_types
        return next(iter(types)) if len(types) == 1 and self._hashes is not None else None

    @cached_property
    def keys(self) -> Int64Array:
        """(rows,): hashes of these keys, 0 where there is none; without rows where there is no `key_type`."""
        return np.frombuffer(self._hashes if self.key_type and self._hashes else array("q"), dtype=np.int64)

    @cached_property
    def different_keys(self) -> int:
        """So many keys are there."""
        return len(np.unique(self.keys[self.keys != 0]))

    @property
    def rows(self) -> int:
        """All rows of the table."""
        return self.kinds.total()

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.kinds["missing"]

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole ones."""
        return bool((self.numbers % 1 == 0).all())

    @property
    def is_unique(self) -> bool:
        """Whether each row has a key and no other row has the same."""
        return self.key_type is not None and self.different_keys == self.rows > 0

    def usual_spelling(self, word: str) -> str:
        """How a word is spelled in most of its rows, where those are enough to be shown."""
        rows = self.spelled.value_counts()
        alike = rows[rows.index.map(str.casefold) == word]
        return str(alike.index[0]) if alike.iloc[0] >= SHOWN_FROM else word


def rows_by_word(spelled: pd.Series) -> pd.Series:
    """Count the rows of each word, however it is spelled, in categories of words (n,)."""
    return spelled.value_counts().groupby(str.casefold).sum()


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows have gone by."""

    called: str
    """The file or the table, as people call it."""
    columns: tuple[TableColumn, ...]
    rows: int
    is_all: bool
    """Whether there were no more rows than were read."""
    unreadable: int
    """Lines of a file that were no rows."""
    has_names: bool
    """Whether its columns have names of their own."""
    source: Source | None
    """Where it is in a database; None of a file."""


def table_of(
    called: str,
    source: Source | None,
    names: Sequence[str] | None,
    blocks: Iterable[tuple[Sequence[Sequence[Any]], int]],
) -> Table:
    """Read it, by blocks of columns and the number of lines beside them that are no rows."""
    seen: list[TableColumn] = []
    rows, unreadable, is_all = 0, 0, True
    for columns, not_rows in blocks:
        seen = seen or [TableColumn(name) for name in names or (f"column_{n + 1}" for n in range(len(columns)))]
        there, room = len(columns[0]), MOST_ROWS - rows
        for column, values in zip(seen, columns, strict=True):
            column.take(values[:room])
        rows, unreadable, is_all = rows + min(there, room), unreadable + not_rows, there <= room
        if not is_all:
            break
    return Table(called, tuple(seen), rows, is_all, unreadable, names is not None, source)


def fault_of(table: Table) -> str | None:
    """Why nothing can be said of a table; None where something can."""
    if table.rows < SHOWN_FROM:
        read = counted(table.rows, "row") if table.rows else "no rows"
        return f"It has {read}. Expected {SHOWN_FROM} or more: what fewer have in common is not shown."
    if not table.has_names:
        return None
    for n, column in enumerate(table.columns, start=1):
        # What was a row once, as an import without a header makes names of it, must not be shown.
        if is_a_value(column.name) or column.name.strip().casefold() in (column.words or ()):
            return (
                f"Column {n} has the name of a value, not of a column, so its names may be a patient's row. Expected "
                "names of columns: give it a header, or name the columns in the table."
            )
    return None


def is_a_value(name: str) -> bool:
    """Whether a name is none, but what stands in a row: a number, a date, a UUID."""
    text = name.strip()
    return bool(as_number(text) is not None or _DATE.fullmatch(text) or canonical_key([text], ["uuid"]))
