"""The rows that a version was fitted on, as its snapshot has them."""

from sqlalchemy import Engine

from pima.core.digest import sha256_of
from pima.core.features import names_of
from pima.core.history import Side
from pima.errors import NoSuchVersion, SnapshotDamaged, SnapshotNotKept, SnapshotRedacted
from pima.store import lineage, registry
from pima.store.declarations import as_features
from pima.store.engine import reading
from pima.store.registry import VersionSummary
from pima.training.snapshot import from_parquet


def version_with_rows(engine: Engine, number: int, all_of_them: bool = False) -> tuple[VersionSummary, Side]:
    """A version and its training rows, their hash checked; without those of people who were forgotten since, which
    with `all_of_them` is an error.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted.
    """
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
        snapshot = lineage.read_snapshot(connection, number)
        kept = lineage.kept_snapshots(connection)
    if version is None:
        raise NoSuchVersion(number=number)
    if snapshot is None:
        raise SnapshotNotKept(number=number, kept=", ".join(map(str, kept)) or "none")
    if sha256_of(snapshot.content) != snapshot.sha256:
        raise SnapshotDamaged(number=number)
    if all_of_them and snapshot.first_sha256 is not None:
        raise SnapshotRedacted(number=number, rows=version.training_rows - snapshot.rows)
    return version, from_parquet(snapshot.content, names_of(as_features(version.features)))
