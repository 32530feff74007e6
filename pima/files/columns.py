"""Rows of a Parquet file as measurements, whatever kind of number or label its columns hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pima.core.arrays import BoolArray, Float64Array
from pima.core.features import Feature, Features, code_of_label
from pima.core.validation import Column

_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""What is kept instead of a type of which pyarrow can't pick rows."""

UNKNOWN_LABEL = -1.0
"""A label that is no code's; below all of them."""


def measurements_of(batch: pa.RecordBatch, columns: Sequence[str], features: Features) -> list[Column]:
    """Of each feature the column that has this name."""
    return [_column(batch.column(name), feature) for name, feature in zip(columns, features, strict=True)]


def keys_of(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """These columns, of types of which rows can be picked."""
    keys = batch.select(list(names))
    plain = [field.with_type(_PLAIN.get(field.type, field.type)) for field in keys.schema]
    return keys.cast(pa.schema(plain)) if any(field.type in _PLAIN for field in keys.schema) else keys


def can_be_key(held: pa.DataType) -> bool:
    """Whether `keys_of` makes of this type something of which rows can be picked."""
    try:
        pa.array([], _PLAIN.get(held, held)).take(pa.array([], pa.int64()))
    except pa.ArrowNotImplementedError:
        return False
    return True


def _column(column: pa.Array, feature: Feature) -> Column:
    return Column(_values(column, feature), _is_null(column) if column.null_count else None)


def _is_null(column: pa.Array) -> BoolArray:
    """From its bits: pyarrow's own way to numpy would import pandas where it is installed."""
    found = column.is_null()
    each = np.unpackbits(np.frombuffer(found.buffers()[1], dtype=np.uint8), bitorder="little")
    return each[found.offset : found.offset + len(found)].view(np.bool_)


def _values(column: pa.Array, feature: Feature) -> Float64Array:
    """As floats, and anything where it is null."""
    if pa.types.is_null(column.type):
        return np.zeros(len(column))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        # One by one, as `load` takes them: decimals to the nearest float, and labels to their codes.
        return np.array([_value(value, feature) for value in column.to_pylist()], dtype=np.float64)
    numbers = column.cast(pa.float64(), safe=False)
    # What is null has some number beneath, or none.
    return np.frombuffer(numbers.buffers()[1], dtype=np.float64)[numbers.offset : numbers.offset + len(numbers)]


def _value(value: object, feature: Feature) -> float:
    if value is None:
        return 0.0
    if isinstance(value, str):
        code = code_of_label(feature, value)
        return UNKNOWN_LABEL if code is None else float(code)
    return float(value)  # type: ignore[arg-type]  # a decimal or a bool, by the column's type


def array_of(numbers: NDArray[Any]) -> pa.Array:
    """A column of numpy's without nulls. `pa.array` would import pandas where it is installed."""
    contiguous = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(contiguous.dtype), len(contiguous), [None, pa.py_buffer(contiguous)]
    )
