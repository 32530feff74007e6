"""Patients in Parquet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from pima.core.declared.columns import TIMES, kind_of
from pima.core.declared.features import Declaration, Feature
from pima.core.declared.source import MappedColumn
from pima.core.rows.cells import takes_truth_values
from pima.intake.files.header import Header, read_header
from pima.intake.files.opened_file import OpenedFile, refused
from pima.intake.raw_rows import BLOCK_ROWS, RawBlock


def open_parquet(
    file: OpenedFile, declaration: Declaration, ignored: Sequence[str]
) -> tuple[Header, Callable[[], Iterator[RawBlock]]]:
    """Find the columns to read; return them with a function that reads the file's rows. Raises
    FileRefused."""
    schema = parquet_schema(file)
    header = read_header(file.name, schema.names, declaration, ignored)
    features = {each.name: each for each in declaration.arriving}
    fields = [schema.field(n) for n in header.positions]
    for column, field in zip(header.columns, fields, strict=True):
        if not _is_taken(column, field.type, features):
            # A nested type shows its fields' names, which may be values.
            held = "groups" if types.is_nested(field.type) else field.type
            raise refused(file.name, f"The column {column} holds {held} {_wanted(column)}.")
    return header, lambda: parquet_blocks(file, [field.name for field in fields])


def _wanted(column: str) -> str:
    if kind_of(column) == "key":
        return "(not_text). Expected text"
    if column in TIMES:
        return f"(bad_{TIMES[column]}). Expected times, days, or texts of them"
    if column == "id":
        return "(not_a_number). Expected integers, or doubles"
    return "(not_a_number). Expected numbers"


def parquet_schema(file: OpenedFile) -> Any:
    """The columns' names and types. Raises FileRefused."""
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(file.name, "It is no readable Parquet file (half_written_line).") from None


def _is_taken(column: str, kind: Any, features: Mapping[str, Feature]) -> bool:
    if types.is_null(kind):
        return True
    if column in features:
        return _can_hold(kind, features[column])
    if kind_of(column) == "key":
        # A number is never turned into text, since two types of numbers would give two texts.
        return kind in _TEXTS or (types.is_dictionary(kind) and kind.value_type in _TEXTS)
    if column in TIMES:
        return kind in _TEXTS or types.is_timestamp(kind) or types.is_date(kind)
    if column == "id":
        # A shorter float may hold another patient's id than the one that was written.
        return bool(types.is_integer(kind) or types.is_float64(kind))
    return types.is_boolean(kind) or _is_number(kind)


_TEXTS = (pa.string(), pa.large_string(), pa.string_view())


def _can_hold(kind: Any, feature: Feature) -> bool:
    """Whether a column of this type can be read as the feature."""
    is_category = feature.kind == "category"
    if types.is_dictionary(kind):
        return is_category and _can_hold(kind.value_type, feature)
    if types.is_boolean(kind):
        return takes_truth_values(feature, MappedColumn(feature.name))
    return types.is_null(kind) or _is_number(kind) or (is_category and kind in _TEXTS)


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


_READ_BYTES = 1 << 20


def parquet_blocks(
    file: OpenedFile, names: Sequence[str], block_rows: int = BLOCK_ROWS
) -> Iterator[RawBlock]:
    """Read the rows of these columns, block by block, without blank ones, which spreadsheets leave
    behind."""
    row = 0
    try:
        # Without a limit, a column's whole row group would be read into memory.
        with pq.ParquetFile(file.path, buffer_size=_READ_BYTES) as content:
            for batch in content.iter_batches(batch_size=block_rows, columns=list(names)):
                rows = pd.DataFrame(
                    {n: as_column(batch.column(name)) for n, name in enumerate(names)}
                )
                rows.index = pd.RangeIndex(row + 1, row + 1 + len(batch))
                row += len(batch)
                yield RawBlock(rows[rows.notna().any(axis=1).to_numpy()], [])
    except (pa.ArrowException, OSError, ValueError):
        raise refused(
            file.name, f"It can't be read beyond row {row} (half_written_line)."
        ) from None


def as_column(column: Any) -> pd.Series:
    """Convert an Arrow array to a column whose cells can be read."""
    kind = column.type
    is_null = np.array(column.is_null().to_numpy(zero_copy_only=False))
    # Whole numbers that may exceed an Int64, and all that are no plain numbers, come as Python
    # objects.
    if types.is_integer(kind) and kind != pa.uint64():
        return pd.Series(pd.arrays.IntegerArray(_numbers(column, pa.int64()), is_null))
    if types.is_floating(kind):
        return pd.Series(pd.arrays.FloatingArray(_numbers(column, pa.float64()), is_null))
    # A time may be finer than Python's can be.
    if types.is_temporal(kind) and not types.is_duration(kind):
        column = column.cast(pa.string())
    return pd.Series(column.to_pylist(), dtype=object)


def _numbers(column: Any, kind: Any) -> Any:
    return np.array(pc.fill_null(column.cast(kind), 0).to_numpy(zero_copy_only=False))
