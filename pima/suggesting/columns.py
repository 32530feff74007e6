"""The columns of a table: what is kept of each while its rows go by, and what it is when they have gone.

Memory grows by a byte a row for a column of few different values, and by eight for one that may be a key.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pima.core.arrays import Int64Array
from pima.core.source import KeyType
from pima.suggesting import cells
from pima.suggesting.cells import Cell, read_cell
from pima.suggesting.numbers import Numbers
from pima.suggesting.shown import SHOWN_FROM

MOST_WORDS = 50
"""Different values that a column may have to be one of few values."""
NO_WORD = 255
"""The code of a row that has none of them."""
_MOST_SPELLINGS = 20
"""Of a word, in upper and lower case."""

Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Column:
    """A column whose rows have gone by."""

    name: str
    rows: int
    kinds: Mapping[str, int]
    """Rows by what they hold, in the words of `cells`."""
    other_types: tuple[str, ...]
    """Names of types that are no number and no text."""
    numbers: Numbers
    words: Mapping[str, int] | None
    """Different words and numbers, and the rows of each; None where there are more than `MOST_WORDS`."""
    spelled: Mapping[str, str]
    """How a word is spelled in most of its rows, where those are enough to be shown."""
    codes: Codes | None
    """(rows,): each row's position in `words`, NO_WORD where it has none; None where `words` is."""
    key_type: KeyType | None
    """What its values would be as keys; None where one of them would be none."""
    is_unique: bool
    """Whether each row has a key and no other row has the same."""
    keys: Int64Array | None
    """(rows,): hashes of the keys, 0 where there is none; None where they were not kept."""
    different_keys: int
    """How many there are; 0 where they were not kept."""

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.kinds.get(cells.MISSING, 0)

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing


@dataclass(slots=True)
class ColumnSeen:
    """A column whose rows are going by."""

    name: str
    may_name_things: bool
    """Whether its keys are kept even where they repeat."""
    _rows: int = 0
    _kinds: Counter[str] = field(default_factory=Counter)
    _other_types: set[str] = field(default_factory=set)
    _numbers: Numbers = field(default_factory=Numbers)
    _words: Counter[str] | None = field(default_factory=Counter)
    _spellings: dict[str, Counter[str]] = field(default_factory=dict)
    _codes: list[Codes] = field(default_factory=list)
    _key_types: set[KeyType | None] = field(default_factory=set)
    _may_be_unique: bool = True
    _keys: list[Int64Array] = field(default_factory=list)

    def take(self, values: Sequence[Any]) -> None:
        """Some more rows."""
        self._rows += len(values)
        values = self._readable(values)
        counts = Counter(values)
        read = {value: read_cell(value) for value in counts}
        for value, cell in read.items():
            self._kinds[cell.kind] += counts[value]
        numbers = [(cell.number, counts[value]) for value, cell in read.items() if cell.kind == cells.NUMBER]
        self._numbers.take([number for number, _ in numbers], [rows for _, rows in numbers])
        self._take_words(values, read, counts)
        self._take_keys(values, read, counts)

    def _readable(self, values: Sequence[Any]) -> Sequence[Any]:
        others = [value for value in values if type(value) not in cells.TYPES]
        if not others:
            return values
        self._other_types |= {type(value).__name__ for value in others}
        self._kinds[cells.OTHER] += len(others)
        self._kinds[cells.MISSING] -= len(others)
        return [value if type(value) in cells.TYPES else None for value in values]

    def _take_words(self, values: Sequence[Any], read: Mapping[Any, Cell], counts: Mapping[Any, int]) -> None:
        if self._words is None:
            return
        for value, cell in read.items():
            if cell.word:
                self._words[cell.word] += counts[value]
        if len(self._words) > MOST_WORDS:
            self._words, self._codes, self._spellings = None, [], {}
            return
        for value, cell in read.items():
            spellings = self._spellings.setdefault(cell.word, Counter()) if cell.spelled else None
            if spellings is not None and (cell.spelled in spellings or len(spellings) < _MOST_SPELLINGS):
                spellings[cell.spelled] += counts[value]
        positions = {word: n for n, word in enumerate(self._words)}
        codes = {value: positions.get(cell.word, NO_WORD) for value, cell in read.items()}
        self._codes.append(np.fromiter((codes[value] for value in values), np.uint8, len(values)))

    def _take_keys(self, values: Sequence[Any], read: Mapping[Any, Cell], counts: Mapping[Any, int]) -> None:
        self._key_types |= {cell.key_type for cell in read.values() if cell.kind != cells.MISSING}
        are_keys = None not in self._key_types and cells.OTHER not in self._kinds
        is_each_one = all(cell.key for cell in read.values()) and len(counts) == len(values)
        self._may_be_unique = self._may_be_unique and are_keys and is_each_one
        if not (are_keys and (self._may_be_unique or self.may_name_things)):
            self._keys = []
            return
        hashes = {value: hash(cell.key) if cell.key else 0 for value, cell in read.items()}
        self._keys.append(np.fromiter((hashes[value] for value in values), np.int64, len(values)))

    def seen(self) -> Column:
        """All its rows have gone by."""
        keys = np.concatenate(self._keys) if self._keys else None
        different = 0 if keys is None else len(np.unique(keys[keys != 0]))
        return Column(
            name=self.name,
            rows=self._rows,
            kinds={kind: rows for kind, rows in self._kinds.items() if rows},
            other_types=tuple(sorted(self._other_types)),
            numbers=self._numbers,
            words=self._words,
            spelled=dict(_usual(self._spellings)),
            codes=None if self._words is None else np.concatenate(self._codes or [np.empty(0, np.uint8)]),
            key_type=_key_type(self._key_types),
            is_unique=self._may_be_unique and different == self._rows > 0,
            keys=keys,
            different_keys=different,
        )


def _usual(spellings: Mapping[str, Counter[str]]) -> Iterator[tuple[str, str]]:
    for word, of_word in spellings.items():
        spelled, rows = of_word.most_common(1)[0]
        if rows >= SHOWN_FROM:
            yield word, spelled


def _key_type(types: set[KeyType | None]) -> KeyType | None:
    if types == {"uuid", "text"}:
        return "text"
    return next(iter(types)) if len(types) == 1 else None
