"""How a process talks to its database: one engine, short transactions, time limits on everything.

Two kinds of transaction: `reading` never takes a write lock, `writing` takes SQLite's at once (BEGIN IMMEDIATE; two
deferred ones that both read first and write later would claim the same rows or fail in the middle). On PostgreSQL each
says its own isolation level and whether it writes, whatever database and role default to. The level is READ COMMITTED
also where one reads by several statements: what is decided upon them is asked again, under a lock, before the writing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from pima.settings.sections import DatabaseSettings
from pima.store.database import database_at, database_of
from pima.store.types import database_now
from pima.store.urls import parse_url


def make_engine(url_text: str, settings: DatabaseSettings) -> Engine:
    """An engine for the URL; connects to nothing yet."""
    url = parse_url(url_text)
    return database_at(url).make_engine(url, settings)


def clock(connection: Connection) -> datetime:
    """The database's time, so that machines with different clocks agree."""
    now: datetime = connection.execute(select(database_now())).scalar_one()
    return now


def without_time_limit(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need: a large file, a walk over all patients."""
    database_of(connection).without_time_limit(connection)


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
def session(engine: Engine) -> Iterator[Connection]:
    """One session for several transactions, each of which `transaction` begins: what is staged in it lasts."""
    with translated_errors(engine), engine.connect() as connection:
        yield connection


@contextmanager
def transaction(connection: Connection, writes: bool) -> Iterator[Connection]:
    """A transaction of a session; commits at its end, rolls back on any exception."""
    connection.execution_options(pima_writes=writes)
    with translated_errors(connection.engine), connection.begin():
        yield connection


@contextmanager
def translated_errors(engine: Engine) -> Iterator[None]:
    """Turn a driver's error into one of ours."""
    try:
        yield
    except DBAPIError as error:
        raise database_of(engine).translated(error.orig, engine.url) from None
    except Exception as error:
        # COPY goes past SQLAlchemy, so its errors come as the driver's own.
        if not isinstance(error, engine.dialect.loaded_dbapi.Error):
            raise
        raise database_of(engine).translated(error, engine.url) from None
