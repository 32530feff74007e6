"""What the ledger of decisions answers."""

import pytest

from pima.store.engine import reading
from pima.store.models import ledger
from tests.support.databases import Database
from tests.support.versions import FIGURES, add_version, record


def version_before(database: Database, number: int) -> int | None:
    with reading(database.engine) as connection:
        return ledger.version_before(connection, number)


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


def test_the_verdict_of_the_same_data_settings_and_champion_is_found_again(
    database: Database,
) -> None:
    record(database, "not_better", 1, 1, data="d", settings="s", explanation="first")
    record(database, "promoted", 1, 2, data="d", settings="s", explanation="second")
    record(database, "promoted", None, 1, data="d", settings="s", explanation="without a champion")
    record(database, "pinned", 1, 1, explanation="by hand")
    with reading(database.engine) as connection:

        def found(data: str, settings: str, against: int | None) -> str | None:
            row = ledger.recorded_verdict(connection, data, settings, against)
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
            return [ledger.was_rolled_back(connection, data, settings) for data, settings in asked]

    # Promoting another by hand takes a version back as much as a rollback does.
    assert remembered() == [False, False, True]
    record(database, "rolled_back", taken_back, first)
    assert remembered() == [False, True, True]


def test_the_ledger_lists_newest_first_and_of_one_version_where_asked(database: Database) -> None:
    promote_three(database)
    with reading(database.engine) as connection:
        everything = ledger.list_moves(connection)
        of_eight = ledger.list_moves(connection, 8)
        of_one = ledger.list_moves(connection, 1)
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
    assert everything[0].figures == FIGURES
    assert everything[0].decided_at.utcoffset().total_seconds() == 0
