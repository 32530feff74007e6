"""The rows that a version learned from, whole or by their ids, and how long old bytes are kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from pima.core.arrays import Int64Array
from pima.core.declared.features import names_of
from pima.errors import (
    NoSuchVersion,
    SnapshotDamaged,
    SnapshotNotKept,
    SnapshotRedacted,
    TrainingIdsDamaged,
)
from pima.store.engine import reading
from pima.store.models import registry
from pima.store.models.ledger import version_before
from pima.store.models.registry import VersionSummary, read_champion, sha256_of
from pima.store.tables import (
    fields_of,
    model_versions,
    training_snapshots,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The exact rows that a version was fitted on."""

    content: bytes
    """Parquet"""
    sha256: str
    rows: int
    first_sha256: str | None = None
    """The hash before rows were taken out; None if none were."""


_SNAPSHOT = fields_of(Snapshot, training_snapshots)


def keep_snapshot(connection: Connection, number: int, content: bytes, rows: int) -> None:
    """Store the rows that version `number` was fitted on, as Parquet."""
    connection.execute(
        insert(training_snapshots).values(
            model_version=number, content=content, sha256=sha256_of(content), rows=rows
        )
    )


def read_snapshot(connection: Connection, number: int) -> Snapshot | None:
    """The rows that version `number` was fitted on, their hash checked; None if they are no longer
    kept. Raises SnapshotDamaged."""
    row = connection.execute(
        select(*_SNAPSHOT).where(training_snapshots.c.model_version == number)
    ).first()
    if row is not None and sha256_of(row.content) != row.sha256:
        raise SnapshotDamaged(number=number)
    return None if row is None else Snapshot(*row)


def redact_snapshot(
    connection: Connection, number: int, before: Snapshot, content: bytes, rows: int
) -> None:
    """Replace a snapshot by the rows that are left; its first hash is kept."""
    of_it = update(training_snapshots).where(training_snapshots.c.model_version == number)
    first_sha256 = before.first_sha256 or before.sha256
    connection.execute(
        of_it.values(
            content=content, sha256=sha256_of(content), rows=rows, first_sha256=first_sha256
        )
    )


def drop_snapshot(connection: Connection, number: int) -> None:
    """Delete the snapshot of one version."""
    connection.execute(
        delete(training_snapshots).where(training_snapshots.c.model_version == number)
    )


def training_ids(connection: Connection, number: int) -> bytes:
    """The ids of the rows that a version learned from, as Parquet, their hash checked. Raises
    TrainingIdsDamaged."""
    version = model_versions.c
    statement = select(version.training_ids, version.training_ids_sha256).where(
        version.number == number
    )
    content, sha256 = connection.execute(statement).one()
    if not content or sha256_of(content) != sha256:
        raise TrainingIdsDamaged(number=number)
    return bytes(content)


def redact_training_ids(connection: Connection, number: int, content: bytes) -> None:
    """Replace the ids that a version learned from by those that are left; no bytes at all stand for
    a damaged list."""
    of_it = update(model_versions).where(model_versions.c.number == number)
    connection.execute(of_it.values(training_ids=content, training_ids_sha256=sha256_of(content)))


def kept_snapshots(connection: Connection) -> list[int]:
    """The versions whose snapshot is kept, oldest first."""
    versions = training_snapshots.c.model_version
    return list(connection.scalars(select(versions).order_by(versions)))


def prune(connection: Connection, last_snapshots: int, last_bytes: int | None) -> None:
    """Delete snapshots and model bytes except those of the last versions; the versions' rows stay.

    The champion, the version before it, and the newest, which may wait for approval, always keep
    theirs. `last_bytes` None keeps all bytes. The caller holds the champion's lock.
    """
    newest = connection.scalar(select(func.max(model_versions.c.number))) or 0
    ours = [newest]
    champion = read_champion(connection).model_version
    if champion is not None:
        ours.append(champion)
        before = version_before(connection, champion)
        if before is not None:
            ours.append(before)
    kept = ", ".join(map(str, ours))
    of_snapshots = (
        "DELETE FROM training_snapshots WHERE model_version <= :last AND model_version NOT IN "
        f"({kept})"
    )
    connection.execute(text(of_snapshots), {"last": newest - last_snapshots})
    if last_bytes is not None:
        of_bytes = f"""
            UPDATE model_versions SET keras_artifact = NULL, compiled_artifact = NULL
            WHERE number <= :last AND number NOT IN ({kept})
                AND (keras_artifact IS NOT NULL OR compiled_artifact IS NOT NULL)"""
        connection.execute(text(of_bytes), {"last": newest - last_bytes})


def drop_snapshots(connection: Connection) -> None:
    """Delete all snapshots."""
    connection.execute(delete(training_snapshots))


# ---- The rows of a snapshot, as a Parquet file: enough to fit the version again.
#
# Features are stored as the fit saw them: float32, missing as null. The file is small (zstd), and
# any tool reads it. The ids alone are smaller still, and are kept for ever: the version can't be
# judged on those rows.

OF_IDS = {"use_dictionary": False, "column_encoding": "DELTA_BINARY_PACKED"}


def version_with_rows(
    engine: Engine, number: int, all_of_them: bool = False
) -> tuple[VersionSummary, pd.DataFrame]:
    """Read a version and its training rows, without those of people forgotten since; `all_of_them`
    makes missing rows an error.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted.
    """
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
        if version is None:
            raise NoSuchVersion(number=number)
        rows = kept_rows(connection, number)
    if all_of_them and len(rows) < version.training_rows:
        raise SnapshotRedacted(number=number, rows=version.training_rows - len(rows))
    return version, rows


def kept_rows(connection: Connection, number: int) -> pd.DataFrame:
    """Read a version's training rows, with their hash checked. Raises SnapshotNotKept or
    SnapshotDamaged."""
    snapshot = read_snapshot(connection, number)
    if snapshot is None:
        kept = ", ".join(map(str, kept_snapshots(connection))) or "none"
        raise SnapshotNotKept(number=number, kept=kept)
    return from_parquet(snapshot.content, names_of(registry.features_of(connection, number)))


def to_parquet(rows: pd.DataFrame) -> bytes:
    """Write columns patient_id, the features, outcome, labelled_at; the same rows give the same
    bytes."""
    features = rows.select_dtypes("float32").columns
    kept = rows[[*features, "outcome", "labelled_at"]].rename_axis("patient_id").reset_index()
    return _written(pa.Table.from_pandas(kept, preserve_index=False).replace_schema_metadata())


def from_parquet(content: bytes, names: Sequence[str]) -> pd.DataFrame:
    """Read the exact rows, with the features of their version. The caller has checked the bytes'
    hash."""
    columns = ["patient_id", *names, "outcome", "labelled_at"]
    return _read(content).select(columns).to_pandas().set_index("patient_id").rename_axis("id")


def ids_to_parquet(ids: Int64Array) -> bytes:
    """Write only the rows' ids, in order: a fifth of a byte each if the database drew them."""
    return _written(pa.table({"patient_id": pa.array(ids, pa.int64())}), **OF_IDS)


def ids_from_parquet(content: bytes) -> Int64Array:
    """Read the ids, in order."""
    return _read(content).combine_chunks()["patient_id"].to_numpy()


def without_rows(content: bytes, ids: Collection[int], **encoding: Any) -> tuple[bytes, int] | None:
    """Remove the rows with these ids from a snapshot or, with `OF_IDS`, from a list of ids; return
    the content that is left and its number of rows, None if no row has such an id."""
    table = _read(content)
    is_theirs = pc.is_in(table["patient_id"], value_set=pa.array(sorted(ids), pa.int64()))
    if not pc.any(is_theirs).as_py():
        return None
    left = table.filter(pc.invert(is_theirs)).combine_chunks()
    return _written(left, **encoding), len(left)


def _read(content: bytes) -> pa.Table:
    # `pq.read_table` would import pyarrow.dataset first, which takes a third of a second.
    return pq.ParquetFile(pa.BufferReader(content)).read()


def _written(table: pa.Table, **encoding: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", **encoding)
    return bytes(sink.getvalue())
