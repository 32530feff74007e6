"""Looking for lost versions on PostgreSQL: found in ranges of ids, by several processes, and queued as ever."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from pima.store import queue
from pima.store.engine import writing
from tests.support.databases import Database, insert_patients
from tests.support.rows import predict


def requeue(database: Database, settings: str = "") -> int:
    with writing(database.engine) as connection:
        if settings:
            connection.execute(text(settings))
        return queue.requeue_lost(connection)


def lose(database: Database, *ids: int) -> None:
    for patient_id in ids:
        insert_patients(database, 1, first_id=patient_id)
        database.execute("DELETE FROM scoring_queue WHERE patient_id = :id", {"id": patient_id})


def behind_the_look(connection: Connection, meanwhile: Callable[[], None]) -> list[str]:
    """Has something happen once the ranges have been looked through; the statement that did will stand in the list."""
    looked: list[str] = []

    @event.listens_for(connection, "after_cursor_execute")
    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "UNION ALL SELECT p.id" in statement:
            looked.append(statement)
            meanwhile()

    return looked


def waiting(database: Database) -> list[int]:
    return [row[0] for row in database.execute("SELECT patient_id FROM scoring_queue ORDER BY 1")]


def test_among_no_patients_nothing_is_lost(database: Database) -> None:
    assert requeue(database) == 0


@pytest.mark.parametrize("ids", [[1], [2**62], [1, 2, 2**62], [*range(90, 130)]])
def test_a_lost_row_is_found_wherever_its_id_lies(database: Database, ids: list[int]) -> None:
    lose(database, *ids)
    assert requeue(database) == len(ids)
    assert waiting(database) == ids


def test_so_many_that_they_stay_in_the_database(database: Database) -> None:
    database.execute(
        """INSERT INTO patients (glucose)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) SELECT 100 FROM n"""
    )
    every = waiting(database)
    database.execute("DELETE FROM scoring_queue")
    assert requeue(database) == 6000
    assert waiting(database) == every


def test_what_is_queued_or_scored_between_looking_and_queuing_is_left(postgresql: Database) -> None:
    """Another requeue, and a night behind it, may come in between."""
    lose(postgresql, 1, 2, 3)
    with writing(postgresql.engine) as connection:
        looked = behind_the_look(connection, lambda: predict(postgresql, 2))
        assert queue.requeue_lost(connection) == 2
    assert looked
    assert waiting(postgresql) == [1, 3]


def test_the_server_hands_the_ranges_out(postgresql: Database) -> None:
    lose(postgresql, *range(1, 20))
    with writing(postgresql.engine) as connection:
        looked = behind_the_look(connection, lambda: None)
        queue.requeue_lost(connection)
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {looked[0]}")))
    assert "Parallel Append" in plan


@pytest.mark.parametrize("setting", ["max_parallel_workers = 0", "max_parallel_workers_per_gather = 0"])
def test_one_process_finds_them_too(postgresql: Database, setting: str) -> None:
    lose(postgresql, 1, 2, 3)
    assert requeue(postgresql, f"SET LOCAL {setting}") == 3
