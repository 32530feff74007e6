"""PostgreSQL's binary COPY from arrays and DataFrames: one buffer a batch, no Python object a row.

Scoring uses it, which never imports pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection

from pima.core.arrays import Int64Array
from pima.store.columns import column

if TYPE_CHECKING:
    import pandas as pd


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


def append_frame(connection: Connection, table: str, frame: pd.DataFrame) -> None:
    """Append a DataFrame's rows: float64 of which NaN is NULL, Int64, and texts of which None is NULL."""
    names = ", ".join(map(column, frame.columns))
    with connection.connection.cursor().copy(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEAD)
        copy.write(_of_several_lengths([frame[name] for name in frame.columns]))
        copy.write(_END)


def _of_several_lengths(columns: Sequence[pd.Series]) -> bytes:
    """The tuples of rows, of which each has its own length."""
    fields = [_Field(each) for each in columns]
    sizes = 2 + np.sum([4 + np.maximum(field.lengths, 0) for field in fields], axis=0)
    begin = np.cumsum(sizes) - sizes
    rows = np.empty(int(sizes.sum()), np.uint8)
    _put(rows, begin, np.full(len(begin), len(columns), ">i2"))
    begin += 2
    for field in fields:
        _put(rows, begin, field.lengths.astype(">i4"))
        begin += 4
        field.put(rows, begin)
        begin += np.maximum(field.lengths, 0)
    return rows.tobytes()


class _Field:
    """A column as the protocol has it."""

    def __init__(self, values: pd.Series) -> None:
        import pandas as pd

        if not pd.api.types.is_numeric_dtype(values):
            texts = values.astype(object).where(values.notna(), None).tolist()
            self._content: Any = "".join([text for text in texts if text is not None]).encode()
            self.lengths: Int64Array = np.array(
                [-1 if text is None else len(text) if text.isascii() else len(text.encode()) for text in texts]
            )
            return
        kind = ">f8" if values.dtype == np.float64 else ">i8"
        is_null = values.isna().to_numpy()
        self._content = values[~is_null].to_numpy(np.dtype(kind).newbyteorder("=")).astype(kind)
        self.lengths = np.where(is_null, -1, 8)

    def put(self, rows: Any, begin: Int64Array) -> None:
        """The bytes of all rows at these places."""
        if not isinstance(self._content, bytes):
            _put(rows, begin[self.lengths > 0], self._content)
            return
        content, lengths = np.frombuffer(self._content, np.uint8), np.maximum(self.lengths, 0)
        rows[np.repeat(begin - np.cumsum(lengths) + lengths, lengths) + np.arange(len(content))] = content


def _put(rows: Any, begin: Int64Array, numbers: Any) -> None:
    """Numbers of one width at these places."""
    rows[begin[:, np.newaxis] + np.arange(numbers.itemsize)] = numbers.view(np.uint8).reshape(-1, numbers.itemsize)
