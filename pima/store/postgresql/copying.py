"""PostgreSQL's binary COPY from arrays: one buffer a batch, no Python object a row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection

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
