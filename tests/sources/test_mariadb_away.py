"""A clinic's MariaDB that goes away, or goes on, while it is read."""

import threading
import time

import pytest
from sqlalchemy import text

from tests.sources.mariadb_server import Server
from tests.sources.visits import change
from tests.support.clinic import Clinic
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.pulls import counts, refused


def test_a_server_that_is_down_is_for_later(sqlite: Database, clinic: Clinic, mariadb: Server) -> None:
    clinic.insert(3)
    clinic.engine.dispose()
    mariadb.stop()
    try:
        refused(sqlite, clinic, 75, "can't be reached", "2003")
    finally:
        mariadb.start()
    assert counts(clinic.pulled(sqlite)) == {"inserted": 3}


@pytest.fixture
def slow(clinic: Clinic) -> Clinic:
    """Its rows come no faster than one a second."""
    clinic.insert(30)
    clinic.execute("CREATE VIEW slow AS SELECT * FROM visits WHERE sleep(1 + 0 * age) = 0")
    clinic.settings["table"] = "slow"
    return clinic


@pytest.mark.parametrize("ended", ["KILL CONNECTION", "KILL QUERY"])
def test_a_source_that_goes_away_while_it_is_read_is_for_later(sqlite: Database, slow: Clinic, ended: str) -> None:
    thread = threading.Thread(target=_end_whoever_reads, args=(slow, ended))
    thread.start()
    refused(sqlite, slow, 75, "can't be reached or stopped answering")
    thread.join()
    assert sqlite.execute("SELECT status, error_code FROM runs") == [("try_again_later", "source_away")]
    slow.settings["table"] = "visits"
    assert counts(slow.pulled(sqlite)) == {"inserted": 30}


def _end_whoever_reads(clinic: Clinic, statement: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    with clinic.engine.connect() as connection:
        find = text("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'")
        while not (found := connection.execute(find).first()):
            assert time.monotonic() < until
            time.sleep(0.05)
        connection.execute(text(f"{statement} {found[0]}"))


def test_a_source_that_changes_while_it_is_read_is_read_as_it_was(sqlite: Database, clinic: Clinic) -> None:
    keys = sorted(clinic.insert(6))
    clinic.pulled(sqlite)
    clinic.execute("CREATE VIEW slow AS SELECT * FROM visits WHERE sleep(0.3 + 0 * age) = 0")
    clinic.settings["table"] = "slow"
    done = threading.Event()

    def change_the_last() -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        asked = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'"
        while not clinic.execute(asked)[0][0]:
            assert time.monotonic() < until
        change(clinic, keys[-1], age=77)
        done.set()

    thread = threading.Thread(target=change_the_last)
    thread.start()
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 6}
    assert done.is_set()
    thread.join()
    assert counts(clinic.pulled(sqlite)) == {"updated": 1, "unchanged": 5}
