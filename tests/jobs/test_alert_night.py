"""A night that goes wrong twice, as whoever is on call hears of it: real pulls from a PostgreSQL that asks for a
password, and a receiver that takes what it is sent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pima.store.engine import writing
from pima.store.runs import start_run
from tests.image.loopback_postgresql import Server, postgresql_on_loopback
from tests.support.alert_receiver import AlertReceiver
from tests.support.clinic import KINDS, TABLE, URL, Clinic, engine_of
from tests.support.databases import Database, call

RIGHT, WRONG = "Canary-right", "Canary-wrong"


@pytest.fixture
def guarded() -> Iterator[Server]:
    with postgresql_on_loopback() as server:
        server.psql("-c", f"CREATE ROLE doctor SUPERUSER LOGIN PASSWORD '{RIGHT}'")
        yield server


def _url(server: Server, password: str) -> str:
    return f"postgresql+psycopg://doctor:{password}@127.0.0.1:{server.port}/postgres"


def _pull(database: Database, clinic: Clinic, url: str) -> int:
    """As a scheduler starts it at its next tick."""
    tick = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=database.value("SELECT count(*) FROM runs"))
    with writing(database.engine) as connection:
        run_id = start_run(connection, "pull", "schedule", tick, "here")
    return clinic.pull(database, "--run-id", str(run_id), **{URL: url}).exit_code


def test_a_mended_source_that_breaks_otherwise_is_told_at_once(
    sqlite: Database, guarded: Server, listener: AlertReceiver, tmp_path: Path
) -> None:
    right = _url(guarded, RIGHT)
    clinic = Clinic("postgresql", right, engine_of(right), tmp_path)
    clinic.execute(TABLE.format(**KINDS["postgresql"]))
    clinic.execute("CREATE VIEW seen AS SELECT * FROM visits")
    clinic.settings["table"] = "seen"
    clinic.insert(5)

    def look() -> None:
        ended = call(sqlite, "alert", "--config", clinic.config, PIMA_ALERTS__URLS=listener.url)
        assert ended.exit_code == 0, ended.stderr

    for url, exit_code in ((_url(guarded, WRONG), 2), (right, 0)):
        assert _pull(sqlite, clinic, url) == exit_code
        look()
    clinic.execute("ALTER VIEW seen RENAME TO seen_before")
    assert _pull(sqlite, clinic, right) == 2
    look()
    clinic.engine.dispose()
    assert listener.titles == ["pull_failed:clinic", "pull_failed:clinic is over", "pull_failed:clinic"]
    for broken in (listener.got[0], listener.got[2]):
        assert broken["message"].startswith("The last pull of clinic failed (source_unusable) ")
    assert "Canary" not in str(listener.got)
