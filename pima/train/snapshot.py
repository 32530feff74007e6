"""The rows that a model version was fitted on, as a Parquet file: enough to fit it again.

Features are kept as the fit saw them: float32, missing as null. The file is small (zstd) and any tool reads it. The ids
alone are smaller still, and tell for ever whom the version can't be judged on.
"""

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine

from pima.core.arrays import Int64Array
from pima.core.digest import sha256_of
from pima.core.features import names_of
from pima.errors import NoSuchVersion, SnapshotDamaged, SnapshotNotKept, SnapshotRedacted
from pima.store import lineage, registry
from pima.store.engine import reading
from pima.store.registry import VersionSummary, as_features

_OF_IDS = {"use_dictionary": False, "column_encoding": "DELTA_BINARY_PACKED"}


def version_with_rows(engine: Engine, number: int, all_of_them: bool = False) -> tuple[VersionSummary, pd.DataFrame]:
    """Read a version and its training rows; without those of people who were forgotten since, which with `all_of_them`
    is an error.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted.
    """
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
        if version is None:
            raise NoSuchVersion(number=number)
        return version, kept_rows(connection, version, all_of_them)


def kept_rows(connection: Connection, version: VersionSummary, all_of_them: bool = False) -> pd.DataFrame:
    """Read a version's training rows, their hash checked. Raises SnapshotNotKept, SnapshotDamaged, SnapshotRedacted."""
    snapshot = lineage.read_snapshot(connection, version.number)
    if snapshot is None:
        kept = ", ".join(map(str, lineage.kept_snapshots(connection))) or "none"
        raise SnapshotNotKept(number=version.number, kept=kept)
    if sha256_of(snapshot.content) != snapshot.sha256:
        raise SnapshotDamaged(number=version.number)
    if all_of_them and snapshot.first_sha256 is not None:
        raise SnapshotRedacted(number=version.number, rows=version.training_rows - snapshot.rows)
    return from_parquet(snapshot.content, names_of(as_features(version.features)))


def to_parquet(rows: pd.DataFrame) -> bytes:
    """Write columns patient_id, the features, outcome, labelled_at; the same rows give the same bytes."""
    features = rows.select_dtypes("float32").columns
    kept = rows[[*features, "outcome", "labelled_at"]].rename_axis("patient_id").reset_index()
    return _written(pa.Table.from_pandas(kept, preserve_index=False).replace_schema_metadata())


def from_parquet(content: bytes, names: Sequence[str]) -> pd.DataFrame:
    """Read the rows, exactly, with the features of the version that they are of. The caller has checked the bytes'
    hash."""
    columns = ["patient_id", *names, "outcome", "labelled_at"]
    return _read(content).select(columns).to_pandas().set_index("patient_id").rename_axis("id")


def ids_to_parquet(ids: Int64Array) -> bytes:
    """Write the rows' ids alone, in order: a fifth of a byte each, where they were drawn."""
    return _written(pa.table({"patient_id": pa.array(ids, pa.int64())}), **_OF_IDS)


def ids_from_parquet(content: bytes) -> Int64Array:
    """Read the ids, in order."""
    ids: Int64Array = _read(content).combine_chunks()["patient_id"].to_numpy()
    return ids


def without_rows(content: bytes, ids: Collection[int]) -> tuple[bytes, int] | None:
    """Take the rows with these ids out of a snapshot; return it and how many rows are left, None where none has one."""
    return _without(content, ids)


def without_ids(content: bytes, ids: Collection[int]) -> tuple[bytes, int] | None:
    """Return ids alone without these, and how many are left; None where none is among them."""
    return _without(content, ids, **_OF_IDS)


def _read(content: bytes) -> pa.Table:
    # `pq.read_table` would import pyarrow.dataset first, which takes a third of a second.
    return pq.ParquetFile(pa.BufferReader(content)).read()


def _without(content: bytes, ids: Collection[int], **encoding: Any) -> tuple[bytes, int] | None:
    table = _read(content)
    is_theirs = pc.is_in(table["patient_id"], value_set=pa.array(sorted(ids), pa.int64()))
    if not pc.any(is_theirs).as_py():
        return None
    left = table.filter(pc.invert(is_theirs)).combine_chunks()
    return _written(left, **encoding), len(left)


def _written(table: pa.Table, **encoding: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", **encoding)
    return bytes(sink.getvalue())
