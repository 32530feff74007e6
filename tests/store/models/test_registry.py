"""The registry: versions, and the champion's pointer under its lock."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from pima.errors import DatabaseBusy, DatabaseFailed
from pima.settings.sections import DatabaseSettings
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.models.registry import Champion
from pima.store.urls import make_engine
from tests.support.databases import PATIENCE_SECONDS, Database, until_someone_waits_for_a_lock
from tests.support.shipped import FEATURES
from tests.support.versions import add_version

# ---- versions


def test_versions_are_numbered_from_one_and_come_back_as_they_were_stored(
    database: Database,
) -> None:
    assert [add_version(database), add_version(database)] == [1, 2]
    with reading(database.engine) as connection:
        assert [found.number for found in registry.list_versions(connection)] == [2, 1]
        version = registry.read_version(connection, 2)
        compiled = registry.compiled_artifact(connection, 2)
        keras = registry.keras_artifact(connection, 1)
        assert registry.read_version(connection, 3) is None
        assert registry.compiled_artifact(connection, 3) is None
        assert registry.keras_artifact(connection, 3) is None
    assert version is not None
    assert (version.seed, version.settings) == (2**40, {"network": "five_seeds", "steps": [1, 2.5]})
    assert (version.rows_left_out, version.metrics["log_loss"]) == ({"missing": 3}, 0.4583)
    assert version.created_at.utcoffset() is not None
    for found, content, sha256 in (
        (compiled, b"compiled\x00bytes", "c" * 64),
        (keras, b"keras\x00bytes", "k" * 64),
    ):
        assert found is not None
        assert (found.content, found.sha256, found.threshold) == (content, sha256, 0.375)
        assert registry.stored_features(found.features) == FEATURES


def test_the_hash_is_the_same_whatever_form_a_database_gives_to_numbers_and_keys(
    database: Database,
) -> None:
    given = {"edges": [-0.0, 1e22, 1e-7, 3, 0.1 + 0.2, 2.0], "a": {"long name": True, "b": None}}
    number = add_version(database, reference=given)
    with reading(database.engine) as connection:
        stored = registry.compiled_artifact(connection, number)
    assert stored is not None
    assert registry.scorer_sha256(number, stored.content or b"", stored) == stored.scorer_sha256
    turned = replace(stored, features=stored.features[::-1])
    assert registry.scorer_sha256(number, stored.content or b"", turned) != stored.scorer_sha256
    assert registry.scorer_sha256(number + 1, stored.content or b"", stored) != stored.scorer_sha256


# ---- the pointer


def test_the_champion_is_one_and_names_a_version_that_exists(database: Database) -> None:
    number = add_version(database)
    with writing(database.engine) as connection:
        registry.set_champion(connection, number, pinned=False)
    for statement in (
        "DELETE FROM model_versions",
        "UPDATE champion SET model_version = 7",
        "INSERT INTO champion VALUES (2, NULL, 0, 0)",
    ):
        with pytest.raises(DatabaseFailed):
            database.execute(statement)


def lock_and_move(database: Database, number: int) -> Champion:
    with writing(database.engine) as connection:
        before = registry.lock_champion(connection)
        registry.set_champion(connection, number, before.pinned)
        return before


@pytest.mark.judge
@pytest.mark.parametrize("first_commits", [True, False])
def test_the_second_waits_for_the_lock_and_then_sees_what_the_first_did(
    postgresql: Database, first_commits: bool
) -> None:
    first, second = add_version(postgresql), add_version(postgresql)
    with ThreadPoolExecutor(1) as threads, postgresql.engine.connect() as connection:
        registry.lock_champion(connection)
        waiting = threads.submit(lock_and_move, postgresql, second)
        until_someone_waits_for_a_lock(postgresql)
        registry.set_champion(connection, first, pinned=True)
        with reading(postgresql.engine) as reader:  # who only reads waits for nobody
            reader.execute(text("SET LOCAL lock_timeout = '5s'"))
            assert registry.read_champion(reader) == Champion(None, 0, False)
        (connection.commit if first_commits else connection.rollback)()
        seen = waiting.result(timeout=PATIENCE_SECONDS)
    assert seen == (Champion(first, 1, True) if first_commits else Champion(None, 0, False))
    with reading(postgresql.engine) as reader:
        expected = Champion(second, 2, True) if first_commits else Champion(second, 1, False)
        assert registry.read_champion(reader) == expected


@pytest.mark.judge
def test_the_second_gets_no_lock_on_the_file_until_the_first_has_ended(sqlite: Database) -> None:
    first, second = add_version(sqlite), add_version(sqlite)
    engine = make_engine(sqlite.url, DatabaseSettings(lock_timeout_seconds=0))
    impatient = Database("sqlite", sqlite.url, engine)
    with writing(sqlite.engine) as connection:
        registry.lock_champion(connection)
        registry.set_champion(connection, first, pinned=True)
        with pytest.raises(DatabaseBusy):
            lock_and_move(impatient, second)
        with reading(engine) as reader:
            assert registry.read_champion(reader) == Champion(None, 0, False)
    assert lock_and_move(impatient, second) == Champion(first, 1, True)
    engine.dispose()


@pytest.mark.judge
def test_two_that_decide_against_the_same_champion_do_not_both_win(database: Database) -> None:
    """Compare and swap as the jobs do it: decide on what was read, then lock, compare, and move."""
    numbers = [add_version(database), add_version(database)]
    with reading(database.engine) as connection:
        decided_against = registry.read_champion(connection)

    def move(number: int) -> bool:
        with writing(database.engine) as connection:
            if registry.lock_champion(connection).sequence != decided_against.sequence:
                return False
            registry.set_champion(connection, number, pinned=False)
            return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(move, numbers)) == [False, True]
    with reading(database.engine) as connection:
        assert registry.read_champion(connection).sequence == 1
