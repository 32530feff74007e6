"""A column of values, as a file or a driver gives it, read as numbers, codes or outcomes.

A value that can't be taken is marked with its reason and never shown. Text is read as Python's
`float` reads it, in ASCII and without underscores; empty text counts as missing.
`pandas.to_numeric` is not used: of texts that begin with a plus it accepts "+9E 46" as a number and
reads "+57e47" one bit off (pandas 3.1).
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pima.core.arrays import Float64Array, Int8Array
from pima.core.declared.features import Feature, SeenByNoModel
from pima.core.declared.identifiers import is_whole
from pima.core.declared.source import MappedColumn
from pima.core.rows.validation import (
    CODES,
    FIELD_TOO_LONG,
    NOT_A_NUMBER,
    NOT_FINITE,
    NOT_UTF8,
    NUL_BYTE,
    OUT_OF_RANGE,
    UNKNOWN_CODE,
    FeatureValues,
    broken_rule,
)

LONGEST_FIELD = 1_000

Column: TypeAlias = pd.Series
"""One column of a block as it was read: of dtype Int64, Float64 or str, or of objects with None for
NULL."""

_NUMBERS = {float, int, Decimal, bool, NoneType}
_READABLE = _NUMBERS | {str}


@dataclass(frozen=True, slots=True)
class Cells:
    """The n values that were read from a column."""

    values: Float64Array
    """(n,): NaN where a value is missing or can't be taken."""
    faults: Int8Array
    """(n,): positions in `CODES`."""
    unknown: int = 0
    """Unrecognised values that were read as the feature's `unknown` says."""

    @property
    def to_judge(self) -> FeatureValues:
        """The same, to be judged by the rules of the feature."""
        return FeatureValues(self.values, np.isnan(self.values), self.faults)


def objects_of(column: Column) -> list[Any]:
    """The values as Python objects, None for NULL."""
    return (
        column.tolist()
        if column.dtype == object
        else column.to_numpy(object, na_value=None).tolist()
    )


def wrong_type(column: Column, truth_values: bool = True) -> str | None:
    """The name of a type in the column that is neither number, text nor, if allowed, truth value;
    None if there is none."""
    if column.dtype != object:
        return None
    readable = _READABLE if truth_values else _READABLE - {bool}
    return min((kind.__name__ for kind in set(map(type, column)) - readable), default=None)


def takes_truth_values(feature: Feature, how: MappedColumn) -> bool:
    """Whether words or labels say what a truth value means. Without them nobody knows: in a
    measured number, 0 and 1 would be values like any other (a view may have made the column
    boolean), and a category does not say which of its codes is the true one."""
    return {"true", "false"} <= folded(how.words or labels(feature)).keys()


def measured(feature: Feature, how: MappedColumn, column: Column) -> Cells:
    """Convert a column without a wrong type to the feature's declared unit or codes."""
    if feature.kind == "category":
        values, faults = _meanings(how.words or labels(feature), column)
    elif how.words:
        values, faults = _words_or_numbers(how, objects_of(column))
    else:
        values, faults = _numbers(column)
        values = _in_unit(values, how)
    faults[np.isinf(values)] = CODES.index(NOT_FINITE)
    if isinstance(feature, SeenByNoModel):
        # Such as 999 where nobody has assessed it: as a word, it is not known, and counted.
        is_outside = broken_rule(FeatureValues(values), feature) == CODES.index(OUT_OF_RANGE)
        faults[is_outside | (faults == CODES.index(NOT_FINITE))] = CODES.index(UNKNOWN_CODE)
    values[faults != 0] = np.nan
    if feature.unknown is None:
        return Cells(values, faults)
    is_missing = np.isnan(values) & (faults == 0)
    is_unknown = np.isin(faults, [CODES.index(UNKNOWN_CODE), CODES.index(NOT_A_NUMBER)])
    if feature.unknown != "missing":
        # Missing and unrecognised values become the same code.
        values[is_unknown | is_missing] = feature.unknown
    faults[is_unknown] = 0
    return Cells(values, faults, int(np.count_nonzero(is_unknown)))


def _numbers(column: Column) -> tuple[Float64Array, Int8Array]:
    """(n,) numbers, NaN where there is none, and (n,) faults."""
    faults = np.zeros(len(column), np.int8)
    if column.dtype != object and column.dtype != "str":
        is_null = column.isna().to_numpy()
        values = column.to_numpy(np.float64, copy=True, na_value=np.nan)
        faults[np.isnan(values) & ~is_null] = CODES.index(NOT_FINITE)
        return values, faults
    kinds = {str} if column.dtype == "str" else set(map(type, column))
    read = _of_texts(column) if kinds <= {str, NoneType} else None
    if kinds <= _NUMBERS:
        with suppress(OverflowError, ValueError):  # an integer beyond all floats, a signalling NaN
            read = np.array(column.tolist(), dtype=np.float64)  # None becomes NaN
    if read is None:
        read = np.full(len(column), np.nan)
    doubtful = np.flatnonzero(np.isnan(read))
    for row, value in zip(doubtful.tolist(), objects_of(column.iloc[doubtful]), strict=True):
        read[row], faults[row] = _number(value)
    return read, faults


def _of_texts(texts: Column) -> Float64Array | None:
    """Read texts as Python would, (n,), in a quarter of its time; NaN where one needs a closer
    look, None if all do."""
    try:
        read = pa.array(texts, pa.large_string(), from_pandas=True)
        read = pc.if_else(pc.equal(read, ""), None, read)
        if (pc.max(pc.utf8_length(read)).as_py() or 0) > LONGEST_FIELD:
            return None
        return np.array(pc.cast(read, pa.float64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None


def _number(value: Any) -> tuple[float, int]:
    """Return a number and 0; NaN and its fault; or NaN and 0 if the value is missing."""
    if is_blank(value):
        return np.nan, 0
    if isinstance(value, str) and (fault := _fault_of_text(value)):
        return np.nan, CODES.index(fault)
    try:
        found = float(value)
    except OverflowError:
        return np.inf, 0
    except ValueError:
        return np.nan, CODES.index(NOT_A_NUMBER)
    if math.isnan(found):
        return found, CODES.index(NOT_FINITE)
    return found, 0


def _fault_of_text(text: str) -> str | None:
    if len(text) > LONGEST_FIELD:
        return FIELD_TOO_LONG
    if "\0" in text:
        return NUL_BYTE
    if not text.isascii():
        # Bytes of a file that are not UTF-8 arrive as surrogates.
        if any("\udc80" <= character <= "\udcff" for character in text):
            return NOT_UTF8
        return NOT_A_NUMBER
    # Only Python takes digits with underscores for a number.
    return NOT_A_NUMBER if "_" in text else None


def _words_or_numbers(how: MappedColumn, column: Sequence[Any]) -> tuple[Float64Array, Int8Array]:
    """Read values one by one; the meaning of a word is already in the declared unit."""
    words = folded(how.words)
    said = [
        words.get(as_word(value)) if isinstance(value, str | bool) else None for value in column
    ]
    read = [
        (0.0, 0) if word is not None else _number(value)
        for word, value in zip(said, column, strict=True)
    ]
    values = _in_unit(np.array([value for value, _ in read]), how)
    is_word = np.array([word is not None for word in said], bool)
    values[is_word] = [word for word in said if word is not None]
    return values, np.array([fault for _, fault in read], np.int8)


def _in_unit(values: Float64Array, how: MappedColumn) -> Float64Array:
    if how.factor == 1 and how.offset == 0:
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # a result that is not finite is rejected
        converted: Float64Array = values * how.factor + how.offset
    return converted


def _meanings(words: Mapping[str, float], column: Column) -> tuple[Float64Array, Int8Array]:
    """The meanings of words, (n,), NaN where there is none, and (n,) faults."""
    meanings = folded(words)
    # Many rows share few values.
    if column.dtype == object:  # among objects pandas would take a NaN for a NULL
        places = {value: n for n, value in enumerate(set(column))}
        at = np.array([places[value] for value in column], np.intp)
        different = list(places)
    else:
        at, different = pd.factorize(column)
    # The last one is that of NULL, whose place is -1.
    read = np.array([*(_meaning(meanings, value) for value in different), (np.nan, 0)])
    return read[at, 0], read[at, 1].astype(np.int8)


def _meaning(meanings: Mapping[str, float], value: Any) -> tuple[float, int]:
    if is_blank(value):
        return np.nan, 0
    if (meaning := meanings.get(as_word(value))) is not None:
        return meaning, 0
    number, fault = _number(value)
    if (meaning := meanings.get(as_word(number))) is not None:  # a code as "1.0"
        return meaning, 0
    # A word that is no number is none of the codes either.
    if not fault or CODES[fault] == NOT_A_NUMBER:
        fault = CODES.index(UNKNOWN_CODE)
    return np.nan, fault


def is_blank(value: object) -> bool:
    """Whether a value is NULL or blank text."""
    return value is None or (isinstance(value, str) and not value.strip())


def as_word(value: Any) -> str:
    """The text of a code, whatever type of number the driver gives."""
    if isinstance(value, Decimal):
        is_integer = is_whole(value)
    else:
        is_integer = isinstance(value, float) and value.is_integer()
    if is_integer:
        value = int(value)
    return str(value).strip().casefold()


def folded(words: Mapping[str, float]) -> dict[str, float]:
    """The words in the form in which they are compared."""
    return {word.strip().casefold(): float(meaning) for word, meaning in words.items()}


def labels(feature: Feature) -> dict[str, float]:
    """Words for a category's codes: the codes and their labels; and 0 if it means missing."""
    found = folded({label: code for code, label in feature.codes.items()})
    found |= {str(code): float(code) for code in feature.codes}
    if feature.zero_is_missing:
        found["0"] = 0.0
    return found


def outcomes(words: Mapping[str, int], column: Column) -> Cells:
    """Read (n,) outcomes, NaN where one is not known yet; UNKNOWN_CODE marks what is neither."""
    return Cells(*_meanings(words or {"0": 0, "1": 1, "false": 0, "true": 1}, column))
