"""The transactions on a PostgreSQL server: what each of them says for itself, whatever database and role default to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL

from pima.settings.sections import DatabaseSettings
from pima.store.postgresql.url import require_verified_tls
from pima.store.postgresql.values import take_all_values

# A server that has vanished without a word (a machine switched off, a firewall that forgot) is given up after a minute.
# One that is frozen still acknowledges what it is sent, and is waited for; a stop is obeyed all the same.
_VANISHED = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A pool that gives each transaction another server session would not find a prepared statement there. Nothing is lost:
# a batch is few statements, each of them long.
_UNPREPARED = {"prepare_threshold": None}
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

# The versions since which a server has the setting; a source's may be older than pima's own.
_IDLE_SESSION_TIMEOUT = 140_000
_TRANSACTION_TIMEOUT = 170_000


def make_engine(url: URL, settings: DatabaseSettings) -> Engine:
    """An engine whose transactions have their limits from their own BEGIN, also behind a pool of connections."""
    if not settings.allow_unverified_tls:
        require_verified_tls(url)
    ours = {"connect_timeout": settings.connect_timeout_seconds, "application_name": "pima", **_VANISHED, **_UTF8}
    unsaid = {name: value for name, value in ours.items() if name not in url.query}
    # Said by the driver's BEGIN, and so for SQLAlchemy's first questions too. A snapshot of the whole transaction would
    # hide what others committed while a statement waited for their lock, and fail on rows that they changed.
    engine = create_engine(
        url, hide_parameters=True, pool_size=2, connect_args=unsaid | _UNPREPARED, isolation_level="READ COMMITTED"
    )
    # SET LOCAL in each transaction: start-up options fail through PgBouncer, a session's SET leaks to its next user.
    local = _MEANINGS | {
        "statement_timeout": f"{settings.statement_timeout_seconds}s",
        "lock_timeout": f"{settings.lock_timeout_seconds}s",
        "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_timeout_seconds}s",
    }
    said = ";".join(f"SET LOCAL {name} = '{value}'" for name, value in local.items())
    event.listen(engine, "connect", _stay_connected)
    event.listen(engine, "connect", lambda connection, _record: take_all_values(connection))

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("pima_writes", True)
        # A statement has its limit, and so has a pause between two; a batch of many has none.
        unlimited = ";SET LOCAL transaction_timeout = 0" if _knows(connection, _TRANSACTION_TIMEOUT) else ""
        connection.exec_driver_sql(f"SET TRANSACTION READ {'WRITE' if writes else 'ONLY'};{said}{unlimited}")

    return engine


def _stay_connected(connection: Any, _record: Any) -> None:
    """A fit pauses for longer than a server may let a session be idle. Behind a pool the setting stays with the pool's
    own session, which it keeps from being ended, too."""
    if connection.info.server_version < _IDLE_SESSION_TIMEOUT:
        return
    # Without a transaction around it: one way to the server instead of three.
    connection.autocommit = True
    connection.execute("SET idle_session_timeout = 0")
    connection.autocommit = False


def _knows(connection: Connection, since: int) -> bool:
    session: Any = connection.connection.dbapi_connection
    known: bool = session.info.server_version >= since
    return known


def insert_unless_there(table: Table, unique: Sequence[str]) -> Insert:
    """INSERT ... ON CONFLICT (...) DO NOTHING"""
    return insert(table).on_conflict_do_nothing(index_elements=unique)


def without_time_limit(connection: Connection) -> None:
    """Until the transaction ends."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def cursor(connection: Connection) -> Any:
    """The driver's tuples, from binary values: SQLAlchemy's row objects cost more than reading a row."""
    return connection.connection.cursor(binary=True)


def stream(connection: Connection) -> Any:
    """The same on the server's side."""
    return connection.connection.cursor("pima_stream", binary=True)


def leave_no_trace(_engine: Engine) -> None:
    """Nothing: what a server does with dead rows is its owner's business, and takes longer than a person waits."""
