"""How a process talks to its database: one engine, short transactions, time limits on everything.

Two kinds of transaction: `reading` never takes a write lock, `writing` takes SQLite's at once (BEGIN IMMEDIATE; two
deferred ones that both read first and write later would claim the same rows or fail in the middle). On PostgreSQL each
says its own isolation level and whether it writes, whatever database and role default to. The level is READ COMMITTED
also where one reads by several statements: what is decided upon them is asked again, under a lock, before the writing.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from pima.errors import WrongConfiguration
from pima.settings import DatabaseSettings
from pima.store.driver_errors import translated
from pima.store.types import database_now
from pima.store.urls import parse_url, require_verified_tls

OLDEST_SQLITE = (3, 38, 0)


def make_engine(url_text: str, settings: DatabaseSettings) -> Engine:
    """An engine for the URL; connects to nothing yet."""
    url = parse_url(url_text)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, settings)
    return _postgresql_engine(url, settings)


def _sqlite_engine(url: URL, settings: DatabaseSettings) -> Engine:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
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


# A server that has vanished without a word (a machine switched off, a firewall that forgot) is given up after a minute.
# One that is frozen still acknowledges what it is sent, and is waited for; a stop is obeyed all the same.
_VANISHED = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# Under another encoding a name can't be written, and under SQL_ASCII texts are read as bytes. PgBouncer knows this one.
_UTF8 = {"client_encoding": "utf8"}
# What a database or a role may set otherwise, and what then comes of it: the driver reads times in this style alone, a
# float's text lacks digits, a type's name comes in quotes, and a row that was scored before ends the session. What else
# a setting can change is not relied on: no backslash in a literal, no interval, no literal bytes.
_MEANINGS = {
    "DateStyle": "ISO",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "exit_on_error": "off",
}


def _postgresql_engine(url: URL, settings: DatabaseSettings) -> Engine:
    if not settings.allow_unverified_tls:
        require_verified_tls(url)
    ours = {"connect_timeout": settings.connect_timeout_seconds, "application_name": "pima", **_VANISHED, **_UTF8}
    unsaid = {name: value for name, value in ours.items() if name not in url.query}
    # Said by the driver's BEGIN, and so for SQLAlchemy's first questions too. A snapshot of the whole transaction would
    # hide what others committed while a statement waited for their lock, and fail on rows that they changed.
    engine = create_engine(
        url, hide_parameters=True, pool_size=2, connect_args=unsaid, isolation_level="READ COMMITTED"
    )
    # SET LOCAL in each transaction: start-up options fail through PgBouncer, a session's SET leaks to its next user.
    local = _MEANINGS | {
        "statement_timeout": f"{settings.statement_timeout_seconds}s",
        "lock_timeout": f"{settings.lock_timeout_seconds}s",
        "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_timeout_seconds}s",
    }
    said = ";".join(f"SET LOCAL {name} = '{value}'" for name, value in local.items())

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("pima_writes", True)
        connection.exec_driver_sql(f"SET TRANSACTION READ {'WRITE' if writes else 'ONLY'};{said}")

    return engine


def is_postgresql(connection: Connection) -> bool:
    """Whether this is PostgreSQL; else it is SQLite."""
    return connection.dialect.name == "postgresql"


def insert_unless_there(connection: Connection, table: Table) -> Any:
    """INSERT ... ON CONFLICT DO NOTHING: whoever was first has said it."""
    # Both dialects have it, and the import of the other one would cost every start of a job 15 ms.
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    return dialect.insert(table).on_conflict_do_nothing()


def clock(connection: Connection) -> datetime:
    """The database's time, so that machines with different clocks agree."""
    # SQL: at this statement.
    now: datetime = connection.execute(select(database_now())).scalar_one()
    return now


def without_time_limit(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need: a large file, a walk over all patients."""
    if is_postgresql(connection):
        # SQL: until the transaction ends.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with translated_errors(engine), engine.execution_options(pima_writes=False).begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; commits at its end, rolls back on any exception."""
    with translated_errors(engine), engine.execution_options(pima_writes=True).begin() as connection:
        yield connection


@contextmanager
def translated_errors(engine: Engine) -> Iterator[None]:
    """Turn a driver's error into one of ours."""
    try:
        yield
    except DBAPIError as error:
        raise translated(error.orig, engine.url) from None
    except Exception as error:
        # COPY goes past SQLAlchemy, so its errors come as the driver's own.
        if not isinstance(error, engine.dialect.loaded_dbapi.Error):
            raise
        raise translated(error, engine.url) from None
