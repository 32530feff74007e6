"""Patients in Parquet."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pima.core.features import KEYS, Declaration, Features
from pima.core.validation import UNKNOWN_CODE
from pima.intake.header import read_header
from pima.intake.key_cells import KeyTypes, ReadKeys, reading_keys
from pima.intake.patient_rows import BLOCK_ROWS, BadLine, Block, Row, checked, code_of_label, in_order, known_columns
from pima.intake.sources import Source, refused


def open_parquet(
    source: Source, declaration: Declaration, ignored: Sequence[str], key_types: KeyTypes
) -> tuple[tuple[str, ...], Callable[[], Iterator[Block]]]:
    """The columns that are read, and a function that reads the file's rows. Raises FileRefused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(source.path)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, "It is no readable Parquet file (half_written_line).") from None
    header = read_header(source.name, schema.names, declaration, ignored)
    categories = {each.name for each in declaration.features if each.kind == "category"}
    fields = [schema.field(n) for n in header.positions]
    for column, field in zip(header.columns, fields, strict=True):
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_null(field.type)
        is_decimal = column != "id" and pa.types.is_decimal(field.type)
        # What a shorter float holds may be another patient's id than the one that was written.
        is_rounded = column == "id" and pa.types.is_floating(field.type) and not pa.types.is_float64(field.type)
        is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        is_code = column == "outcome" or column in categories
        is_label = column in categories and (is_text or pa.types.is_dictionary(field.type))
        is_sound = (
            (is_number and not is_rounded) or is_decimal or is_label or (is_code and pa.types.is_boolean(field.type))
        )
        if column in KEYS:
            # Never a number made text, since two kinds of numbers would make two texts.
            is_sound = is_text or _is_dictionary_of_text(field.type) or pa.types.is_null(field.type)
        if not is_sound:
            # A group's fields have names of their own, which may be values.
            held = "groups" if pa.types.is_nested(field.type) else field.type
            numbers = "integers, or doubles" if column == "id" else "numbers"
            wanted = "(not_text). Expected text" if column in KEYS else f"(not_a_number). Expected {numbers}"
            raise refused(source.name, f"The column {column} holds {held} {wanted}.")
    read_keys = reading_keys({name: n for n, name in enumerate(header.columns)}, key_types)
    names = [field.name for field in fields]
    return header.columns, lambda: _parquet_blocks(source, declaration, header.columns, names, read_keys)


def _is_dictionary_of_text(type_: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_dictionary(type_) and type_.value_type in (pa.string(), pa.large_string())


def _parquet_blocks(
    source: Source,
    declaration: Declaration,
    columns: tuple[str, ...],
    names: list[str],
    read_keys: ReadKeys | None,
) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    ordered = in_order(columns, known_columns(declaration))
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names):
                values = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
                rows: list[Row] = []
                bad: list[BadLine] = []
                for cells in values:
                    line += 1
                    if all(cell is None for cell in cells):
                        continue  # a blank row of the spreadsheet that it came from
                    keys = () if read_keys is None else read_keys(line, cells)
                    if isinstance(keys, BadLine):
                        bad.append(keys)
                        continue
                    row = _from_parquet(line, ordered(cells), declaration.features)
                    if isinstance(row, BadLine):
                        bad.append(row)
                    else:
                        rows.append((*row, *keys))
                yield checked(rows, bad, declaration.features)
    except (pa.ArrowException, OSError, ValueError):
        raise refused(source.name, f"It can't be read beyond row {line} (half_written_line).") from None


def _from_parquet(line: int, cells: tuple[Any, ...], features: Features) -> Row | BadLine:
    """A row with measurements as floats, whatever kind of number the column holds, and codes for labels."""
    patient_id, *measured, outcome = cells
    if isinstance(patient_id, float) and patient_id.is_integer() and patient_id < 2**53:
        patient_id = int(patient_id)  # a column of ids with a gap comes as floats from some writers
    values: list[float | None] = []
    for feature, value in zip(features, measured, strict=True):
        code = code_of_label(feature, value) if isinstance(value, str) else value
        if code is None and value is not None:
            return BadLine(line, UNKNOWN_CODE, feature.name)
        values.append(None if code is None else float(code))
    return (line, patient_id, *values, outcome)
