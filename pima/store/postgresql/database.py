"""PostgreSQL for the store: the URL of a server, the transactions on it, and its pieces of SQL.

Each transaction sets the options that it relies on, whatever the defaults of database and role.
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
from psycopg.pq import Conninfo, Format
from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    Insert,
    String,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import URL

from pima.core.declared.identifiers import LARGEST_GIVEN_ID
from pima.errors import WrongConfiguration
from pima.settings.sections import DatabaseSettings
from pima.store.database import Database, Scoring
from pima.store.engine import EXPECTED_OPTIONS, redacted
from pima.store.postgresql import errors, migrating, schema, scoring

if TYPE_CHECKING:
    import pandas as pd


def require_verified_tls(url: URL) -> None:
    """Require that the server proves its identity by TLS, unless it is on this machine. Raises
    WrongConfiguration."""
    asked = _asked(url)
    defaults = {name: value for name, value in _libpq_options().items() if value}
    given = defaults | ({"host": url.host} if url.host else {}) | asked
    # With a hostaddr libpq connects there, whatever the host is called.
    is_here = "hostaddr" not in given and all(map(_is_here, given.get("host", "").split(",")))
    # A service file may name any server and any sslmode; only an sslmode in the URL overrides it.
    is_verified = "service" not in given and (is_here or given.get("sslmode") == "verify-full")
    if is_verified or asked.get("sslmode") == "verify-full":
        return
    what = (
        f"the server of {redacted(url)} is on another machine, and its URL does not ask it to "
        "prove who it is"
    )
    expected = (
        "?sslmode=verify-full in the URL, or database.allow_unverified_tls = true for a trusted "
        "network"
    )
    raise WrongConfiguration(what=what, expected=expected)


def _asked(url: URL) -> dict[str, str]:
    return {name: ",".join(values) for name, values in url.normalized_query.items()}


def _libpq_options() -> dict[str, str]:
    """The driver's options and their defaults, which come from PGHOST, PGSERVICE and the like, or
    are empty."""
    return {
        option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()
    }


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")):  # a socket's folder, or its abstract name
        return True
    name = host.lower()
    # SQLAlchemy has host:port. An address of IPv6 has more colons.
    if name.count(":") == 1:
        name = name.partition(":")[0]
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


# A source's server may hold values that the driver can't read: types of its own, and times outside
# Python's years. One such value must not keep the others from being read.
_UNKNOWN = 0
"""The type number for all types without a loader."""
TOO_EARLY = "-infinity"
"""Stands for any time before Python's first; a text, since no datetime can."""
_END = datetime.max.replace(tzinfo=UTC)
_TOO_LATE = {"date": _END.date(), "timestamp": _END.replace(tzinfo=None), "timestamptz": _END}
"""The value of each type that stands for any time after Python's last."""


def take_all_values(connection: psycopg.Connection[Any]) -> None:
    """Let this connection read times of all years, and enumerations and similar types as text."""
    connection.adapters.register_loader(_UNKNOWN, OfAnotherType)
    for name, too_late in _TOO_LATE.items():
        for written in (Format.TEXT, Format.BINARY):
            usual = psycopg.adapters.get_loader(psycopg.adapters.types[name].oid, written)
            connection.adapters.register_loader(name, _loader(usual, too_late, written))


class OfAnotherType(Loader):
    """Loads unknown types: as text if their binary form is text, such as enumerations and citext;
    else as bytes."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str | bytes:
        """The value as text if it is text."""
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
        # The binary form is a number of microseconds or days since the year 2000.
        if written is Format.BINARY:
            return data[0] > 127
        return data.startswith(b"-") or data.endswith(b"BC")

    return AllTimes


# A connection to a server that has vanished silently (a machine switched off, a firewall that
# dropped it) is given up after a minute. A frozen server still acknowledges packets and is waited
# for; a stop request works nevertheless.
_VANISHED = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# Behind a pool that gives each transaction another server session, a prepared statement would be
# missing. It costs nothing: a batch has few statements, and each runs long.
_UNPREPARED = {"prepare_threshold": None}
# Other encodings can't write every name, and under SQL_ASCII text is read as bytes. PgBouncer
# accepts this option.
_UTF8 = {"client_encoding": "utf8"}
# A database or a role may set these otherwise: the driver reads times only in this style, and a
# float's text could lack digits. Nothing relies on other settings: no literal has a backslash, and
# there are no intervals or bytes literals.
_MEANINGS = {"DateStyle": "ISO", "extra_float_digits": "1"}


# Searching all patients for rare rows uses several server processes. PostgreSQL uses a single
# process for a statement that writes, and parallelises a merge of two indexes badly. So the query
# is a union over ranges of ids, and each process takes whole ranges.
_RANGES = 8
_FEW = 5_000
# These settings make parallel workers free and keep a range undivided. The server's limits on
# workers still apply.
_HAND_OUT = """
    SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
    SET LOCAL min_parallel_table_scan_size = '1TB';
        SET LOCAL min_parallel_index_scan_size = '1TB'"""


_IN_COPY = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": "\n"}
"""How COPY wants the characters of texts between NULs, which no text has; in this order."""

# Any number that no other software on the server uses: "load" in ASCII.
_LOAD_LOCK = 0x6C6F6164
_MOMENT = "200ms"
"""Well below the second after which the server looks for deadlocks."""


# A deferred constraint would object at COMMIT, too late to leave one row. The name is read from the
# catalogue, since a trigger that raises an error may put anything in its place.
_DELETE = """
DO $$
#variable_conflict use_variable
DECLARE
    one BIGINT;
    name TEXT;
    its_table TEXT;
    its_schema TEXT;
BEGIN
    PERFORM set_config('pima.kept_by', '', true);
    BEGIN
        DELETE FROM {rows} IN ({ids});
        SET CONSTRAINTS ALL IMMEDIATE;
    EXCEPTION WHEN integrity_constraint_violation THEN
        FOREACH one IN ARRAY ARRAY[{ids}] LOOP
            BEGIN
                DELETE FROM {rows} = one;
                SET CONSTRAINTS ALL IMMEDIATE;
            EXCEPTION WHEN integrity_constraint_violation THEN
                GET STACKED DIAGNOSTICS
                    name = CONSTRAINT_NAME, its_table = TABLE_NAME, its_schema = SCHEMA_NAME;
            END;
        END LOOP;
        PERFORM set_config(
            'pima.kept_by', 'the constraint ' || conname || ' of the table ' || relname, true)
        FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid JOIN pg_namespace n
            ON n.oid = relnamespace
        WHERE (conname, relname, nspname) = (name, its_table, its_schema);
    END;
END $$"""


class _AsText(Text):
    """A text in statements. As VARCHAR, which is SQLAlchemy's own, it would be compared by an
    operator of somebody else who has made one for text and varchar."""

    render_bind_cast = True


class PostgreSQL(Database):
    """A PostgreSQL server."""

    is_a_file = False
    snapshot: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ"}
    translated = staticmethod(errors.translated)
    contested = staticmethod(errors.contested)

    def require_sound_url(self, url: URL, text: str) -> None:
        """Raises WrongConfiguration if the URL was probably parsed wrongly, or has options that
        libpq does not know."""
        # A part of the password would be read as the host, the database or an option, and be shown.
        if text.count("@") > 1 or "@" in (url.database or ""):
            expected = "%40 for an @ and %2F for a / in a name or password"
            raise WrongConfiguration(
                what="the database URL has an @ in an unexpected place", expected=expected
            )
        if url.query and not _libpq_options().keys() >= url.query.keys():
            raise WrongConfiguration(
                what="the database URL has an unknown option", expected=EXPECTED_OPTIONS
            )
        asked = _asked(url)
        encoding = asked.get("client_encoding", "utf8").lower()
        if encoding != "utf8" or not asked.get("connect_timeout", "0").isdecimal():
            what = (
                "the database URL asks for another client_encoding than utf8, or for a "
                "connect_timeout that is no whole number of seconds"
            )
            raise WrongConfiguration(what=what, expected=EXPECTED_OPTIONS)

    def make_engine(self, url: URL, settings: DatabaseSettings) -> Engine:
        """Make an engine whose transactions set their own limits at BEGIN, which works behind a
        connection pool too."""
        if not settings.allow_unverified_tls:
            require_verified_tls(url)
        ours = {
            "connect_timeout": settings.connect_timeout_seconds,
            "application_name": "pima",
            **_VANISHED,
            **_UTF8,
        }
        unsaid = {name: value for name, value in ours.items() if name not in url.query}
        # The driver's BEGIN sets READ COMMITTED, for SQLAlchemy's first queries too. A snapshot for
        # the whole transaction would hide what others commit while a statement waits for their
        # lock, and fail on changed rows.
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=2,
            pool_pre_ping=True,  # the server may have ended an idle session
            connect_args=unsaid | _UNPREPARED,
            isolation_level="READ COMMITTED",
        )
        engine.dialect.colspecs = {**engine.dialect.colspecs, String: _AsText}
        # SET LOCAL in each transaction: PgBouncer refuses start-up options, and SET leaks to the
        # session's next user.
        idle = settings.idle_in_transaction_timeout_seconds
        local = _MEANINGS | {
            "statement_timeout": f"{settings.statement_timeout_seconds}s",
            "lock_timeout": f"{settings.lock_timeout_seconds}s",
            "idle_in_transaction_session_timeout": f"{idle}s",
        }
        said = ";".join(f"SET LOCAL {name} = '{value}'" for name, value in local.items())
        event.listen(engine, "connect", lambda connection, _record: take_all_values(connection))

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("pima_writes", True)
            connection.exec_driver_sql(
                f"SET TRANSACTION READ {'WRITE' if writes else 'ONLY'};{said}"
            )

        return engine

    def without_time_limit(self, connection: Connection) -> None:
        """Lift the limit until the transaction ends."""
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

    def join_by_index(self, connection: Connection) -> None:
        """Make all joins use an index until the transaction ends."""
        connection.exec_driver_sql(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL "
            "enable_mergejoin = off; SET LOCAL enable_bitmapscan = off; "
            "SET LOCAL enable_nestloop = on"
        )

    def join_by_merge(self, connection: Connection) -> None:
        """Make all joins merge until the transaction ends, with the memory for sorting that an
        index would get."""
        connection.exec_driver_sql(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_nestloop = off;"
            "SELECT set_config('work_mem', current_setting('maintenance_work_mem'), true)"
        )

    def vacuum_after_erasure(self, _engine: Engine) -> None:
        """Left to autovacuum and to the owner of the tables: a role with no more than the rights to
        delete may not vacuum them."""

    id = "BIGINT"
    real = "DOUBLE PRECISION"
    key = 'TEXT COLLATE "C"'
    timestamp = DateTime(timezone=True)
    json = JSONB()

    def stored_moment(self, moment: datetime) -> datetime:
        return moment

    def stored_document(self, document: object) -> Any:
        return document

    now = "clock_timestamp()"
    # No integer is as large as infinity.
    milliseconds = (
        "CAST(floor(EXTRACT(EPOCH FROM least(greatest({0}, '1900-01-01 UTC'), '9999-12-31 UTC'))"
        " * 1000) AS BIGINT)"
    )
    moment_of_milliseconds = "to_timestamp({} / 1000.0)"
    differs = "IS DISTINCT FROM"
    temporary_schema = "pg_temp"
    next_id = "nextval((SELECT CAST(pg_get_serial_sequence('patients', 'id') AS regclass)))"
    last_version = "SELECT pg_sequence_last_value('patient_version')"
    # From the locks, not from the snapshot: that covers all databases of the server, and no
    # savepoints.
    first_writer = """
        SELECT CAST(CAST(number AS text) AS bigint) FROM (
            SELECT own.transactionid AS number
            FROM pg_locks own JOIN pg_locks held USING (virtualtransaction)
            WHERE own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'
                AND held.relation = to_regclass('patients') AND held.mode = 'RowExclusiveLock'
                    AND held.granted
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            UNION ALL SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS xid)
        ) AS writers
        ORDER BY age(number) DESC LIMIT 1"""
    came_before_writer = "age(k.xmin) > age(CAST(CAST(:writer AS text) AS xid))"
    unless_held = "FOR {} SKIP LOCKED"
    # Not a view, whose functions would run with the rights of whoever reads it.
    revision_table = """
        SELECT oid FROM pg_class WHERE oid = CAST(to_regclass('alembic_version') AS oid)
            AND relkind = 'r' AND NOT relrowsecurity"""
    sources_of_run = "jsonb_array_elements(runs.counts -> CAST('sources' AS TEXT)) AS item(value)"
    keeps_deleted = (
        "the server's files and statistics until VACUUM and ANALYZE have been over the tables, its "
        "WAL, archives of it, and standbys"
    )

    scoring: Scoring = scoring

    def find_ids_in_parallel(self, connection: Connection, condition: str) -> list[int] | None:
        """The ids of the patients `p` that meet a condition; None if they are many.

        In the condition, {within} becomes a further condition that limits the ids of the
        predictions `d`.
        """
        connection.exec_driver_sql(_HAND_OUT)
        ends = text("SELECT coalesce(min(id), 0), coalesce(max(id), 0) + 1 FROM patients")
        lowest, end = connection.execute(ends).one()
        parts = []
        for first, last in pairwise(
            lowest + (end - lowest) * n // _RANGES for n in range(_RANGES + 1)
        ):
            within = f"AND {{0}} >= {first} AND {{0}} < {last}"
            of_predictions = condition.format(within=within.format("d.patient_id"))
            parts.append(
                f"SELECT p.id FROM patients p WHERE {of_predictions} {within.format('p.id')}"
            )
        some = connection.scalars(
            text(f"SELECT id FROM ({' UNION ALL '.join(parts)}) AS found LIMIT {_FEW + 1}")
        ).all()
        return None if len(some) > _FEW else list(some)

    def read_columns(
        self, connection: Connection, statement: str, rows: int, exact: int = 0
    ) -> Generator[list["pd.Series"]]:
        from pima.store.postgresql.frames import read_columns

        return read_columns(connection, statement, rows, exact)

    def append_frame(self, connection: Connection, table: str, frame: "pd.DataFrame") -> None:
        from pima.store.postgresql.frames import append_frame

        append_frame(connection, table, frame)

    def append_texts(
        self, connection: Connection, table: str, column: str, texts: Sequence[str]
    ) -> None:
        rows = "\0".join(texts)
        for character, written in _IN_COPY.items():
            rows = rows.replace(character, written)
        with connection.connection.cursor().copy(f"COPY {table} ({column}) FROM STDIN") as copy:
            copy.write(f"{rows}\n")

    def cursor(self, connection: Connection) -> Any:
        """The driver's cursor for binary values and plain tuples: SQLAlchemy's row objects cost
        more than reading a row."""
        return connection.connection.cursor(binary=True)

    def stream(self, connection: Connection) -> Any:
        """The driver's cursor that fetches rows from the server block by block."""
        return connection.connection.cursor("pima_stream", binary=True)

    def index_staged(self, connection: Connection, table: str) -> None:
        connection.exec_driver_sql(f"CREATE INDEX ON {table} (source_key)")

    def session_id(self, connection: Connection) -> int:
        """The id of the server's process."""
        return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

    def wait_for_other_loads(self, connection: Connection) -> None:
        """Wait for other loads, up to the lock's time limit, and keep new ones out until the
        transaction ends. Also wait for a lock on the whole of patients, before this transaction
        holds anything that its owner may want."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
        connection.execute(text("SELECT 1 FROM patients WHERE false FOR KEY SHARE"))

    @contextmanager
    def inserting(self, connection: Connection) -> Iterator[None]:
        """Limit the wait for locks to a moment; the limit ends with the block, or with a rollback.
        The rows come with the ids of their keys, and no trigger looks these up again."""
        usual = connection.exec_driver_sql("SELECT current_setting('lock_timeout')").scalar_one()
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = '{_MOMENT}'; SET LOCAL pima.gives_ids = 'on'"
        )
        yield
        connection.execute(
            text("SELECT set_config('lock_timeout', :usual, true)"), {"usual": usual}
        )

    def lock_unless_held(
        self, connection: Connection, rows: str, lock: str, parameters: Mapping[str, object]
    ) -> None:
        """Lock the rows without waiting.

        Transactions that hold rows and wait for others can deadlock, and the server ends one of
        them.
        """
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {rows} FOR {lock} OF p NOWAIT) AS locked"
        connection.execute(text(statement), parameters)

    def delete_by_ids(self, connection: Connection, table: str, column: str, ids: str) -> str:
        """All at once, or id by id if a constraint objects: the role may have no right to look into
        the tables that refer to these."""
        connection.exec_driver_sql(_DELETE.format(rows=f"{table} WHERE {column}", ids=ids))
        return str(
            connection.exec_driver_sql("SELECT current_setting('pima.kept_by')").scalar_one()
        )

    def draw_ids_above_given(self, connection: Connection) -> None:
        """Move the counter above given and kept ids, unless it is beyond them already."""
        connection.execute(
            text("""
                SELECT setval(counter, greatest(largest, nextval(counter)))
                FROM (SELECT CAST(pg_get_serial_sequence('patients', 'id') AS regclass) AS counter,
                    greatest(
                          (SELECT max(id) FROM patients WHERE id <= :largest),
                          (SELECT max(patient_id) FROM row_keys
                          WHERE patient_id <= :largest)) AS largest) AS given
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
    wait_for_other_migrations = staticmethod(migrating.wait_for_other_migrations)
    prepare_upgrade = staticmethod(migrating.prepare_upgrade)
    keep_rows = staticmethod(migrating.keep_rows)
    roles_out_of_reach = staticmethod(schema.roles_out_of_reach)
    make_roles = staticmethod(schema.make_roles)
    others_in_schema = staticmethod(schema.others_in_schema)
