"""PostgreSQL's binary COPY from arrays: one buffer a batch, no Python object a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from pima.core.arrays import Int64Array
from pima.core.cells import Column, NumberColumn

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


def copy_in(connection: Connection, table: str, columns: Mapping[str, Any]) -> None:
    """Append rows: numpy arrays (n,) by column, or numpy scalars for what is the same in all of them.

    Types must be exactly the columns': int32, int64 or float64 for integer, bigint or double precision. No NULLs.
    """
    with connection.connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEAD)
        copy.write(_rows(columns))
        copy.write(_END)


def _rows(columns: Mapping[str, Any]) -> bytes:
    """The tuples as the protocol has them: a count of fields, then each field's length in bytes and its bytes."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    fields = [("fields", ">i2")]
    for name, array in arrays.items():
        fields += [(f"length of {name}", ">i4"), (name, array.dtype.newbyteorder(">").str)]
    rows = np.empty(max(array.size for array in arrays.values() if array.ndim), dtype=fields)
    rows["fields"] = len(arrays)
    for name, array in arrays.items():
        rows[f"length of {name}"] = array.itemsize
        rows[name] = array
    return rows.tobytes()


def append_columns(connection: Connection, table: str, columns: Mapping[str, Column]) -> None:
    """The same of texts, which may be None, and of numbers that may be NULL."""
    with connection.connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEAD)
        copy.write(_of_several_lengths(list(columns.values())))
        copy.write(_END)


def _of_several_lengths(columns: Sequence[Column]) -> bytes:
    """The tuples of rows, of which each has its own length."""
    lengths = [_lengths(column) for column in columns]
    sizes = 2 + np.sum([4 + np.maximum(each, 0) for each in lengths], axis=0)
    begin = np.cumsum(sizes) - sizes
    rows = np.empty(int(sizes.sum()), np.uint8)
    _put(rows, begin, np.full(len(begin), len(columns), ">i2"))
    begin += 2
    for column, each in zip(columns, lengths, strict=True):
        _put(rows, begin, each.astype(">i4"))
        begin += 4
        _put_values(rows, begin, column, each)
        begin += np.maximum(each, 0)
    return rows.tobytes()


def _lengths(column: Column) -> Int64Array:
    """(n,): in bytes, below 0 where it is NULL"""
    if isinstance(column, NumberColumn):
        return np.where(column.is_null, -1, column.values.itemsize)
    return np.array([-1 if text is None else len(text) if text.isascii() else len(text.encode()) for text in column])


def _put_values(rows: Any, begin: Int64Array, column: Column, lengths: Int64Array) -> None:
    if isinstance(column, NumberColumn):
        values = column.values[~column.is_null]
        _put(rows, begin[~column.is_null], values.astype(values.dtype.newbyteorder(">")))
        return
    content = np.frombuffer("".join(text for text in column if text is not None).encode(), np.uint8)
    lengths = np.maximum(lengths, 0)
    rows[np.repeat(begin - np.cumsum(lengths) + lengths, lengths) + np.arange(len(content))] = content


def _put(rows: Any, begin: Int64Array, numbers: Any) -> None:
    """Numbers of one width at these places."""
    rows[begin[:, np.newaxis] + np.arange(numbers.itemsize)] = numbers.view(np.uint8).reshape(-1, numbers.itemsize)
