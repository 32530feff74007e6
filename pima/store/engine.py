"""Transactions on the database: short ones, with time limits on everything.

There are two kinds of transaction. `reading` never takes a write lock. `writing` takes SQLite's at
once by BEGIN IMMEDIATE: two deferred transactions that read first and write later would claim the
same rows, or fail half-way. On PostgreSQL each sets its isolation level and whether it writes,
whatever the defaults of database and role. The level is READ COMMITTED even if several statements
read: a decision based on them is checked again, under a lock, before writing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from pima.errors import SchemaDiffers
from pima.store.database import database_now, database_of

EXPECTED_URL = "sqlite:///path/to/file.db or postgresql+psycopg://user:password@host:5432/database"
EXPECTED_OPTIONS = "for PostgreSQL options that libpq knows, for SQLite none"


def redacted(url: URL) -> str:
    """The URL to show: without the password, and with only the options that say where the database
    is."""
    shown = {name: value for name, value in url.query.items() if name in ("host", "port", "user")}
    return url.set(query=shown).render_as_string(hide_password=True)


def clock(connection: Connection) -> datetime:
    """The database's time, so that machines with different clocks agree."""
    return connection.execute(select(database_now())).scalar_one()


def without_time_limit(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need: a large file, a walk over
    all patients."""
    database_of(connection).without_time_limit(connection)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with (
        translated_errors(engine),
        engine.execution_options(pima_writes=False).begin() as connection,
    ):
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; commits at its end, rolls back on any exception."""
    with (
        translated_errors(engine),
        engine.execution_options(pima_writes=True).begin() as connection,
    ):
        yield connection


@contextmanager
def session(engine: Engine) -> Iterator[Connection]:
    """One session for several transactions, each begun by `transaction`; temporary tables last
    between them."""
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
    """Turn a driver's error into one of pima's."""
    try:
        yield
    except DBAPIError as error:
        raise database_of(engine).translated(error.orig, engine.url) from None
    except Exception as error:
        # COPY goes past SQLAlchemy, so its errors come as the driver's own.
        if not isinstance(error, engine.dialect.loaded_dbapi.Error):
            raise
        raise database_of(engine).translated(error, engine.url) from None


def first_row(
    connection: Connection, statement: Select[*tuple[Any, ...]], table: str
) -> Row[*tuple[Any, ...]]:
    """Return the first row; raises SchemaDiffers for this table if there is none, because it was
    emptied or left out of a restore."""
    row = connection.execute(statement).first()
    if row is None:
        raise SchemaDiffers(what=f"{table} has no row, which every database of pima has")
    return row


def listed(names: Iterable[str], of: str = "") -> str:
    """The columns, separated by commas, of the table or alias `of`."""
    return ", ".join(column(name, of) for name in names)


def column(name: str, of: str = "") -> str:
    """One column. Quoted, since a declared name may be one of SQL's words; a declared name holds no
    quote."""
    return f'{of}."{name}"' if of else f'"{name}"'


def assigned(names: Iterable[str], source: str) -> str:
    """The assignments after SET that copy columns from another row."""
    return ", ".join(f"{column(name)} = {column(name, source)}" for name in names)


def any_differs(names: Iterable[str], one: str, differs: str, other: str) -> str:
    """The condition that two rows differ in at least one column; `differs` is the NULL-safe
    operator."""
    return " OR ".join(f"{column(name, one)} {differs} {column(name, other)}" for name in names)
