"""What a database or a role defaults to for its transactions is nothing to ours: each says its own."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine, reading, writing
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.scored_once import assert_each_once, insert_mostly_sound
from tests.support.session_defaults import default_to
from tests.support.shipped import SHIPPED
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("equal_fits_once")

REPEATABLE_READ = {"default_transaction_isolation": "repeatable read"}
ALL_AT_ONCE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
}


# ---- the transactions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defaults", [REPEATABLE_READ, ALL_AT_ONCE], ids=["repeatable read", "all at once"])
@pytest.mark.parametrize("whose", ["DATABASE {database}", "ROLE {role} IN DATABASE {database}"])
def test_each_transaction_says_its_own_isolation_and_whether_it_writes(
    postgresql: Database, defaults: dict[str, str], whose: str
) -> None:
    default_to(postgresql, defaults, whose)
    shown = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
    for transaction, read_only in ((reading, "on"), (writing, "off"), (reading, "on")):
        with transaction(postgresql.engine) as connection:
            assert connection.execute(text(shown)).one() == ("read committed", read_only)
            for name, value in defaults.items():  # the defaults stay as they are for whoever else uses the session
                assert connection.scalar(text(f"SHOW {name}")) == value
    postgresql.execute("INSERT INTO patients (glucose) VALUES (100)")
    assert postgresql.value("SELECT count(*) FROM patients") == 1


def test_connecting_waits_for_nobody_where_transactions_are_deferrable(postgresql: Database) -> None:
    """A deferrable transaction's first statement waits until those of others end, without a time limit."""
    default_to(postgresql, ALL_AT_ONCE)
    asked = threading.Event()

    def ask() -> None:
        engine = make_engine(postgresql.url, DatabaseSettings())
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
        asked.set()
        engine.dispose()

    with postgresql.engine.connect().execution_options(isolation_level="SERIALIZABLE") as clinic:
        clinic.execute(text("INSERT INTO patients (glucose) VALUES (100)"))
        thread = threading.Thread(target=ask)
        thread.start()
        in_time = asked.wait(60)
        clinic.rollback()
        thread.join()
    assert in_time


def test_neither_a_pause_nor_a_long_transaction_ends_a_session(postgresql: Database) -> None:
    settings = ("idle_session_timeout", "transaction_timeout")
    known = "SELECT count(*) FROM pg_settings WHERE name = :name"
    default_to(postgresql, {name: "3s" for name in settings if postgresql.value(known, {"name": name})})
    for transaction in (reading, writing):
        with transaction(postgresql.engine) as connection:
            for name in settings:
                assert connection.scalar(text(f"SELECT coalesce(current_setting('{name}', true), '0')")) == "0"
    with reading(postgresql.engine) as connection:
        session = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("SELECT pg_sleep(4)"))
        assert connection.scalar(text("SELECT pg_backend_pid()")) == session
    time.sleep(4)
    assert postgresql.value("SELECT pg_backend_pid()") == session


# ---- the jobs -------------------------------------------------------------------------------------------------------


def test_the_workers_of_a_run_and_of_another_do_not_fail_each_other(postgresql: Database, trained: Path) -> None:
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql, 4_000)
    default_to(postgresql, ALL_AT_ONCE)
    scorers = [postgresql.start("score", "--json", "--batch-size", "40", PIMA_SCORE__WORKERS="2") for _ in range(2)]
    ended = [scorer.communicate(timeout=120) for scorer in scorers]
    assert [scorer.returncode for scorer in scorers] == [0, 0], ended
    assert_each_once(postgresql, 4_000)


def test_a_model_is_trained_and_a_person_may_move_the_champion(postgresql: Database) -> None:
    default_to(postgresql, ALL_AT_ONCE)
    assert call(postgresql, "load", str(SHIPPED)).exit_code == 0
    ended = call(postgresql, "retrain", "--json", PIMA_GATE__APPROVE="true")
    assert ended.exit_code == 0, ended.stderr
    assert the_json(ended)["challenger"] == 1
    for job in (("models", "promote", "1", "--reason", "a try"), ("models", "list"), ("models", "show", "1")):
        assert call(postgresql, *job).exit_code == 0
    assert postgresql.value("SELECT model_version FROM champion") == 1


def test_a_schema_is_made_anew_and_lost_rows_are_queued_again(postgresql: Database) -> None:
    postgresql.remove_schema()
    default_to(postgresql, ALL_AT_ONCE)
    for job in (("migrate", "--roles"), ("migrate",)):
        ended = call(postgresql, *job)
        assert ended.exit_code == 0, ended.stderr
    insert_patients(postgresql, 3)
    postgresql.execute("DELETE FROM scoring_queue")
    assert the_json(call(postgresql, "requeue", "--json"))["requeued"] == 3
    for job in (("status",), ("requeue", "--stale"), ("requeue", "--rejected")):
        ended = call(postgresql, *job)
        assert ended.exit_code == 0, ended.stderr
    assert postgresql.value("SELECT count(*) FROM scoring_queue") == 3
