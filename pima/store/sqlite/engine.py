"""SQLite's file: which URLs name one, and the transactions on it."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL

from pima.errors import DatabaseBusy, WrongConfiguration
from pima.settings.sections import DatabaseSettings
from pima.store.urls import EXPECTED_OPTIONS, EXPECTED_URL

_OLDEST = (3, 38, 0)


def require_sound_url(url: URL, _text: str) -> None:
    """Raises WrongConfiguration where the URL names no file, or has options."""
    if url.database in (None, "", ":memory:"):
        raise WrongConfiguration(what="the database URL names no file", expected=EXPECTED_URL)
    if url.query:
        what = "the database URL has options behind a question mark"
        raise WrongConfiguration(what=what, expected=EXPECTED_OPTIONS)


def place(url: URL) -> Mapping[str, str]:
    """The file, wherever a relative path or a link leads by now."""
    return {"file": str(Path(url.database or "").resolve())}


def make_engine(url: URL, settings: DatabaseSettings) -> Engine:
    """An engine that begins its transactions itself, since the driver would begin them too late."""
    if sqlite3.sqlite_version_info < _OLDEST:
        expected = "SQLite 3.38 or later in this Python"
        raise WrongConfiguration(what=f"SQLite {sqlite3.sqlite_version} is too old", expected=expected)
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": settings.lock_timeout_seconds, "check_same_thread": False},
    )

    # The rollback journal stays: WAL in SQLite 3.7.0 to 3.51.2 can corrupt the file.
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("pima_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def insert_unless_there(table: Table, unique: Sequence[str]) -> Insert:
    """INSERT ... ON CONFLICT (...) DO NOTHING"""
    return insert(table).on_conflict_do_nothing(index_elements=unique)


def without_time_limit(_connection: Connection) -> None:
    """No statement has a limit here."""


def cursor(connection: Connection) -> Any:
    """The driver's tuples: SQLAlchemy's row objects cost more than reading a row."""
    return connection.connection.cursor()


def leave_no_trace(engine: Engine) -> None:
    """Make the file anew: what is deleted stays in free pages else, and what was replaced before, too."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM")
        # Where somebody has given the file a write-ahead log, all of that stands beside the file until it is moved.
        (is_busy, _, _) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    if is_busy:
        raise DatabaseBusy(what="another process reads the file as it was before, by its write-ahead log")
