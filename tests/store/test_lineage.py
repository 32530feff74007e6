"""Snapshots, test sets and pruning, on both databases."""

from datetime import UTC, datetime

from sqlalchemy import text

from pima.store import lineage, registry
from pima.store.engine import writing
from pima.store.lineage import Snapshot, TestSet
from tests.conftest import Database
from tests.store.versions import add_version, record

TEST_SET = TestSet(
    "f" * 64, [3, 2**40, 7], 3, datetime(2026, 1, 1, 0, 0, 0, 5_000, UTC), datetime(2026, 6, 1, tzinfo=UTC)
)


def _versions(database: Database, count: int, champion: int | None = None, before: int | None = None) -> None:
    """So many versions, each with a snapshot, and a ledger that says who replaced whom."""
    for number in range(1, count + 1):
        assert add_version(database, data=f"data {number}") == number
        with writing(database.engine) as connection:
            lineage.keep_snapshot(connection, number, Snapshot(b"parquet %d" % number, "s" * 64, number))
    if champion is not None:
        record(database, "promoted", before, champion, challenger=champion)
        with writing(database.engine) as connection:
            registry.set_champion(connection, champion, pinned=False)


def _prune(database: Database, last_snapshots: int, last_bytes: int | None) -> tuple[list[int], list[int]]:
    """Which versions have a snapshot, and which have bytes, afterwards."""
    with writing(database.engine) as connection:
        lineage.prune(connection, last_snapshots, last_bytes)
        kept = lineage.kept_snapshots(connection)
        rows = connection.execute(
            text(
                "SELECT number FROM model_versions"
                " WHERE keras_artifact IS NOT NULL AND compiled_artifact IS NOT NULL ORDER BY number"
            )
        )
        return kept, list(rows.scalars())
