"""Rows of tables as Parquet with typed columns."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pima.store.exported import ExportedColumn, Kind

_TYPES: dict[Kind, pa.DataType] = {
    "number": pa.float64(),
    "whole number": pa.int64(),
    "truth": pa.bool_(),
    "text": pa.string(),
    "moment": pa.timestamp("us", tz="UTC"),
    "document": pa.string(),
}


def write_parquet(file: BinaryIO, columns: Sequence[ExportedColumn], blocks: Iterable[Sequence[Any]]) -> None:
    """Write a row group for each block."""
    with pq.ParquetWriter(file, _schema(columns), compression="zstd") as writer:
        for block in blocks:
            writer.write_table(as_table(columns, block))


def as_table(columns: Sequence[ExportedColumn], rows: Sequence[Any]) -> pa.Table:
    """Make a table of one row or more; documents become JSON texts."""
    cells = zip(columns, zip(*rows, strict=True), strict=True)
    return pa.table([_array(column, values) for column, values in cells], schema=_schema(columns))


def _array(column: ExportedColumn, values: Sequence[Any]) -> pa.Array:
    if column.kind == "document":
        values = [None if value is None else json.dumps(value, sort_keys=True) for value in values]
    return pa.array(values, _TYPES[column.kind])


def _schema(columns: Sequence[ExportedColumn]) -> pa.Schema:
    return pa.schema([(column.name, _TYPES[column.kind]) for column in columns])
