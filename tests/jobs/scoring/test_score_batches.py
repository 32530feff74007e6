"""A batch is claimed and written in one transaction, and an error of either worker is the run's.

Batches that can't be written lean on a trigger of somebody else's on `predictions`, `rejections` or
`runs`.
"""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from pima.errors import DatabaseFailed
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.scored_once import assert_each_once, insert_mostly_sound
from tests.support.trained import install_models


@pytest.mark.judge
def test_an_error_of_the_helping_worker_is_the_runs(postgresql: Database, trained: Path) -> None:
    """The helper's first statement fails, and the other worker's second batch waits until it
    has."""
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql, 2_000)
    mine, failed = threading.current_thread(), threading.Event()
    batches_begun: list[Connection] = []

    @event.listens_for(postgresql.engine, "begin")
    def fail_the_helper(connection: Connection) -> None:
        if threading.current_thread() is not mine:
            try:
                connection.exec_driver_sql("SELECT 1 / 0")
            finally:
                failed.set()
        elif connection.get_execution_options().get("pima_writes"):
            batches_begun.append(connection)
            assert len(batches_begun) == 1 or failed.wait(50)

    run = OpenRun(0)
    with pytest.raises(DatabaseFailed, match="22012"):
        score_queue(postgresql.engine, run, ScoreOptions(batch_rows=100, workers=2), StopRequest())
    event.remove(postgresql.engine, "begin", fail_the_helper)
    assert 100 <= run.counts["claimed"] <= 2_000
    assert_each_once(postgresql, 2_000, waiting=2_000 - run.counts["claimed"])


@pytest.mark.judge
def test_an_error_of_a_later_batch_is_the_runs(scored_database: Database) -> None:
    insert_patients(scored_database, 6, first_id=1)
    _refuse(scored_database, "predictions", "NEW.patient_id = 4")
    ended = call(scored_database, "score", "--json", "--batch-size", "2")
    assert ended.exit_code == 1, ended.stderr
    assert the_json(ended)["error"] == "database_failed"
    assert scored_database.value("SELECT count(*) FROM predictions") == the_json(ended)["claimed"]
    assert {3, 4} <= {
        patient for (patient,) in scored_database.execute("SELECT patient_id FROM scoring_queue")
    }
    assert scored_database.value("SELECT status FROM runs") == "failed"


@pytest.mark.judge
@pytest.mark.parametrize("table", ["predictions", "rejections", "runs"])
def test_a_batch_of_which_anything_can_not_be_written_waits_again(
    scored_database: Database, table: str
) -> None:
    insert_patients(scored_database, 3)
    insert_patients(scored_database, 1, age=None)
    queued = "SELECT patient_id, patient_version FROM scoring_queue ORDER BY patient_id"
    before = scored_database.execute(queued)
    _refuse(
        scored_database,
        table,
        "NEW.model_version IS NOT NULL" if table == "runs" else "NEW.run_id IS NOT NULL",
    )
    ended = scored_database.run("score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "database_failed")
    assert scored_database.execute(queued) == before
    for written in ("predictions", "rejections"):
        assert scored_database.value(f"SELECT count(*) FROM {written}") == 0


def _refuse(database: Database, table: str, when: str) -> None:
    """Something of the clinic's own: no such row may be written there, and of a run nothing about
    its progress."""
    what = "UPDATE" if table == "runs" else "INSERT"
    if database.kind == "sqlite":
        # By an index, since a trigger would be refused at the start: the smallest integer has no
        # absolute value.
        refused = f"abs(CASE WHEN {when.replace('NEW.', '')} THEN -9223372036854775808 ELSE 0 END)"
        database.execute(f"CREATE INDEX someone_elses ON {table} ({refused})")
        return
    database.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no';
            END $$""")
    database.execute(f"""
        CREATE TRIGGER someone_elses AFTER {what} ON {table} FOR EACH ROW
            WHEN ({when}) EXECUTE FUNCTION refuse()""")
