"""Waiting for what must come, however long it takes."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import text

from pima.store.engine import reading
from tests.support.databases import PATIENCE_SECONDS, Database


def until_someone_waits_for_a_lock(database: Database) -> None:
    """Return once a session of this database waits for another's lock."""
    statement = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    until = time.monotonic() + PATIENCE_SECONDS
    while not database.value(statement):
        assert time.monotonic() < until, "nobody waits"
        time.sleep(0.005)


def until_it_tries_again(process: subprocess.Popen[str]) -> None:
    """Return once it has met what another transaction holds, and has given all back."""
    assert process.stderr is not None
    assert any("tried again" in line for line in process.stderr), "it ended without"


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until the condition holds, as long as the process lives."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def held_in_the_middle(database: Database, process: subprocess.Popen[str], predicted: range) -> Iterator[None]:
    """Hold whoever scores once so many rows are predicted: nobody commits a batch until the block ends."""
    until = time.monotonic() + PATIENCE_SECONDS
    found = 0
    while found not in predicted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        assert found < predicted.stop, f"{found} rows were predicted before anybody looked"
        time.sleep(0.005)
        with reading(database.engine) as connection:
            if database.kind == "postgresql":
                connection.execute(text("LOCK TABLE runs IN SHARE MODE"))  # each batch writes its counts there
            found = connection.execute(text("SELECT count(*) FROM predictions")).scalar_one()
            if found in predicted:
                assert process.poll() is None, process.communicate()
                yield
