"""Patients in Parquet."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pima.intake.header import read_header
from pima.intake.patient_rows import BLOCK_ROWS, Block, checked, in_order
from pima.intake.sources import Source, refused


def open_parquet(source: Source, ignored: Sequence[str]) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    """The columns that are read, and a function that reads the file's rows. Raises FileRefused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(source.path)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, "It is no readable Parquet file (half_written_line).") from None
    header = read_header(source.name, schema.names, ignored)
    fields = [schema.field(n) for n in header.positions]
    for column, field in zip(header.columns, fields, strict=True):
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_null(field.type)
        is_decimal = column != "id" and pa.types.is_decimal(field.type)
        is_sound = is_number or is_decimal or (column == "outcome" and pa.types.is_boolean(field.type))
        if not is_sound:
            # A group's fields have names of their own, which may be values.
            held = "groups" if pa.types.is_nested(field.type) else field.type
            raise refused(source.name, f"The column {column} holds {held} (not_a_number). Expected numbers.")
    return header.columns, lambda: _parquet_blocks(source, header.columns, [field.name for field in fields])


def _parquet_blocks(source: Source, columns: tuple[str, ...], names: list[str]) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    ordered = in_order(columns)
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names):
                values = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
                rows = [(line + n, *_from_parquet(ordered(cells))) for n, cells in enumerate(values, start=1)]
                line += len(rows)
                yield checked(rows, [])
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, f"It can't be read beyond row {line} (half_written_line).") from None


def _from_parquet(cells: tuple[Any, ...]) -> tuple[Any, ...]:
    """(id, eight measurements, outcome) with measurements as floats, whatever kind of number the column holds."""
    patient_id, *measured, outcome = cells
    if isinstance(patient_id, float) and patient_id.is_integer() and patient_id < 2**53:
        patient_id = int(patient_id)  # a column of ids with a gap comes as floats from some writers
    return (patient_id, *(None if value is None else float(value) for value in measured), outcome)
