"""Which columns tell rows apart, and which says whose a row is."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pima.core.source import KeyType
from pima.suggesting.column_names import is_no_key, may_be_in_a_key, names_a_person
from pima.suggesting.columns import Column
from pima.suggesting.shown import SHOWN_FROM

_MOST_TOGETHER = 3
_MOST_LOOKED_AT = 8
_LEAST_PERSONS = 0.05
"""Of the rows: a column of fewer different values says where, or by whom, and not whose."""


@dataclass(frozen=True, slots=True)
class Key:
    """What tells each row from all others."""

    columns: tuple[Column, ...]
    others: tuple[str, ...]
    """Other columns that do so, each alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its columns."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> tuple[KeyType, ...]:
        """Of their values."""
        return tuple(column.key_type or "text" for column in self.columns)


def key_among(columns: Sequence[Column]) -> Key | None:
    """One column, else the first two or three together; None where nothing tells the rows apart."""
    columns = [column for column in columns if not is_no_key(column.name)]
    unique = [column for column in columns if column.is_unique]
    # What is named like a key comes first, and of those what is not a person's.
    unique.sort(key=lambda column: (not may_be_in_a_key(column.name), names_a_person(column.name)))
    if unique:
        return Key((unique[0],), tuple(column.name for column in unique[1:]))
    together = next((some for some in _combined(columns) if _are_unique(some)), None)
    return None if together is None else Key(together, ())


def _combined(columns: Sequence[Column]) -> Iterator[tuple[Column, ...]]:
    whole = [column for column in columns if column.keys is not None and column.known == column.rows]
    for size in range(2, _MOST_TOGETHER + 1):
        yield from combinations(whole[:_MOST_LOOKED_AT], size)


def _are_unique(columns: tuple[Column, ...]) -> bool:
    rows = columns[0].rows
    if math.prod(column.different_keys for column in columns) < rows:
        return False
    together = np.zeros(rows, np.int64)
    for keys in (column.keys for column in columns if column.keys is not None):
        together = together * np.int64(1_000_003) + keys  # it wraps around, as hashes do
    return len(np.unique(together)) == rows


@dataclass(frozen=True, slots=True)
class Person:
    """What says whose a row is."""

    column: Column
    is_clear: bool
    """Whether its name says so too."""


def person_among(columns: Sequence[Column], key: Key | None) -> Person | None:
    """A column that names things, each in several rows; one that is named like a person's first."""
    may_be = [column for column in columns if _may_be_persons(column, key)]
    may_be.sort(key=lambda column: not names_a_person(column.name))
    return Person(may_be[0], names_a_person(may_be[0].name)) if may_be else None


def _may_be_persons(column: Column, key: Key | None) -> bool:
    if is_no_key(column.name) or column.keys is None or (key is not None and key.names == (column.name,)):
        return False
    different = column.different_keys
    return SHOWN_FROM <= different < column.known and different >= _LEAST_PERSONS * column.known
