"""Rows of PostgreSQL as columns of DataFrames, read and appended in their binary form.

Each row is read as one binary value: a Python object for each number would cost more than all the
work on it.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
from psycopg import postgres
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.types.string import ByteaBinaryLoader
from sqlalchemy import Connection

from pima.core.arrays import BoolArray, Float64Array, Int64Array
from pima.store.database import database_of
from pima.store.engine import column
from pima.store.postgresql.scoring import copy_in

_COUNT_BYTES = 4
_TYPE_BYTES = 4
_LENGTH_BYTES = 4
"""A row is the number of fields, then for each field its type, its length (negative for NULL), and
its bytes."""
_KINDS = {"int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8"}
"""The server's types, and numpy's names for their binary forms."""
_ROOM = bytes(16)
"""Padding after the last row: the place of a number is read even if a NULL at the end has no
bytes."""


def read_columns(
    connection: Connection, statement: str, rows: int, exact: int = 0
) -> Generator[list[pd.Series]]:
    """Read a SELECT column by column, at most `rows` rows at a time: Int64, Float64, or objects and
    None. Decimals of the first `exact` columns stay decimals."""
    # All rows will be fetched, so the planner should not favour the first ones.
    connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")
    session: Any = connection.connection.dbapi_connection
    types = _types(connection, statement)
    with closing(database_of(connection).stream(connection)) as driver:
        driver.adapters.register_loader("record", ByteaBinaryLoader)
        driver.execute(f"SELECT ROW(read.*) FROM (\n{statement}\n) AS read")
        while block := driver.fetchmany(rows):
            yield _columns([row for (row,) in block], types, Transformer(session), exact)


def _types(connection: Connection, statement: str) -> list[int]:
    """The columns' types, by number. A domain gives its base type here; in a row it would give its
    own number."""
    with closing(database_of(connection).cursor(connection)) as driver:
        # LIMIT 0 makes no rows and sorts nothing.
        driver.execute(f"SELECT read.* FROM (\n{statement}\n) AS read LIMIT 0")
        return [described.type_code for described in driver.description]


def _columns(
    rows: Sequence[bytes], types: Sequence[int], transformer: Any, exact: int
) -> list[pd.Series]:
    """Read rows in binary form column by column; `field` is where each row's next field begins."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    block = _Block(b"".join((*rows, _ROOM)))
    field = np.cumsum(lengths) - lengths + _COUNT_BYTES
    columns = []
    for n, kind in enumerate(types):
        length = block.numbers(field + _TYPE_BYTES, ">i4").astype(np.int64)
        begin = field + _TYPE_BYTES + _LENGTH_BYTES
        is_null = length < 0
        field = begin + np.maximum(length, 0)
        loader = transformer.get_loader(kind, Format.BINARY)
        columns.append(block.column(kind, loader, begin, field, is_null, n < exact))
    return columns


class _Block:
    """The bytes of some rows."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def numbers(self, begin: Int64Array, kind: str) -> Any:
        """(n,): the numbers at these offsets."""
        width = np.dtype(kind).itemsize
        anywhere = np.ndarray((len(self._content) - width + 1,), kind, self._content, strides=(1,))
        return anywhere[begin].astype(np.dtype(kind).newbyteorder("="))

    def column(
        self,
        kind: int,
        loader: Any,
        begin: Int64Array,
        end: Int64Array,
        is_null: BoolArray,
        is_exact: bool,
    ) -> pd.Series:
        """Read one field of all rows."""
        if is_null.all():
            return pd.Series([None] * len(is_null), dtype=object)
        if kind == _DECIMAL and not is_exact:
            return pd.Series(
                pd.arrays.FloatingArray(self._decimals(loader, begin, end, is_null), is_null)
            )
        if (name := _NAMES.get(kind)) is None:
            return pd.Series(self._objects(loader, begin, end, is_null), dtype=object)
        # For a NULL the bytes at offset 0 are read instead; as any type they are a harmless number.
        read = self.numbers(np.where(is_null, 0, begin), _KINDS[name])
        if read.dtype.kind == "i":
            return pd.Series(pd.arrays.IntegerArray(read.astype(np.int64), is_null))
        return pd.Series(pd.arrays.FloatingArray(read.astype(np.float64), is_null))

    def _decimals(
        self, loader: Any, begin: Int64Array, end: Int64Array, is_null: BoolArray
    ) -> Float64Array:
        """(n,): the floats that Python would make of the decimals. Mostly one division or product
        of exact numbers is enough, since it rounds once and correctly; the others are converted one
        by one."""
        count, weight, sign = (
            self.numbers(begin + place, ">i2").astype(np.int64) for place in (0, 2, 4)
        )
        whole = np.zeros(len(begin), np.int64)
        exponent = 4 * (weight - count + 1)
        for n in range(_MOST_DIGITS):
            digit = self.numbers(np.minimum(begin + 8 + 2 * n, len(self._content) - 2), ">i2")
            whole = np.where(n < count, whole * 10_000 + digit, whole)
        is_exact = (
            (count <= _MOST_DIGITS) & (whole < 2**53) & (np.abs(exponent) < len(_POWERS_OF_TEN))
        )
        power = _POWERS_OF_TEN[np.where(is_exact, np.abs(exponent), 0)]
        values: Float64Array = np.where(exponent < 0, whole / power, whole * power)
        values[sign == _NEGATIVE] *= -1
        for row in np.flatnonzero(~(is_exact & np.isin(sign, (0, _NEGATIVE))) & ~is_null).tolist():
            values[row] = float(loader.load(self._content[begin[row] : end[row]]))
        return values

    def _objects(
        self, loader: Any, begin: Int64Array, end: Int64Array, is_null: BoolArray
    ) -> list[Any]:
        load = loader.load
        content = self._content
        places = zip(begin.tolist(), end.tolist(), is_null.tolist(), strict=True)
        return [None if null else load(content[first:last]) for first, last, null in places]


# A numeric: the number of its digits in base 10,000, the power of that base of the first digit, its
# sign, the number of decimals shown, then the digits.
_DECIMAL = postgres.types["numeric"].oid
_NEGATIVE = 0x4000
_MOST_DIGITS = 4
_POWERS_OF_TEN = np.array([float(f"1e{n}") for n in range(23)])
"""The powers of ten that a float holds exactly."""
_NAMES = {postgres.types[name].oid: name for name in _KINDS}


def append_frame(connection: Connection, table: str, frame: pd.DataFrame) -> None:
    """Append a DataFrame's rows: float64 (NaN is NULL), Int64, and text (None is NULL)."""
    rows = _of_several_lengths([frame[name] for name in frame.columns])
    copy_in(connection, table, map(column, frame.columns), rows)


def _of_several_lengths(columns: Sequence[pd.Series]) -> bytes:
    """The rows in COPY's binary form; each row has its own length."""
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
    """A column in the protocol's binary form."""

    def __init__(self, values: pd.Series) -> None:
        if not pd.api.types.is_numeric_dtype(values):
            texts = values.astype(object).where(values.notna(), None).tolist()
            self._content: Any = "".join([text for text in texts if text is not None]).encode()
            self.lengths: Int64Array = np.array(
                [
                    -1 if text is None else len(text) if text.isascii() else len(text.encode())
                    for text in texts
                ]
            )
            return
        kind = ">f8" if values.dtype == np.float64 else ">i8"
        is_null = values.isna().to_numpy()
        self._content = values[~is_null].to_numpy(np.dtype(kind).newbyteorder("=")).astype(kind)
        self.lengths = np.where(is_null, -1, 8)

    def put(self, rows: Any, begin: Int64Array) -> None:
        """Write the field's bytes of all rows at these offsets."""
        if not isinstance(self._content, bytes):
            _put(rows, begin[self.lengths > 0], self._content)
            return
        content = np.frombuffer(self._content, np.uint8)
        lengths = np.maximum(self.lengths, 0)
        rows[np.repeat(begin - np.cumsum(lengths) + lengths, lengths) + np.arange(len(content))] = (
            content
        )


def _put(rows: Any, begin: Int64Array, numbers: Any) -> None:
    """Write numbers of one width at these offsets."""
    rows[begin[:, np.newaxis] + np.arange(numbers.itemsize)] = numbers.view(np.uint8).reshape(
        -1, numbers.itemsize
    )
