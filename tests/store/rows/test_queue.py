"""Claiming from the queue, alone and against others, and putting back what fell out of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, event, text

from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.predictions import Batch
from pima.store.rows import queue
from pima.store.rows.queue import Requeued
from pima.store.urls import make_engine
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    insert_many,
    insert_patients,
    until_someone_waits_for_a_lock,
)
from tests.support.rows import predict
from tests.support.shipped import FEATURE_NAMES, SOUND
from tests.support.versions import add_version

Entry = tuple[int, int]
"""Patient id and version."""


def entries(batch: Batch) -> list[Entry]:
    return sorted(zip(batch.patient_ids.tolist(), batch.patient_versions.tolist(), strict=True))


def claim(engine: Engine, after: int = 0, rows: int = 1000) -> list[Entry]:
    """Claim in a transaction of its own, which commits."""
    with writing(engine) as connection:
        return entries(
            database_of(connection).scoring.claim(connection, FEATURE_NAMES, after, rows)
        )


def waiting(database: Database) -> list[Entry]:
    return database.execute(
        "SELECT patient_id, patient_version FROM scoring_queue ORDER BY patient_id"
    )


def version(database: Database, patient_id: int) -> int:
    found: int = database.value("SELECT version FROM patients WHERE id = :id", {"id": patient_id})
    return found


def ids(found: list[Entry]) -> list[int]:
    return [patient_id for patient_id, _ in found]


# ---- one claimer


def test_a_claim_takes_the_lowest_ids_above_the_given_one_up_to_its_limit(
    database: Database,
) -> None:
    insert_patients(database, 8, first_id=11)
    database.execute(
        "UPDATE patients SET glucose = 90 WHERE id = 11"
    )  # its place is its id's, not its time's
    assert ids(claim(database.engine, after=0, rows=3)) == [11, 12, 13]
    assert ids(claim(database.engine, after=14, rows=2)) == [15, 16]
    assert ids(claim(database.engine, after=16)) == [17, 18]
    assert ids(claim(database.engine, after=16)) == []
    assert ids(claim(database.engine)) == [14]
    assert waiting(database) == []


def test_a_claim_brings_the_version_and_the_measurements_of_its_entry(database: Database) -> None:
    (patient_id,) = insert_patients(database, 1, bmi=None, insulin=None)
    with writing(database.engine) as connection:
        batch = database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 10)
    assert entries(batch) == [(patient_id, version(database, patient_id))]
    assert len(batch) == len(batch.measurements) == 1
    values = dict(zip(FEATURE_NAMES, batch.measurements.values[0].tolist(), strict=True))
    is_null = dict(zip(FEATURE_NAMES, batch.measurements.is_null[0].tolist(), strict=True))
    assert {name for name in FEATURE_NAMES if is_null[name]} == {"bmi", "insulin"}
    measured = {name: value for name, value in values.items() if not is_null[name]}
    assert measured == {name: SOUND[name] for name in measured}


def test_an_empty_queue_gives_an_empty_batch(database: Database) -> None:
    with writing(database.engine) as connection:
        batch = database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 10)
    assert len(batch) == 0
    assert (
        batch.measurements.values.shape
        == batch.measurements.is_null.shape
        == (0, len(FEATURE_NAMES))
    )


def test_null_is_kept_apart_from_what_is_no_number(postgresql: Database) -> None:
    postgresql.execute(
        "INSERT INTO patients (glucose, insulin, bmi) VALUES ('NaN', NULL, '-Infinity')"
    )
    with writing(postgresql.engine) as connection:
        measurements = (
            database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 10).measurements
        )
    glucose, insulin, bmi = (FEATURE_NAMES.index(name) for name in ("glucose", "insulin", "bmi"))
    assert measurements.is_null[0, [glucose, insulin, bmi]].tolist() == [False, True, False]
    assert np.isnan(measurements.values[0, glucose])
    assert measurements.values[0, bmi] == -np.inf


def test_every_number_arrives_as_it_was_written(database: Database) -> None:
    drawn = np.random.default_rng(1)
    values = np.frombuffer(drawn.bytes(8 * 300), dtype=np.float64)
    values = values[np.isfinite(values)]
    names = ("glucose", "age")
    with writing(database.engine) as connection:
        statement = text(f"INSERT INTO patients ({', '.join(names)}) VALUES (:glucose, :age)")
        connection.execute(
            statement, [{"glucose": value, "age": -value} for value in values.tolist()]
        )
    with writing(database.engine) as connection:
        batch = database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 1000)
    found = [batch.measurements.values[:, FEATURE_NAMES.index(name)] for name in names]
    assert (found[0] == values).all()
    assert (found[1] == -values).all()
    assert (batch.measurements.is_null.sum(axis=1) == len(FEATURE_NAMES) - len(names)).all()


def test_the_queues_state_for_people(database: Database) -> None:
    with reading(database.engine) as connection:
        assert queue.is_empty(connection)
        assert queue.waiting(connection) == queue.Waiting(0, None)
    insert_patients(database, 2)
    database.execute(
        "UPDATE scoring_queue SET enqueued_at = '2001-01-01T00:00:00.000Z' WHERE patient_id = 2"
    )
    with reading(database.engine) as connection:
        assert not queue.is_empty(connection)
        found = queue.waiting(connection)
    assert found.rows == 2
    assert found.oldest is not None
    assert found.oldest.isoformat() == "2001-01-01T00:00:00+00:00"


# ---- against others


@pytest.mark.parametrize(
    ("held", "left_for_the_next"),
    [
        ("UPDATE patients SET glucose = 150 WHERE id IN (2, 3)", [2, 3]),
        ("UPDATE patients SET outcome = 1 WHERE id IN (2, 3)", []),
        ("DELETE FROM patients WHERE id IN (2, 3)", []),
        ("DELETE FROM scoring_queue WHERE patient_id IN (2, 3)", []),
        ("SELECT 1 FROM scoring_queue WHERE patient_id IN (2, 3) FOR UPDATE", [2, 3]),
    ],
)
@pytest.mark.parametrize("commits", [True, False])
def test_a_claim_skips_what_an_open_transaction_holds(
    postgresql: Database, held: str, left_for_the_next: list[int], commits: bool
) -> None:
    insert_patients(postgresql, 6)
    before = waiting(postgresql)
    with postgresql.engine.connect() as someone:
        someone.execute(text(held))
        someone.execute(text("INSERT INTO patients (id, glucose) VALUES (99, 100)"))
        with writing(postgresql.engine) as connection:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            # The limit counts what can be had, and not what is skipped.
            assert ids(
                entries(database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 3))
            ) == [1, 4, 5]
            assert ids(
                entries(database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 3))
            ) == [6]
            assert len(database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 3)) == 0
        (someone.commit if commits else someone.rollback)()
    if not commits:
        assert claim(postgresql.engine) == before[1:3]
        return
    assert claim(postgresql.engine) == [
        (patient_id, version(postgresql, patient_id)) for patient_id in [*left_for_the_next, 99]
    ]


def test_a_row_that_is_committed_after_later_ones_were_taken_waits(postgresql: Database) -> None:
    with postgresql.engine.connect() as someone:
        someone.execute(text("INSERT INTO patients (glucose) VALUES (100)"))
        insert_patients(postgresql, 2)
        assert ids(claim(postgresql.engine)) == [2, 3]
        someone.commit()
    assert ids(claim(postgresql.engine)) == [1]


@pytest.mark.judge
def test_a_claim_does_not_see_another_open_claim_on_the_same_rows(postgresql: Database) -> None:
    insert_patients(postgresql, 6)
    with writing(postgresql.engine) as first, writing(postgresql.engine) as second:
        second.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert ids(entries(database_of(first).scoring.claim(first, FEATURE_NAMES, 0, 2))) == [1, 2]
        assert ids(entries(database_of(second).scoring.claim(second, FEATURE_NAMES, 0, 2))) == [
            3,
            4,
        ]
        assert ids(entries(database_of(first).scoring.claim(first, FEATURE_NAMES, 0, 2))) == [5, 6]


@pytest.mark.parametrize("claimer_commits", [True, False])
def test_a_correction_of_a_row_that_is_being_scored_waits_again(
    postgresql: Database, claimer_commits: bool
) -> None:
    insert_patients(postgresql, 2)
    with ThreadPoolExecutor(1) as threads, postgresql.engine.connect() as scorer:
        claimed = entries(database_of(scorer).scoring.claim(scorer, FEATURE_NAMES, 0, 10))
        correction = threads.submit(
            postgresql.execute, "UPDATE patients SET glucose = 90 WHERE id = 1"
        )
        until_someone_waits_for_a_lock(postgresql)
        (scorer.commit if claimer_commits else scorer.rollback)()
        correction.result(timeout=PATIENCE_SECONDS)
    corrected = (1, version(postgresql, 1))
    assert corrected not in claimed
    assert waiting(postgresql) == ([corrected] if claimer_commits else [corrected, claimed[1]])
    assert postgresql.value("SELECT glucose FROM scoring_queue WHERE patient_id = 1") == 90


@pytest.mark.judge
def test_two_claimers_at_once_share_the_queue(database: Database) -> None:
    rows, batch = (2000, 40) if database.kind == "sqlite" else (5000, 50)
    insert_many(database, rows)
    expected = waiting(database)
    together = threading.Barrier(2)

    def drain() -> list[Entry]:
        engine = make_engine(database.url, DatabaseSettings())
        found: list[Entry] = []
        together.wait(timeout=PATIENCE_SECONDS)
        while claimed := claim(engine, rows=batch):
            found += claimed
        engine.dispose()
        return found

    with ThreadPoolExecutor(2) as threads:
        first, second = [
            running.result(timeout=PATIENCE_SECONDS)
            for running in [threads.submit(drain) for _ in range(2)]
        ]
    assert sorted(first + second) == expected
    assert waiting(database) == []


# ---- putting back


def insert_lost(database: Database) -> int:
    """A row that no trigger has put on the queue."""
    (patient_id,) = insert_patients(database, 1)
    take_off(database, patient_id)
    return patient_id


def lose_a_correction(database: Database, patient_id: int) -> None:
    """Correct a row, and let no trigger touch the queue for it."""
    with writing(database.engine) as connection:
        row = {"id": patient_id}
        connection.execute(text("CREATE TEMPORARY TABLE kept AS SELECT * FROM scoring_queue"))
        connection.execute(text("UPDATE patients SET glucose = 90 WHERE id = :id"), row)
        connection.execute(text("DELETE FROM scoring_queue"))
        connection.execute(text("INSERT INTO scoring_queue SELECT * FROM kept"))
        connection.execute(text("DROP TABLE kept"))


def insert_scored(database: Database, *models: int) -> int:
    """A row that these models have predicted."""
    (patient_id,) = insert_patients(database, 1)
    take_off(database, patient_id)
    for model in models:
        predict(database, patient_id, model)
    return patient_id


def insert_rejected(database: Database) -> int:
    (patient_id,) = insert_patients(database, 1)
    take_off(database, patient_id)
    database.execute(
        """INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
        VALUES (:id, :version, 1, 'out_of_range', 'age')""",
        {"id": patient_id, "version": version(database, patient_id)},
    )
    return patient_id


def take_off(database: Database, patient_id: int) -> None:
    database.execute("DELETE FROM scoring_queue WHERE patient_id = :id", {"id": patient_id})


def label(database: Database, patient_id: int) -> int:
    database.execute("UPDATE patients SET outcome = 1 WHERE id = :id", {"id": patient_id})
    return patient_id


def make_champion(database: Database, number: int) -> None:
    for _ in range(number):
        add_version(database)
    with writing(database.engine) as connection:
        registry.set_champion(connection, number, pinned=False)


def current(database: Database, *patient_ids: int) -> list[Entry]:
    return sorted((patient_id, version(database, patient_id)) for patient_id in patient_ids)


def requeued(database: Database, how: Callable[[Connection], Requeued]) -> int:
    """How many it puts on the queue while nobody else is there."""
    with writing(database.engine) as connection:
        found = how(connection)
    assert found.skipped == 0
    return found.requeued


def test_requeue_takes_what_was_lost_and_nothing_else(database: Database) -> None:
    lost, (queued,) = insert_lost(database), insert_patients(database, 1)
    older_predicted, older_rejected = insert_scored(database, 1), insert_rejected(database)
    for patient_id in (older_predicted, older_rejected):
        lose_a_correction(database, patient_id)
    for models in ((1,), (1, 2)):
        insert_scored(database, *models)
    insert_rejected(database)
    label(database, insert_lost(database))
    before = waiting(database)
    assert ids(before) == [queued]
    assert requeued(database, queue.requeue_lost) == 3
    assert waiting(database) == sorted(
        [*before, *current(database, lost, older_predicted, older_rejected)]
    )
    assert (
        database.value(
            "SELECT glucose FROM scoring_queue WHERE patient_id = :id", {"id": older_predicted}
        )
        == 90
    )
    assert requeued(database, queue.requeue_lost) == 0


def test_requeue_takes_a_lost_correction_whose_earlier_version_still_waits(
    database: Database,
) -> None:
    (patient_id,) = insert_patients(database, 1)
    earlier = waiting(database)
    lose_a_correction(database, patient_id)
    assert waiting(database) == earlier != current(database, patient_id)
    assert requeued(database, queue.requeue_lost) == 1
    assert waiting(database) == current(database, patient_id)
    assert database.value("SELECT glucose FROM scoring_queue") == 90


def test_requeue_stale_takes_what_todays_champion_has_not_predicted(database: Database) -> None:
    make_champion(database, 2)
    stale, both_but_older = insert_scored(database, 1), insert_scored(database, 1, 2)
    lose_a_correction(database, both_but_older)
    never = insert_lost(database)
    (queued,) = insert_patients(database, 1)
    for models in ((2,), (1, 2)):
        insert_scored(database, *models)
    insert_rejected(database)
    label(database, insert_scored(database, 1))
    before = waiting(database)
    assert ids(before) == [queued]
    assert requeued(database, queue.requeue_stale) == 3
    assert waiting(database) == sorted([*before, *current(database, stale, both_but_older, never)])


def test_requeue_rejected_takes_rejections_back_and_never_leaves_one_beside_a_queue_entry(
    database: Database,
) -> None:
    rejected = [insert_rejected(database), insert_rejected(database)]
    labelled = label(database, insert_rejected(database))
    corrected = insert_rejected(database)
    database.execute("UPDATE patients SET glucose = 90 WHERE id = :id", {"id": corrected})
    corrected_and_scored = insert_rejected(database)
    database.execute(
        "UPDATE patients SET glucose = 90 WHERE id = :id", {"id": corrected_and_scored}
    )
    take_off(database, corrected_and_scored)
    insert_scored(database, 1)
    deleted = insert_rejected(database)
    database.execute("DELETE FROM patients WHERE id = :id", {"id": deleted})
    before = waiting(database)
    assert ids(before) == [corrected]
    assert requeued(database, queue.requeue_rejected) == 2
    assert waiting(database) == sorted([*before, *current(database, *rejected)])
    both = """SELECT count(*) FROM rejections r JOIN scoring_queue q
              ON q.patient_id = r.patient_id AND q.patient_version = r.patient_version"""
    assert database.value(both) == 0
    kept = database.execute("SELECT patient_id FROM rejections ORDER BY patient_id")
    assert [row[0] for row in kept] == [labelled, corrected, corrected_and_scored, deleted]
    assert requeued(database, queue.requeue_rejected) == 0


def requeue(database: Database, settings: str = "") -> int:
    with writing(database.engine) as connection:
        if settings:
            connection.execute(text(settings))
        return queue.requeue_lost(connection).requeued


def lose(database: Database, *lost: int) -> None:
    for patient_id in lost:
        insert_patients(database, 1, first_id=patient_id)
        database.execute("DELETE FROM scoring_queue WHERE patient_id = :id", {"id": patient_id})


def behind_the_look(connection: Connection, meanwhile: Callable[[], None]) -> list[str]:
    """Has something happen once the ranges have been looked through; the statement that did will
    stand in the list."""
    looked: list[str] = []

    @event.listens_for(connection, "after_cursor_execute")
    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "UNION ALL SELECT p.id" in statement:
            looked.append(statement)
            meanwhile()

    return looked


def test_a_lost_row_is_found_wherever_its_id_lies(database: Database) -> None:
    assert requeue(database) == 0  # among no patients
    for lost in ([2**62], [1, 2], [*range(90, 130)]):
        lose(database, *lost)
        assert requeue(database) == len(lost)
    assert ids(waiting(database)) == [1, 2, *range(90, 130), 2**62]


def test_so_many_that_they_stay_in_the_database(database: Database) -> None:
    database.execute(
        """INSERT INTO patients (glucose)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) SELECT 100
            FROM n"""
    )
    every = ids(waiting(database))
    database.execute("DELETE FROM scoring_queue")
    assert requeue(database) == 6000
    assert ids(waiting(database)) == every


def test_what_is_queued_or_scored_between_looking_and_queuing_is_left(postgresql: Database) -> None:
    """Another requeue, and a night behind it, may come in between."""
    lose(postgresql, 1, 2, 3)
    with writing(postgresql.engine) as connection:
        looked = behind_the_look(connection, lambda: predict(postgresql, 2))
        assert queue.requeue_lost(connection) == Requeued(2, 0)
    assert looked
    assert ids(waiting(postgresql)) == [1, 3]


def test_the_server_hands_the_ranges_out(postgresql: Database) -> None:
    lose(postgresql, *range(1, 20))
    with writing(postgresql.engine) as connection:
        looked = behind_the_look(connection, lambda: None)
        queue.requeue_lost(connection)
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {looked[0]}")))
    assert "Parallel Append" in plan


def test_one_process_finds_them_too(postgresql: Database) -> None:
    lose(postgresql, 1, 2, 3)
    assert requeue(postgresql, "SET LOCAL max_parallel_workers = 0") == 3
