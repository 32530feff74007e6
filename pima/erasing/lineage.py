"""Taking rows out of what stands behind versions and verdicts."""

from collections.abc import Set
from dataclasses import dataclass

from sqlalchemy import Connection

from pima.core.digest import sha256_of
from pima.logs import get_logger
from pima.store import lineage, registry
from pima.train.snapshot import without_ids, without_rows


@dataclass(frozen=True, slots=True)
class Redacted:
    """What had such rows."""

    snapshots: tuple[int, ...]
    """Versions."""
    test_sets: int
    learned_by: tuple[int, ...]
    """Versions that were fitted on one of the rows."""
    unknown: tuple[int, ...]
    """Versions of which it is not known."""

    def __bool__(self) -> bool:
        return bool(self.learned_by or self.test_sets)


def redact(connection: Connection, ids: Set[int]) -> Redacted:
    """Take the rows with these ids out of snapshots, lists of training rows and test sets, version by version.

    No retraining may record a version meanwhile.
    """
    registry.lock_champion(connection)
    learned, snapshots, unknown = set[int](), list[int](), list[int]()
    kept = lineage.kept_snapshots(connection)
    for number in kept:
        if _redact_snapshot(connection, number, ids):
            snapshots.append(number)
    for number in registry.numbers(connection):
        content = registry.training_ids(connection, number)
        if content is None:
            unknown += [] if number in kept else [number]
        elif (left := without_ids(content, ids)) is not None:
            lineage.redact_training_ids(connection, number, left[0])
            learned.add(number)
    learned.update(snapshots)
    return Redacted(tuple(snapshots), lineage.redact_test_sets(connection, ids), tuple(sorted(learned)), tuple(unknown))


def _redact_snapshot(connection: Connection, number: int, ids: Set[int]) -> bool:
    snapshot = lineage.read_snapshot(connection, number)
    if snapshot is None:
        return False
    if sha256_of(snapshot.content) != snapshot.sha256:
        # What it holds is not to be parsed, serves for nothing any more, and may be the person's.
        lineage.drop_snapshot(connection, number)
        get_logger().warning("a training snapshot was damaged and is gone", model_version=number)
        return False
    left = without_rows(snapshot.content, ids)
    if left is None:
        return False
    lineage.redact_snapshot(connection, number, snapshot, *left)
    return True
