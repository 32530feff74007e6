"""Table rows written as Parquet with typed columns."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Boolean, ColumnElement

from pima.store.database import Json, Real, Timestamp

_TYPES = {
    Real: pa.float64(),
    Boolean: pa.bool_(),
    Timestamp: pa.timestamp("us", tz="UTC"),
    Json: pa.string(),
}


def write_parquet(
    file: BinaryIO, columns: Sequence[ColumnElement[Any]], blocks: Iterable[Sequence[Any]]
) -> None:
    """Write each block as a row group."""
    with pq.ParquetWriter(file, _schema(columns), compression="zstd") as writer:
        for block in blocks:
            writer.write_table(as_table(columns, block))


def as_table(columns: Sequence[ColumnElement[Any]], rows: Sequence[Any]) -> pa.Table:
    """Make an Arrow table of at least one row; documents become JSON text."""
    cells = zip(columns, zip(*rows, strict=True), strict=True)
    return pa.table([_cells(column, values) for column, values in cells], schema=_schema(columns))


def _cells(column: ColumnElement[Any], values: Sequence[Any]) -> pa.Array:
    if isinstance(column.type, Json):
        values = [None if value is None else json.dumps(value, sort_keys=True) for value in values]
    return pa.array(values, _type(column))


def _type(column: ColumnElement[Any]) -> pa.DataType:
    whole_or_text = pa.int64() if column.type.python_type is int else pa.string()
    return next(
        (made for kind, made in _TYPES.items() if isinstance(column.type, kind)), whole_or_text
    )


def _schema(columns: Sequence[ColumnElement[Any]]) -> pa.Schema:
    return pa.schema([(str(column.key), _type(column)) for column in columns])
