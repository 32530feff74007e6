"""Patients in Parquet."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pima.core.features import KEYS, Declaration
from pima.intake.header import Header, read_header
from pima.intake.opened_file import OpenedFile, refused
from pima.intake.raw_rows import BLOCK_ROWS, RawBlock


def open_parquet(
    file: OpenedFile, declaration: Declaration, ignored: Sequence[str]
) -> tuple[Header, Callable[[], Iterator[RawBlock]]]:
    """Find the columns to read; return them with a function that reads the file's rows. Raises FileRefused."""
    schema = parquet_schema(file)
    header = read_header(file.name, schema.names, declaration, ignored)
    categories = {each.name for each in declaration.features if each.kind == "category"}
    fields = [schema.field(n) for n in header.positions]
    for column, field in zip(header.columns, fields, strict=True):
        if not _is_taken(column, field.type, column in categories):
            # A nested type shows its fields' names, which may be values.
            held = "groups" if pa.types.is_nested(field.type) else field.type
            numbers = "integers, or doubles" if column == "id" else "numbers"
            wanted = "(not_text). Expected text" if column in KEYS else f"(not_a_number). Expected {numbers}"
            raise refused(file.name, f"The column {column} holds {held} {wanted}.")
    return header, lambda: parquet_blocks(file, [field.name for field in fields])


def parquet_schema(file: OpenedFile) -> Any:
    """The columns' names and types. Raises FileRefused."""
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(file.name, "It is no readable Parquet file (half_written_line).") from None


def _is_taken(column: str, kind: Any, is_category: bool) -> bool:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_dictionary = pa.types.is_dictionary(kind)
    if pa.types.is_null(kind):
        return True
    if column in KEYS:
        # A number is never turned into text, since two types of numbers would give two texts.
        return bool(is_text or (is_dictionary and kind.value_type in (pa.string(), pa.large_string())))
    if column == "id":
        # A shorter float may hold another patient's id than the one that was written.
        return bool(pa.types.is_integer(kind) or pa.types.is_float64(kind))
    if pa.types.is_boolean(kind):
        return is_category or column == "outcome"
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(is_number or (is_category and (is_text or is_dictionary)))


def parquet_blocks(file: OpenedFile, names: Sequence[str], block_rows: int = BLOCK_ROWS) -> Iterator[RawBlock]:
    """Read the rows of these columns, block by block, without blank ones, which spreadsheets leave behind."""
    row = 0
    try:
        with pq.ParquetFile(file.path) as content:
            for batch in content.iter_batches(batch_size=block_rows, columns=list(names)):
                rows = pd.DataFrame({n: _series(batch.column(name)) for n, name in enumerate(names)})
                rows.index = pd.RangeIndex(row + 1, row + 1 + len(batch))
                row += len(batch)
                yield RawBlock(rows[rows.notna().any(axis=1).to_numpy()], [])
    except (pa.ArrowException, OSError, ValueError):
        raise refused(file.name, f"It can't be read beyond row {row} (half_written_line).") from None


def _series(column: Any) -> pd.Series:
    kind, is_null = column.type, np.array(column.is_null().to_numpy(zero_copy_only=False))
    # Whole numbers that may exceed an Int64, and all that are no plain numbers, come as Python objects.
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pd.Series(pd.arrays.IntegerArray(_numbers(column, pa.int64()), is_null))
    if pa.types.is_floating(kind):
        return pd.Series(pd.arrays.FloatingArray(_numbers(column, pa.float64()), is_null))
    # A time may be finer than Python's can be.
    is_time = pa.types.is_temporal(kind) and not pa.types.is_duration(kind)
    return pd.Series((column.cast(pa.string()) if is_time else column).to_pylist(), dtype=object)


def _numbers(column: Any, kind: Any) -> Any:
    return np.array(pc.fill_null(column.cast(kind), 0).to_numpy(zero_copy_only=False))
