"""A lease is held, and its run gives signs of life, as long as the work goes on."""

import time

from pima.process.leasing import only_one
from pima.store.engine import writing
from pima.store.runs import start_run
from tests.support.databases import PATIENCE_SECONDS, Database


def test_work_that_outlasts_its_lease_renews_it_and_says_that_it_lives(database: Database) -> None:
    with writing(database.engine) as connection:
        run_id = start_run(connection, "retrain", "manual", None, "here")
    assert run_id is not None

    def seen() -> tuple[object, object]:
        beat = database.value(f"SELECT heartbeat_at FROM runs WHERE id = {run_id}")
        return database.value("SELECT expires_at FROM leases WHERE name = 'retrain'"), beat

    with only_one(database.engine, "retrain", run_id, seconds=2):
        expires, beat = seen()
        until = time.monotonic() + PATIENCE_SECONDS
        while expires in seen() or beat in seen():
            assert time.monotonic() < until
            time.sleep(0.05)
