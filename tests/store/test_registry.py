"""The registry: versions, the champion's pointer under its lock, and what the ledger of decisions
answers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from pima.errors import DatabaseBusy, DatabaseFailed
from pima.settings.sections import DatabaseSettings
from pima.store import registry
from pima.store.engine import reading, writing
from pima.store.registry import Champion
from pima.store.urls import make_engine
from tests.support.databases import PATIENCE_SECONDS, Database, until_someone_waits_for_a_lock
from tests.support.shipped import FEATURES
from tests.support.versions import FIGURES, add_version, record


def version_before(database: Database, number: int) -> int | None:
    with reading(database.engine) as connection:
        return registry.version_before(connection, number)


def roll_back(database: Database, champion: int) -> int | None:
    """What `models rollback` does in the ledger; the champion after it."""
    target = version_before(database, champion)
    if target is not None:
        record(database, "rolled_back", champion, target)
    return target


def promote_three(database: Database) -> None:
    record(database, "promoted", None, 1, challenger=1)
    record(database, "promoted", 1, 2, challenger=2)
    record(database, "not_better", 2, 2, challenger=9)
    record(database, "pinned", 2, 2)
    record(database, "unpinned", 2, 2)
    record(database, "promoted", 2, 3, challenger=3)
    record(database, "blocked", 3, 3, challenger=8)


# ---- going back
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "champions", "gone_back_to"),
    [
        ([], [3, 2, 1], [2, 1, None]),
        ([("rolled_back", 3, 2), ("promoted", 2, 4)], [4, 2, 1], [2, 1, None]),
        ([("promoted_by_hand", 3, 1)], [1, 3, 2, 1], [3, 2, 1, None]),
    ],
)
def test_rollbacks_walk_back_to_the_first_champion_and_end_there(
    database: Database,
    moves: list[tuple[str, int, int]],
    champions: list[int],
    gone_back_to: list[int | None],
) -> None:
    """A version that was rolled back must not come again by a further rollback."""
    assert version_before(database, 1) is None
    promote_three(database)
    for verdict, before, after in moves:
        record(database, verdict, before, after)
    assert [roll_back(database, champion) for champion in champions] == gone_back_to


# ---- what the ledger answers
# ----------------------------------------------------------------------------------------


def test_the_verdict_of_the_same_data_settings_and_champion_is_found_again(
    database: Database,
) -> None:
    record(database, "not_better", 1, 1, data="d", settings="s", explanation="first")
    record(database, "promoted", 1, 2, data="d", settings="s", explanation="second")
    record(database, "promoted", None, 1, data="d", settings="s", explanation="without a champion")
    record(database, "pinned", 1, 1, explanation="by hand")
    with reading(database.engine) as connection:

        def found(data: str, settings: str, against: int | None) -> str | None:
            row = registry.recorded_verdict(connection, data, settings, against)
            return None if row is None else row.explanation

        assert found("d", "s", 1) == "second"
        assert found("d", "s", None) == "without a champion"
        assert found("d", "s", 2) is None
        assert found("other", "s", 1) is None
        assert found("d", "other", 1) is None


def test_a_rollback_is_remembered_by_data_and_settings(database: Database) -> None:
    first, taken_back = add_version(database, "d1", "s"), add_version(database, "d2", "s")
    other_settings = add_version(database, "d2", "s2")
    record(database, "promoted", first, taken_back, challenger=taken_back, data="d2", settings="s")
    record(database, "promoted_by_hand", other_settings, first)

    def remembered() -> list[bool]:
        with reading(database.engine) as connection:
            asked = [("d1", "s"), ("d2", "s"), ("d2", "s2")]
            return [
                registry.was_rolled_back(connection, data, settings) for data, settings in asked
            ]

    # Promoting another by hand takes a version back as much as a rollback does.
    assert remembered() == [False, False, True]
    record(database, "rolled_back", taken_back, first)
    assert remembered() == [False, True, True]


def test_the_ledger_lists_newest_first_and_of_one_version_where_asked(database: Database) -> None:
    promote_three(database)
    with reading(database.engine) as connection:
        everything = registry.list_moves(connection)
        of_eight = registry.list_moves(connection, 8)
        of_one = registry.list_moves(connection, 1)
    assert [move.verdict for move in everything] == [
        "blocked",
        "promoted",
        "unpinned",
        "pinned",
        "not_better",
        "promoted",
        "promoted",
    ]
    assert [move.verdict for move in of_eight] == ["blocked"]
    assert [(move.from_version, move.to_version) for move in of_one] == [(1, 2), (None, 1)]
    assert everything[0].verdict_figures == FIGURES
    assert everything[0].decided_at.utcoffset().total_seconds() == 0


# ---- versions
# --------------------------------------------------------------------------------------------------


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
        assert registry.as_features(found.features) == FEATURES


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
# --------------------------------------------------------------------------------------------------


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
