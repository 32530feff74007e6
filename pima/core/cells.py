"""A column of a source's values, whatever its driver makes of them, as numbers, codes or outcomes.

What can't be taken is marked and not told. Text is read as in a file: digits with a point; empty is not known.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.features import Feature
from pima.core.source import MappedColumn
from pima.core.validation import REASONS, UNKNOWN_CODE

NOT_A_NUMBER = "not_a_number"
CODES = (*REASONS, NOT_A_NUMBER)
"""Why a value can't be taken; the position is what marks it, 0 being no reason."""
NO_OUTCOME = -1

_NUMBERS = {float, int, Decimal, bool, NoneType}
_READABLE = _NUMBERS | {str}
_UNREADABLE = CODES.index(NOT_A_NUMBER)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of n numbers that were read without an object each."""

    values: Any
    """(n,): integers or floats of any width; what stands where `is_null` is true means nothing"""
    is_null: BoolArray
    """(n,)"""
    objects: Callable[[], list[Any]]
    """The same as the driver gives them, and None where one is NULL."""

    def __len__(self) -> int:
        return len(self.is_null)


Column = Sequence[Any] | NumberColumn
"""A column of a source as it was read."""


def numbers(values: Any, is_null: BoolArray) -> NumberColumn:
    """A column of numbers that are there already, (n,) each."""

    def objects() -> list[Any]:
        found = values.astype(object)
        found[is_null] = None
        listed: list[Any] = found.tolist()
        return listed

    return NumberColumn(values, is_null, objects)


def objects_of(column: Column) -> Sequence[Any]:
    """The values of a column as the driver gives them."""
    return column.objects() if isinstance(column, NumberColumn) else column


class Cells(NamedTuple):
    """A column of n measurements."""

    values: Float64Array
    """(n,); what stands where `is_null` is true means nothing"""
    is_null: BoolArray
    """(n,)"""
    unreadable: Int8Array
    """(n,): positions in `CODES`"""


def wrong_type(column: Column, truth_values: bool = True) -> str | None:
    """The name of a type that is neither number, text nor, where these may be there, truth value, and stands in the
    column; None where there is none."""
    if isinstance(column, NumberColumn):
        return None
    readable = _READABLE if truth_values else _READABLE - {bool}
    return min((kind.__name__ for kind in set(map(type, column)) - readable), default=None)


def takes_truth_values(feature: Feature, how: MappedColumn) -> bool:
    """Whether it is said what a truth value means: of a measured number, which becomes one where a column is retyped,
    0 and 1 would be values like any other."""
    return feature.kind == "category" or {"true", "false"} <= folded(how.words).keys()


def measured(feature: Feature, how: MappedColumn, column: Column) -> Cells:
    """The values in their declared unit or codes, of a column without a wrong type."""
    if feature.kind == "category":
        values = _meanings(how.words or labels(feature), objects_of(column))
        is_unknown = values == _UNKNOWN
        is_null = np.isnan(values) | is_unknown
        return Cells(np.where(is_null, 0.0, values), is_null, is_unknown * np.int8(CODES.index(UNKNOWN_CODE)))
    if isinstance(column, NumberColumn) and not how.words:
        return Cells(_in_unit(column.values.astype(np.float64), how), column.is_null, np.zeros(len(column), np.int8))
    column = objects_of(column)
    if not how.words and set(map(type, column)) <= _NUMBERS:
        with suppress(OverflowError, ValueError):  # an integer beyond all floats, a signalling NaN
            values = np.array(column, dtype=np.float64)  # None becomes NaN
            is_null = np.zeros(len(column), dtype=bool)
            unclear = np.flatnonzero(np.isnan(values))
            is_null[unclear] = [column[row] is None for row in unclear.tolist()]
            return Cells(_in_unit(values, how), is_null, np.zeros(len(column), dtype=np.int8))
    return _texts(how, column)


def _texts(how: MappedColumn, column: Sequence[Any]) -> Cells:
    """One by one; a word means what it says in the declared unit already."""
    words = folded(how.words)
    said = [words.get(as_word(value)) if isinstance(value, str | bool) else None for value in column]
    read = [_number(value) for value in column]
    values = _in_unit(np.array([value if isinstance(value, float) else 0.0 for value in read]), how)
    is_word = np.array([word is not None for word in said], bool)
    values[is_word] = [word for word in said if word is not None]
    is_unreadable = ~is_word & [value == NOT_A_NUMBER for value in read]
    is_null = ~is_word & [not isinstance(value, float) for value in read]
    return Cells(values, is_null, is_unreadable * np.int8(_UNREADABLE))


def _in_unit(values: Float64Array, how: MappedColumn) -> Float64Array:
    if how.factor == 1 and how.offset == 0:
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is rejected
        converted: Float64Array = values * how.factor + how.offset
    return converted


def _number(value: Any) -> float | str | None:
    """A number, None where it is not known, NOT_A_NUMBER where it is none."""
    if _is_empty(value):
        return None
    # Digits with underscores, and those of other scripts, are numbers to Python alone.
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return NOT_A_NUMBER
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except ValueError:
        return NOT_A_NUMBER


_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)


def with_comma(column: Sequence[Any], which: BoolArray) -> int:
    """How many of the values that are none, `which` (n,), are digits with a comma."""
    texts = (column[row] for row in np.flatnonzero(which).tolist())
    return sum(isinstance(value, str) and _COMMA.fullmatch(value) is not None for value in texts)


_UNKNOWN = -1.0
_NOT_KNOWN = float("nan")


def _meanings(words: Mapping[str, float], column: Sequence[Any]) -> Float64Array:
    """The meanings of words, (n,); _NOT_KNOWN where it is not known, _UNKNOWN where it can't be taken."""
    meanings = folded(words)
    # Few values stand in many rows.
    found = {value: _NOT_KNOWN if _is_empty(value) else meanings.get(as_word(value), _UNKNOWN) for value in set(column)}
    return np.array([found[value] for value in column], dtype=np.float64)


_MOST_DIGITS = 300
"""Digits of a code, as of a float."""


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def as_word(value: Any) -> str:
    """The text of a code, whatever kind of number it is to the driver."""
    return str(int(value) if _is_whole(value) else value).strip().casefold()


def _is_whole(value: Any) -> bool:
    if isinstance(value, Decimal):  # whose exponent can say more digits than Python writes
        return value.is_finite() and value.adjusted() < _MOST_DIGITS and value == int(value)
    return isinstance(value, float) and math.isfinite(value) and value == int(value)


def folded(words: Mapping[str, float]) -> dict[str, float]:
    """The words as they are compared."""
    return {word.strip().casefold(): float(meaning) for word, meaning in words.items()}


def labels(feature: Feature) -> dict[str, float]:
    """Words for a category's codes: the codes, their labels, a truth value; and 0 where that means missing."""
    found = {word: float(code) for word, code in (("false", 0), ("true", 1)) if code in feature.codes}
    found |= folded({label: code for code, label in feature.codes.items()})
    found |= {str(code): float(code) for code in feature.codes}
    return found | ({"0": 0.0} if feature.zero_is_missing else {})


_PLAIN_OUTCOMES = {"0": 0, "1": 1, "false": 0, "true": 1}


def outcomes(words: Mapping[str, int], column: Sequence[Any]) -> tuple[Int8Array, BoolArray]:
    """Read (n,) outcomes, NO_OUTCOME where one is not known yet; and tell which can't be taken."""
    meant = _meanings(words or _PLAIN_OUTCOMES, column)
    is_bad = meant == _UNKNOWN
    is_known = ~np.isnan(meant) & ~is_bad
    return np.where(is_known, meant, NO_OUTCOME).astype(np.int8), is_bad
