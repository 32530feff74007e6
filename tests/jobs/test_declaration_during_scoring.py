"""A declaration that is changed while a scoring run is under way: no row is judged by rules that no longer hold."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from pima.process.recorded_run import OpenRun
from pima.process.stopping import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.store import queue, registry
from pima.store.engine import writing
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.declared import DECLARED, redeclared

WIDER, NARROWER = (DECLARED.replace("high = 20\n", f"high = {high}\n") for high in (30, 2))
BATCHES_OF_TWO = ScoreOptions(batch_rows=2)


@contextmanager
def _with_the_first_batch(database: Database, action: threading.Thread, behind_it: bool) -> Iterator[None]:
    """Begin the action where the first batch is about to be committed, or behind it; go on once it ended or waits."""
    committing: list[Connection] = []

    def act() -> None:
        if action.ident is None:
            action.start()
            _until_it_ended_or_waits(database, action)

    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("pima_writes"):
            committing.append(connection)
            if not behind_it:
                act()

    def checkin(*_: object) -> None:
        if committing and behind_it:
            act()

    event.listen(database.engine, "commit", commit)
    event.listen(database.engine, "checkin", checkin)
    yield
    event.remove(database.engine, "commit", commit)
    event.remove(database.engine, "checkin", checkin)
    action.join()


def _until_it_ended_or_waits(database: Database, action: threading.Thread) -> None:
    if database.kind == "sqlite":
        action.join()  # nobody holds the write lock yet
        return
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until = time.monotonic() + PATIENCE_SECONDS
    while action.is_alive() and not database.value(waiting):
        assert time.monotonic() < until
        time.sleep(0.02)


def _score(database: Database) -> None:
    score_queue(database.engine, OpenRun(0), BATCHES_OF_TWO, StopRequest())


def _ended_as(database: Database) -> tuple[int, int, int]:
    tables = ("predictions", "rejections", "scoring_queue")
    predicted, rejected, waiting = (database.value(f"SELECT count(*) FROM {table}") for table in tables)
    return predicted, rejected, waiting


@pytest.mark.parametrize(
    ("declared", "creatinine", "at_its_end", "after_another"),
    [(WIDER, 25, (4, 0, 2), (6, 0, 0)), (NARROWER, 15, (2, 4, 0), (2, 4, 0))],
)
def test_a_run_takes_other_rules_from_its_next_batch_on(
    declared_database: Database,
    tmp_path: Path,
    declared: str,
    creatinine: int,
    at_its_end: tuple[int, int, int],
    after_another: tuple[int, int, int],
) -> None:
    for _ in range(6):
        declared_database.execute(
            'INSERT INTO patients ("order", creatinine) VALUES (3, :value)', {"value": creatinine}
        )
    change = threading.Thread(target=redeclared, args=(declared_database, tmp_path, declared))
    with _with_the_first_batch(declared_database, change, behind_it=True):
        _score(declared_database)
    assert _ended_as(declared_database) == at_its_end
    _score(declared_database)
    assert _ended_as(declared_database) == after_another


def test_a_change_waits_for_the_batch_that_is_judged_by_the_old_rules(
    declared_database: Database, tmp_path: Path
) -> None:
    declared_database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 25), (3, 25), (3, 25)')
    change = threading.Thread(target=redeclared, args=(declared_database, tmp_path, WIDER))
    if declared_database.kind == "sqlite":
        _score(declared_database)  # its writers come one after the other
        change.start()
        change.join()
    else:
        with _with_the_first_batch(declared_database, change, behind_it=False):
            _score(declared_database)
    _score(declared_database)
    assert _ended_as(declared_database) == (3, 0, 0)


def test_a_clinics_transaction_that_reads_and_then_writes_is_waited_for(
    declared_database: Database, tmp_path: Path
) -> None:
    database = declared_database
    change = threading.Thread(target=redeclared, args=(database, tmp_path, WIDER))
    with writing(database.engine) as connection:
        connection.execute(text("SELECT count(*) FROM patients"))
        change.start()
        if database.kind == "postgresql":
            _until_it_ended_or_waits(database, change)
        connection.execute(text('INSERT INTO patients ("order", creatinine) VALUES (3, 25)'))
    change.join()
    assert database.value("SELECT count(*) FROM declarations") == 2
    _score(database)
    assert _ended_as(database) == (1, 0, 0)


def test_a_promotion_that_looks_for_what_its_version_can_score_comes_before_or_behind_the_change(
    declared_database: Database, tmp_path: Path
) -> None:
    """Each looks at rejected rows by what the other changes."""
    database = declared_database
    change = threading.Thread(target=redeclared, args=(database, tmp_path, WIDER))
    with writing(database.engine) as connection:
        registry.lock_champion(connection)
        change.start()
        if database.kind == "postgresql":
            _until_it_ended_or_waits(database, change)
        assert database.value("SELECT count(*) FROM declarations") == 1
        queue.requeue_rejected(connection)
    change.join()
    assert database.value("SELECT count(*) FROM declarations") == 2
