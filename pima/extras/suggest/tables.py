"""A table that is not declared yet: statistics of each column, gathered while the rows are read."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from types import NoneType
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.declared.identifiers import canonical_key
from pima.core.declared.source import KeyType, Source
from pima.core.rows.cells import as_word
from pima.intake.moments import says_no_time
from pima.logs import counted

SHOWN_FROM = 20
"""The fewest rows that a shown value or count must have in common, and that an end of a range comes
from."""
FEWER = f"fewer than {SHOWN_FROM} rows"
LEAST_ROWS = 100
"""The fewest rows of a table, and values of a column: with fewer, the 20th from either end is near
the middle."""
MOST_ROWS = 100_000
"""The most rows that are read of a table; more would give the same ranges."""
MOST_WORDS = 50
"""The most different values of a column that counts as a list of words."""

_READABLE = {NoneType, bool, int, float, Decimal, str, UUID, date, datetime}
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ].*)?|\d{4}/\d\d?/\d\d?( .*)?|\d{1,2}[./]\d{1,2}[./](\d{4}|\d\d)( "
    r".*)?|\d\d?:\d\d(:\d\d)?",
    re.ASCII,
)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


def rows_shown(count: int) -> str:
    """A number of rows in words, small ones hidden."""
    return counted(count, "row") if count >= SHOWN_FROM else FEWER


class ReadValue(NamedTuple):
    """One value, with all that it could be."""

    kind: Literal["missing", "number", "word", "date", "comma", "uuid", "other"]
    key_type: KeyType | None = None
    key: str | None = None
    """The value as a key; None if it can be none, or is prose."""
    # NaN if it is none; None if nothing is there.
    number: float | None = math.nan
    word: str | None = None
    """A text, a truth value or a number, in the form in which words are compared."""


@lru_cache(maxsize=1_000, typed=True)
def _read(value: Any) -> ReadValue:
    if value is None or (isinstance(value, str) and says_no_time(value)):
        return ReadValue("missing", number=None)
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool):
        return ReadValue("word", word=as_word(value))
    if isinstance(value, UUID):
        return ReadValue("uuid", "uuid", str(value))
    if isinstance(value, date):
        return ReadValue("date")
    with suppress(OverflowError, ValueError):  # an integer beyond all floats, a signalling NaN
        if math.isfinite(number := float(value)):
            key = canonical_key([value], ["integer"])
            return ReadValue("number", "integer" if key else None, key, number, as_word(value))
    return ReadValue("other")


def _read_text(value: str) -> ReadValue:
    text = value.strip()
    if (uuid := canonical_key([value], ["uuid"])) is not None:
        return ReadValue("uuid", "uuid", uuid)
    # A text of several words is prose, and no key.
    key = None if text.count(" ") > 1 else canonical_key([value], ["text"])
    key_type: KeyType | None = "text" if key else None
    number = as_number(text)
    if number is not None and math.isfinite(number):
        return ReadValue("number", key_type, key, number, as_word(number))
    if _DATE.fullmatch(text):
        return ReadValue("date")
    if _COMMA.fullmatch(text):
        return ReadValue("comma")
    return ReadValue("word", key_type, key, word=as_word(text))


def as_number(text: str) -> float | None:
    """Read a number. Digits with underscores, or of other scripts, are numbers only in Python, and
    give None."""
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


@dataclass(eq=False)
class TableColumn:
    """A column whose rows are read one block after another; its properties hold once all are
    read."""

    name: str
    kinds: Counter[str] = field(default_factory=Counter)
    """Rows by the kind of their value."""
    words: Counter[str] | None = field(default_factory=Counter)
    """Rows by word or number; None if more than `MOST_WORDS` differ."""
    row_words: list[str | None] = field(default_factory=list)
    """The word or number of each row; none if there are no `words`."""
    row_numbers: list[float | None] = field(default_factory=list)
    """The finite number of each row; NaN if its value is none, None if it has no value."""
    _key_types: set[KeyType | None] = field(default_factory=set)
    _keys: set[int] = field(default_factory=set)

    def take(self, values: Sequence[Any]) -> None:
        """Read some more rows."""
        cells = [
            _read(value) if type(value) in _READABLE else ReadValue("other") for value in values
        ]
        self.kinds.update(cell.kind for cell in cells)
        self._key_types |= {cell.key_type for cell in cells if cell.kind != "missing"}
        # Only the hash of a key is kept, however long the text is.
        self._keys.update(hash(cell.key) for cell in cells if cell.key)
        self.row_numbers += [cell.number for cell in cells]
        if self.words is not None:
            self.row_words += [cell.word for cell in cells]
            self.words.update(cell.word for cell in cells if cell.word is not None)
            if len(self.words) > MOST_WORDS:
                self.words = None
                self.row_words = []

    @cached_property
    def numbers(self) -> Float64Array:
        """(n,): the finite numbers, ascending."""
        # NaN comes last.
        return np.sort(np.array(self.row_numbers, dtype=np.float64))[: self.kinds["number"]]

    @property
    def key_type(self) -> KeyType | None:
        """The type that all values have as keys; None if they have no common one."""
        types: set[KeyType | None] = (
            {"text"} if self._key_types == {"uuid", "text"} else self._key_types
        )
        return next(iter(types)) if len(types) == 1 else None

    @property
    def different_keys(self) -> int:
        """The number of different keys."""
        return len(self._keys)

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
        """Whether each row has a key that no other row has."""
        return self.key_type is not None and self.different_keys == self.rows > 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows have been read."""

    called: str
    """The name of the file or the table for people."""
    columns: tuple[TableColumn, ...]
    rows: int
    is_all: bool
    """Whether all rows were read."""
    unreadable: int
    """Lines of a file that could not be read as rows."""
    has_names: bool
    """Whether its columns have names."""
    source: Source | None
    """The source that it is the table of; None for a file."""


def table_of(
    called: str,
    source: Source | None,
    names: Sequence[str] | None,
    blocks: Iterable[tuple[Sequence[Sequence[Any]], int]],
) -> Table:
    """Read a table from blocks of columns, each with the number of lines that are no rows."""
    seen: list[TableColumn] = []
    rows = 0
    unreadable = 0
    is_all = True
    for columns, not_rows in blocks:
        seen = seen or [
            TableColumn(name) for name in names or (f"column_{n + 1}" for n in range(len(columns)))
        ]
        there = len(columns[0])
        room = MOST_ROWS - rows
        for column, values in zip(seen, columns, strict=True):
            column.take(values[:room])
        rows += min(there, room)
        unreadable += not_rows
        is_all = there <= room
        if not is_all:
            break
    return Table(called, tuple(seen), rows, is_all, unreadable, names is not None, source)


def fault_of(table: Table) -> str | None:
    """The reason why nothing can be said about a table; None if there is none."""
    if table.rows < LEAST_ROWS:
        read = counted(table.rows, "row") if table.rows else "no rows"
        return f"It has {read}. Expected {LEAST_ROWS} or more: fewer say little of a range."
    if not table.has_names:
        return None
    for n, column in enumerate(table.columns, start=1):
        # An import without a header makes names of a row's values, which must not be shown.
        if is_a_value(column.name) or column.name.strip().casefold() in (column.words or ()):
            return (
                f"Column {n} has the name of a value, not of a column, so its names may be a "
                "patient's row. Expected "
                "names of columns: give it a header, or name the columns in the table."
            )
    return None


def is_a_value(name: str) -> bool:
    """Whether a column's name looks like a value in a row: a number, a date, a UUID."""
    text = name.strip()
    return bool(
        as_number(text) is not None or _DATE.fullmatch(text) or canonical_key([text], ["uuid"])
    )
