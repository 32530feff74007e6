"""Snapshots, test sets and pruning, on both databases."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, text

from pima.store import lineage, registry, schema
from pima.store.engine import reading, writing
from pima.store.lineage import Snapshot, TestSet
from tests.conftest import SALT, Database
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


@pytest.mark.parametrize(
    ("last_snapshots", "last_bytes", "snapshots", "model_bytes"),
    [
        (0, None, [2, 4, 7], [1, 2, 3, 4, 5, 6, 7]),
        (3, None, [2, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]),
        (99, 1, [1, 2, 3, 4, 5, 6, 7], [2, 4, 7]),
        (0, 2, [2, 4, 7], [2, 4, 6, 7]),
        (0, 99, [2, 4, 7], [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_champion_the_one_before_and_the_newest_are_always_kept(
    database: Database, last_snapshots: int, last_bytes: int | None, snapshots: list[int], model_bytes: list[int]
) -> None:
    _versions(database, 7, champion=4, before=2)
    assert _prune(database, last_snapshots, last_bytes) == (snapshots, model_bytes)
    # The rows stay, with all that they say.
    assert database.value("SELECT count(*) FROM model_versions WHERE keras_sha256 IS NOT NULL") == 7


def test_after_a_rollback_what_was_taken_back_is_still_there_and_nothing_more_is_lost(database: Database) -> None:
    _versions(database, 3, champion=2, before=1)
    record(database, "promoted", 2, 3, challenger=3)
    record(database, "rolled_back", 3, 2)
    assert _prune(database, 0, 1) == ([1, 2, 3], [1, 2, 3])


def test_without_a_champion_only_the_newest_is_kept(database: Database) -> None:
    _versions(database, 3)
    assert _prune(database, 0, 1) == ([3], [3])


@pytest.mark.parametrize("lost", ["keras_artifact", "compiled_artifact", None])
def test_what_was_pruned_before_is_not_written_again(database: Database, lost: str | None) -> None:
    _versions(database, 4)
    if lost is not None:  # half of a version's bytes, as no prune of ours leaves them
        database.execute(f"UPDATE model_versions SET {lost} = NULL WHERE number = 2")
    _prune(database, 0, 1)
    with writing(database.engine) as connection:
        before = _written(database, connection)
        lineage.prune(connection, 0, 1)
        assert _written(database, connection) == before
    left = "keras_artifact IS NOT NULL OR compiled_artifact IS NOT NULL"
    assert database.execute(f"SELECT number FROM model_versions WHERE {left}") == [(4,)]


def _written(database: Database, connection: Connection) -> object:
    """What differs once any row of `model_versions` is written anew, even with the values that it had."""
    if database.kind == "postgresql":
        return connection.execute(text("SELECT number, xmin, ctid FROM model_versions ORDER BY number")).all()
    return connection.execute(text("SELECT total_changes()")).scalar_one()


def test_pruning_an_empty_registry_does_nothing(database: Database) -> None:
    assert _prune(database, 0, 1) == ([], [])


def test_snapshots_come_back_as_they_were_stored_and_can_be_switched_off(database: Database) -> None:
    _versions(database, 2)
    with reading(database.engine) as connection:
        assert lineage.read_snapshot(connection, 2) == Snapshot(b"parquet 2", "s" * 64, 2)
        assert lineage.read_snapshot(connection, 3) is None
    with writing(database.engine) as connection:
        lineage.drop_snapshots(connection)
        assert lineage.kept_snapshots(connection) == []


def test_a_test_set_is_kept_once_however_many_verdicts_are_given_on_it(database: Database) -> None:
    for _ in range(2):
        with writing(database.engine) as connection:
            lineage.keep_test_set(connection, TEST_SET)
    with reading(database.engine) as connection:
        assert lineage.read_test_set(connection, TEST_SET.fingerprint) == TEST_SET
        assert lineage.read_test_set(connection, "unknown") is None
    assert database.value("SELECT count(*) FROM test_sets") == 1


def test_each_verdict_of_its_own_is_a_consultation_dry_or_not(database: Database) -> None:
    counts = ('{"judged_before": false}', '{"judged_before": false, "verdict": "x"}', '{"judged_before": true}', "{}")
    json = "CAST(:counts AS JSONB)" if database.kind == "postgresql" else ":counts"
    for job in ("retrain", "score"):
        for n, each in enumerate((*counts, counts[0])):
            status = "failed" if n == len(counts) else "succeeded"
            database.execute(
                f"INSERT INTO runs (job, trigger, attempt, status, counts, host) VALUES"
                f" (:job, 'manual', 1, '{status}', {json}, 'here')",
                {"job": job, "counts": each},
            )
    with reading(database.engine) as connection:
        assert lineage.consultations(connection) == 2


def test_a_database_of_the_first_revision_comes_up_with_its_versions_and_verdicts(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="0001")
    database.execute(
        "INSERT INTO promotions (verdict, reason, explanation, champion_sequence, figures, decided_by)"
        " VALUES ('promoted', 'first_champion', '', 0, '{}', 'retrain')"
    )
    with pytest.raises(schema.SchemaBehind):
        schema.require_schema(database.engine)
    assert schema.migrate(database.engine, SALT) == schema.Migrated("0001", schema.HEAD, None)
    schema.require_schema(database.engine)
    assert database.execute("SELECT verdict, test_set_fingerprint FROM promotions") == [("promoted", None)]
