"""PostgreSQL, as the store knows it: the URL of a server, the transactions on it, and its pieces of SQL.

Each transaction says for itself what it depends on, whatever database and role default to.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Connection, DateTime, Engine, Insert, Table, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from pima.core.identifiers import LARGEST_GIVEN_ID
from pima.errors import WrongConfiguration
from pima.settings.sections import DatabaseSettings
from pima.store.database import Database, Scoring
from pima.store.engine import EXPECTED_OPTIONS, redacted
from pima.store.postgresql import errors, schema

if TYPE_CHECKING:
    import pandas as pd


def require_verified_tls(url: URL) -> None:
    """Patients' data go to a server that has proved who it is, or to this very machine."""
    asked = _asked(url)
    defaults = {name: value for name, value in _libpq_options().items() if value}
    given = defaults | ({"host": url.host} if url.host else {}) | asked
    # With a hostaddr libpq goes there, whatever the host is called.
    is_here = "hostaddr" not in given and all(map(_is_here, given.get("host", "").split(",")))
    # A service file may name any server, and any sslmode but against the URL's own.
    is_verified = "service" not in given and (is_here or given.get("sslmode") == "verify-full")
    if is_verified or asked.get("sslmode") == "verify-full":
        return
    what = f"the server of {redacted(url)} is on another machine, and its URL does not ask it to prove who it is"
    expected = "?sslmode=verify-full in the URL, or database.allow_unverified_tls = true for a trusted network"
    raise WrongConfiguration(what=what, expected=expected)


def _asked(url: URL) -> dict[str, str]:
    return {name: ",".join([value] if isinstance(value, str) else value) for name, value in url.query.items()}


def _libpq_options() -> dict[str, str]:
    """The driver's options and what it takes where the URL is silent: PGHOST, PGSERVICE and their like, or nothing."""
    from psycopg.pq import Conninfo

    return {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")):  # a socket's folder, or its abstract name
        return True
    name = host.lower().partition(":")[0] if host.count(":") == 1 else host.lower()  # host:port, as SQLAlchemy has it
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


# What a source's server knows and the driver does not: types of its own, and times beyond all years of Python, of
# which one is no reason to read none of the others.
_UNKNOWN = 0
"""In the place of a type's number."""
TOO_EARLY = "-infinity"
"""Stands for what is before all times of Python; a text, since it is none of them."""
_END = datetime.max.replace(tzinfo=UTC)
_TOO_LATE = {"date": _END.date(), "timestamp": _END.replace(tzinfo=None), "timestamptz": _END}
"""By type: stands for what is after all of them."""


def take_all_values(connection: psycopg.Connection[Any]) -> None:
    """Let this connection read times of all years, and enumerations and the like as their texts."""
    connection.adapters.register_loader(_UNKNOWN, OfAnotherType)
    for name, too_late in _TOO_LATE.items():
        for written in (Format.TEXT, Format.BINARY):
            usual = psycopg.adapters.get_loader(psycopg.adapters.types[name].oid, written)
            connection.adapters.register_loader(name, _loader(usual, too_late, written))


class OfAnotherType(Loader):
    """Binary, a type that is a text to its server is one: an enumeration, or citext. Others stay bytes."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str | bytes:
        """A text, where it is one."""
        found = bytes(data)
        try:
            return found if b"\0" in found else found.decode()
        except UnicodeDecodeError:
            return found


def _loader(usual: Any, too_late: date, written: Format) -> type[Loader]:
    class AllTimes(Loader):
        format = written

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = usual(oid, context).load

        def load(self, data: Buffer) -> Any:
            try:
                return self._load(data)
            except psycopg.DataError:
                return TOO_EARLY if _is_early(bytes(data)) else too_late

    def _is_early(data: bytes) -> bool:
        # Binary it is a number of microseconds or days from the year 2000 on.
        return data[0] > 127 if written is Format.BINARY else data.startswith(b"-") or data.endswith(b"BC")

    return AllTimes


# A server that has vanished without a word (a machine switched off, a firewall that forgot) is given up after a minute.
# One that is frozen still acknowledges what it is sent, and is waited for; a stop is obeyed all the same.
_VANISHED = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A pool that gives each transaction another server session would not find a prepared statement there. Nothing is lost:
# a batch is few statements, each of them long.
_UNPREPARED = {"prepare_threshold": None}
# Under another encoding a name can't be written, and under SQL_ASCII texts are read as bytes. PgBouncer knows this one.
_UTF8 = {"client_encoding": "utf8"}
# What a database or a role may set otherwise: the driver reads times in this style alone, and a float's text lacks
# digits. What else a setting can change is not relied on: no backslash in a literal, no interval, no literal bytes.
_MEANINGS = {"DateStyle": "ISO", "extra_float_digits": "1"}


def cursor(connection: Connection) -> Any:
    """The driver's tuples, from binary values: SQLAlchemy's row objects cost more than reading a row."""
    return connection.connection.cursor(binary=True)


def stream(connection: Connection) -> Any:
    """The driver's tuples, fetched from the server block by block."""
    return connection.connection.cursor("pima_stream", binary=True)


# Looking through all patients for what is rare there, with several of the server's processes: PostgreSQL lets one
# process alone read for a statement that writes, and divides no merge of two indexes well. Ranges of ids it hands out,
# each whole to one process.
_RANGES = 8
_FEW = 5_000
# Handing ranges out costs nothing, and none of them is divided again. How many processes there may be, the server says.
_HAND_OUT = """
    SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
    SET LOCAL min_parallel_table_scan_size = '1TB'; SET LOCAL min_parallel_index_scan_size = '1TB'"""


# Any number that no other software on the server uses: "load" in ASCII.
_LOAD_LOCK = 0x6C6F6164
_MOMENT = "200ms"
"""Well below the second after which the server looks for those that wait in a circle."""


class PostgreSQL(Database):
    """A server of PostgreSQL."""

    is_a_file = False
    snapshot: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ"}
    translated = staticmethod(errors.translated)
    contested = staticmethod(errors.contested)

    def require_sound_url(self, url: URL, text: str) -> None:
        """Raises WrongConfiguration if the URL was not read as it was meant, or has options that libpq does not
        know."""
        # A part of the password would be taken for the host, the database or an option, and be shown.
        if text.count("@") > 1 or "@" in (url.database or ""):
            expected = "%40 for an @ and %2F for a / in a name or password"
            raise WrongConfiguration(what="the database URL has an @ in an unexpected place", expected=expected)
        if url.query and not _libpq_options().keys() >= url.query.keys():
            raise WrongConfiguration(what="the database URL has an unknown option", expected=EXPECTED_OPTIONS)

    def make_engine(self, url: URL, settings: DatabaseSettings) -> Engine:
        """An engine whose transactions have their limits from their own BEGIN, also behind a pool of connections."""
        if not settings.allow_unverified_tls:
            require_verified_tls(url)
        ours = {"connect_timeout": settings.connect_timeout_seconds, "application_name": "pima", **_VANISHED, **_UTF8}
        unsaid = {name: value for name, value in ours.items() if name not in url.query}
        # Said by the driver's BEGIN, and so for SQLAlchemy's first questions too. A snapshot of the whole transaction
        # would hide what others committed while a statement waited for their lock, and fail on rows that they changed.
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=2,
            pool_pre_ping=True,  # the server may have ended a session meanwhile
            connect_args=unsaid | _UNPREPARED,
            isolation_level="READ COMMITTED",
        )
        # SET LOCAL in each transaction: start-up options fail through PgBouncer, a session's SET leaks to its next
        # user.
        local = _MEANINGS | {
            "statement_timeout": f"{settings.statement_timeout_seconds}s",
            "lock_timeout": f"{settings.lock_timeout_seconds}s",
            "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_timeout_seconds}s",
        }
        said = ";".join(f"SET LOCAL {name} = '{value}'" for name, value in local.items())
        event.listen(engine, "connect", lambda connection, _record: take_all_values(connection))

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("pima_writes", True)
            connection.exec_driver_sql(f"SET TRANSACTION READ {'WRITE' if writes else 'ONLY'};{said}")

        return engine

    def without_time_limit(self, connection: Connection) -> None:
        """Lift the limit until the transaction ends."""
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

    def join_by_index(self, connection: Connection) -> None:
        """Have all joins go by an index until the transaction ends."""
        connection.exec_driver_sql(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
        )

    id = "BIGINT"
    real = "DOUBLE PRECISION"
    key = 'TEXT COLLATE "C"'
    timestamp: TypeEngine[Any] = DateTime(timezone=True)
    json: TypeEngine[Any] = JSONB()

    def stored_moment(self, moment: datetime) -> datetime:
        return moment

    def stored_document(self, document: Any) -> Any:
        return document

    now = "clock_timestamp()"
    labelled_at_milliseconds = "CAST(floor(EXTRACT(EPOCH FROM labelled_at) * 1000) AS BIGINT)"
    moment_of_milliseconds = "to_timestamp({} / 1000.0)"
    differs = "IS DISTINCT FROM"
    temporary_schema = "pg_temp"
    next_id = "nextval((SELECT CAST(pg_get_serial_sequence('patients', 'id') AS regclass)))"
    last_version = "SELECT pg_sequence_last_value('patient_version')"
    # By the locks and not by the snapshot, which has those of all databases of the server, and no savepoints.
    first_writer = """
        SELECT CAST(CAST(number AS text) AS bigint) FROM (
            SELECT own.transactionid AS number
            FROM pg_locks own JOIN pg_locks held USING (virtualtransaction)
            WHERE own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'
                AND held.relation = to_regclass('patients') AND held.mode = 'RowExclusiveLock' AND held.granted
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            UNION ALL SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS xid)
        ) AS writers
        ORDER BY age(number) DESC LIMIT 1"""
    came_before_writer = "age(k.xmin) > age(CAST(CAST(:writer AS text) AS xid))"
    revision_table = "SELECT to_regclass('alembic_version')"
    sources_of_run = "jsonb_array_elements(runs.counts -> 'sources') AS item(value)"
    keeps_deleted = (
        "the server's files and statistics until VACUUM and ANALYZE have been over the tables, its WAL, archives of it,"
        " and standbys"
    )

    # What needs numpy is imported when it is called: whoever finds the queue empty does not pay for that import.

    @property
    def scoring(self) -> Scoring:
        from pima.store.postgresql import scoring

        return scoring

    def find_ids_in_parallel(self, connection: Connection, condition: str) -> list[int] | None:
        """The ids of the patients `p` that meet a condition; None if they are many.

        In it {within} becomes a further condition of the predictions `d`, which ids those can have.
        """
        connection.exec_driver_sql(_HAND_OUT)
        ends = text("SELECT coalesce(min(id), 0), coalesce(max(id), 0) + 1 FROM patients")
        lowest, end = connection.execute(ends).one()
        parts = []
        for first, last in pairwise(lowest + (end - lowest) * n // _RANGES for n in range(_RANGES + 1)):
            within = f"AND {{0}} >= {first} AND {{0}} < {last}"
            of_predictions = condition.format(within=within.format("d.patient_id"))
            parts.append(f"SELECT p.id FROM patients p WHERE {of_predictions} {within.format('p.id')}")
        some = connection.scalars(text(f"SELECT id FROM ({' UNION ALL '.join(parts)}) AS found LIMIT {_FEW + 1}")).all()
        return None if len(some) > _FEW else list(some)

    def read_columns(
        self, connection: Connection, statement: str, rows: int, exact: int = 0
    ) -> Generator[list["pd.Series"]]:
        from pima.store.postgresql.frames import read_columns

        return read_columns(connection, statement, rows, exact)

    def append_frame(self, connection: Connection, table: str, frame: "pd.DataFrame") -> None:
        from pima.store.postgresql.frames import append_frame

        append_frame(connection, table, frame)

    cursor = staticmethod(cursor)
    stream = staticmethod(stream)

    def index_staged(self, connection: Connection, table: str) -> None:
        """Index the table by key, and gather statistics, without which the planner would take it for a small one."""
        for made in (f"UNIQUE INDEX ON {table}", f"INDEX ON {table}_keys"):
            connection.exec_driver_sql(f"CREATE {made} (source_key)")
        connection.exec_driver_sql(f"ANALYZE {table}; ANALYZE {table}_keys")

    def session_id(self, connection: Connection) -> int:
        """The server's process."""
        found: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        return found

    def wait_for_other_loads(self, connection: Connection) -> None:
        """Wait for other loads, as long as the lock's time limit; none begins then until the transaction ends. Wait as
        long for whoever has locked all of patients, before anything is held that they may want."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
        connection.execute(text("SELECT 1 FROM patients WHERE false FOR KEY SHARE"))

    @contextmanager
    def waiting_a_moment(self, connection: Connection) -> Iterator[None]:
        """Wait for locks a moment only; the limit ends with the block, or with what is rolled back."""
        usual = connection.exec_driver_sql("SELECT current_setting('lock_timeout')").scalar_one()
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MOMENT}'")
        yield
        connection.execute(text("SELECT set_config('lock_timeout', :usual, true)"), {"usual": usual})

    def lock_unless_held(self, connection: Connection, rows: str, lock: str, parameters: Mapping[str, Any]) -> None:
        """Lock the rows without waiting.

        Transactions that hold rows and wait for others can wait in a circle, and the server ends one of them.
        """
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {rows} FOR {lock} OF p NOWAIT) AS locked"
        connection.execute(text(statement), parameters)

    def draw_ids_above_given(self, connection: Connection) -> None:
        """Not where the counter is beyond them already."""
        connection.execute(
            text("""
                SELECT setval(counter, greatest(largest, nextval(counter)))
                FROM (SELECT CAST(pg_get_serial_sequence('patients', 'id') AS regclass) AS counter, greatest(
                          (SELECT max(id) FROM patients WHERE id <= :largest),
                          (SELECT max(patient_id) FROM row_keys WHERE patient_id <= :largest)) AS largest) AS given
                WHERE largest > coalesce(pg_sequence_last_value(counter), 0)"""),
            {"largest": LARGEST_GIVEN_ID},
        )

    def insert_unless_there(self, table: Table, unique: Sequence[str]) -> Insert:
        return insert(table).on_conflict_do_nothing(index_elements=unique)

    def translated_schema(self, script: str) -> str:
        return script

    columns = staticmethod(schema.columns)
    fault_of_tables = staticmethod(schema.fault_of_tables)
    fault_of_triggers = staticmethod(schema.fault_of_triggers)
    make_triggers = staticmethod(schema.make_triggers)
    wait_for_other_migrations = staticmethod(schema.wait_for_other_migrations)
    keep_rows = staticmethod(schema.keep_rows)
    roles_out_of_reach = staticmethod(schema.roles_out_of_reach)
    make_roles = staticmethod(schema.make_roles)
