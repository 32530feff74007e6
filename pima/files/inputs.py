"""The files of a dataset: of each its size, its footer's hash and which of its columns are read."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.features import KEYS, Declaration, Feature, canonical_name
from pima.errors import DatasetRefused, WrongUsage
from pima.files.columns import can_be_key
from pima.files.places import Place, place_of, words_of

OURS = ("probability", "predicted_class", "model_version", "row_number", "reason", "field")
"""The columns that scoring adds, to predictions or to rejections."""
_DAMAGED = "it is no readable Parquet file"
_KNOWN_KEYS = ("id", *KEYS)
_END = 8
"""Bytes at a file's end: the footer's length, and PAR1."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a file, by the names that stand there."""

    features: tuple[str, ...]
    """In the model's order."""
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the dataset."""

    name: str
    """Within the dataset, with slashes."""
    path: str
    version: str
    """`Place.version` before the file was looked at."""
    bytes: int
    footer_sha256: str
    """The footer has where each column's bytes are and what they count and range over, and not what they are."""
    groups: tuple[int, ...]
    """Rows of each row group."""
    columns: Columns


def found_in(dataset: str) -> tuple[Place, dict[str, str]]:
    """The storage, and the path of each file by its name within the dataset.

    Raises DatasetRefused where there is none, or where one can't be looked at.
    """
    place, path = place_of(dataset)
    try:
        found = place.found(path)
    except OSError as error:
        raise DatasetRefused(dataset=error.filename or dataset, what=_unreadable(error)) from None
    if not found:
        raise DatasetRefused(dataset=dataset, what="there is no Parquet file")
    return place, found


def input_files(place: Place, found: Mapping[str, str], declared: Declaration, keys: Sequence[str]) -> list[InputFile]:
    """All of them, by name. Raises DatasetRefused, or WrongUsage where keys are named that can't be kept."""
    files = [input_file(place, name, found[name], declared, keys) for name in sorted(found)]
    if other := next((file for file in files if file.columns.keys != files[0].columns.keys), None):
        what = f"it has other keys than {files[0].name}; --key says which columns to keep"
        raise DatasetRefused(dataset=other.name, what=what)
    return files


def input_file(place: Place, name: str, path: str, declared: Declaration, keys: Sequence[str]) -> InputFile:
    """One of them, by its name within the dataset and its path. Raises as `input_files` does."""
    try:
        version = place.version(path)
        with place.open(path) as file:
            size, footer = _size_and_footer(file)
            metadata = pq.read_metadata(file)
    except OSError as error:
        # Of damage pyarrow makes one, too, but without the system's words.
        what = _unreadable(error) if error.strerror else _DAMAGED
        raise DatasetRefused(dataset=path, what=what) from None
    except (pa.ArrowException, ValueError, struct.error):
        raise DatasetRefused(dataset=name, what=_DAMAGED) from None
    groups = tuple(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    columns = _columns(name, metadata.schema.to_arrow_schema(), declared, keys)
    return InputFile(name, path, version, size, footer, groups, columns)


def _unreadable(error: OSError) -> str:
    return f"it can't be read ({words_of(error)}). Mend its rights or where it links to, or leave it out by a pattern"


def _size_and_footer(file: BinaryIO) -> tuple[int, str]:
    """Bytes, and the footer's hash."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    (length, _magic) = struct.unpack("<I4s", file.read(_END))
    file.seek(max(0, size - _END - length))
    return size, hashlib.sha256(file.read(length)).hexdigest()


def require_unchanged(place: Place, input_file: InputFile) -> None:
    """Raises DatasetRefused where a file is not the one that was looked at, or no more."""
    try:
        is_as_it_was = place.version(input_file.path) == input_file.version
    except OSError:
        is_as_it_was = False
    if not is_as_it_was:
        raise DatasetRefused(dataset=input_file.name, what="it was changed while the dataset was scored")


def _columns(name: str, schema: pa.Schema, declared: Declaration, keys: Sequence[str]) -> Columns:
    meant: dict[str, str] = {}
    for column in schema.names:
        known = canonical_name(column, declared)
        if known is not None and meant.setdefault(known, column) != column:
            raise DatasetRefused(dataset=name, what=f"two of its columns mean {known}")
        if schema.names.count(column) > 1 and (known is not None or column in keys):
            raise DatasetRefused(dataset=name, what=f"it has a column {known or column} twice")
    if lacking := [feature for feature in declared.names if feature not in meant]:
        raise DatasetRefused(dataset=name, what=f"it lacks {', '.join(lacking)}")
    for feature in declared.features:
        _require_type(name, feature, schema.field(meant[feature.name]).type)
    kept = tuple(keys) or tuple(meant[known] for known in _KNOWN_KEYS if known in meant)
    _require_keys(name, kept, schema)
    return Columns(tuple(meant[feature] for feature in declared.names), kept)


def _require_type(name: str, feature: Feature, held: pa.DataType) -> None:
    """The types that `load` takes."""
    is_number = any(
        is_kind(held) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_null, pa.types.is_decimal)
    )
    inner = held.value_type if pa.types.is_dictionary(held) else held
    is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    is_code = feature.kind == "category" and (is_text or pa.types.is_boolean(held))
    if not is_number and not is_code:
        what = f"its column {feature.name} holds {'groups' if pa.types.is_nested(held) else held}, not numbers"
        raise DatasetRefused(dataset=name, what=what)


def _require_keys(name: str, kept: Sequence[str], there: pa.Schema) -> None:
    if not kept:
        what = f"no column says whose its rows are: none of {', '.join(_KNOWN_KEYS)}. Name one with --key COLUMN"
        raise DatasetRefused(dataset=name, what=what)
    if lacking := [key for key in kept if key not in there.names]:
        raise DatasetRefused(dataset=name, what=f"it has no column {', '.join(lacking)}, which --key names")
    if taken := [key for key in kept if key in OURS]:
        raise WrongUsage(what=f"--key {taken[0]}: scoring writes a column of that name itself; rename the key's")
    if odd := [key for key in kept if not can_be_key(there.field(key).type)]:
        what = f"its column {odd[0]} holds {there.field(odd[0]).type}, of which pyarrow can't pick rows; write texts"
        raise DatasetRefused(dataset=name, what=what)
