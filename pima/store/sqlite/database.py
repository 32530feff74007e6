"""SQLite for the store: the URL of a file, the transactions on it, the driver's errors, and its
pieces of SQL."""

import json
import math
import re
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Insert, Table, Text, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL

from pima.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseFailed,
    DatabaseFull,
    DatabaseUnusable,
    PimaError,
    WrongConfiguration,
)
from pima.settings.sections import DatabaseSettings
from pima.store.database import Database, Scoring
from pima.store.engine import EXPECTED_OPTIONS, EXPECTED_URL, column, redacted
from pima.store.sqlite import schema, scoring

if TYPE_CHECKING:
    import pandas as pd

_OLDEST = (3, 38, 0)


# Translation of a driver's error into one of pima's, by the name of its code. Its text is dropped,
# since it can hold a value.

_BUSY = {
    "SQLITE_BUSY": "a lock on the file that another process holds, for longer than the time limit",
    "SQLITE_LOCKED": "a table that is being read is to be changed",
    "SQLITE_PROTOCOL": "others come and go in the file too fast",
    "SQLITE_SCHEMA": "another process changed the tables meanwhile",
}
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
"""The second occurs if the size of files is limited, or if there was room for only part of a
page."""


# SQLite's own messages that name columns and no values. The message of a CHECK has its text, and a
# trigger's any text.
_BROKEN_BY = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)")
_COLUMNS_NAMED = {f"SQLITE_CONSTRAINT_{kind}" for kind in ("UNIQUE", "PRIMARYKEY", "NOTNULL")}


# The expression for what the foreign key is called that keeps a row.
_KEEPER = """
    SELECT coalesce('CASE' || group_concat(refers, '') || ' END', 'NULL') FROM (
        SELECT printf(' WHEN EXISTS (SELECT 1 FROM "%w" r WHERE %s) THEN %Q', m.name,
            group_concat(printf('r."%w" = {table}."%w"', f."from", coalesce(f."to", 'rowid')),
                ' AND '),
            printf('the foreign key of the table %s (%s)', m.name,
                group_concat(f."from", ', '))) AS refers
        FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
        WHERE m.type = 'table' AND lower(f."table") = '{table}'
            AND f.on_delete IN ('NO ACTION', 'RESTRICT')
        GROUP BY m.name, f.id)"""


def _nothing(*_: object) -> None:
    """Does what a file needs where a server needs more: nothing."""


def _no_roles(*_: object) -> list[str]:
    return []


class SQLite(Database):
    """A SQLite file."""

    is_a_file = True
    # A transaction sees one state of the file in any case.
    snapshot: Mapping[str, Any] = {}

    def require_sound_url(self, url: URL, _text: str) -> None:
        """Raises WrongConfiguration if the URL names no file, or has options."""
        if url.database in (None, "", ":memory:"):
            raise WrongConfiguration(what="the database URL names no file", expected=EXPECTED_URL)
        if url.query:
            what = "the database URL has options after a question mark"
            raise WrongConfiguration(what=what, expected=EXPECTED_OPTIONS)

    def make_engine(self, url: URL, settings: DatabaseSettings) -> Engine:
        """Make an engine that begins its transactions itself, since the driver would begin them too
        late."""
        if sqlite3.sqlite_version_info < _OLDEST:
            expected = "SQLite 3.38 or later in this Python"
            raise WrongConfiguration(
                what=f"SQLite {sqlite3.sqlite_version} is too old", expected=expected
            )
        engine = create_engine(
            url,
            hide_parameters=True,
            connect_args={"timeout": settings.lock_timeout_seconds, "check_same_thread": False},
        )

        # The rollback journal stays: WAL in SQLite 3.7.0 to 3.51.2 can corrupt the file.
        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: object) -> None:
            connection.isolation_level = (
                None  # the driver begins no transaction; `begin` below does
            )
            connection.execute("PRAGMA foreign_keys = ON")
            # Not every build of SQLite has it.
            connection.create_function("ln", 1, math.log, deterministic=True)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("pima_writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def translated(self, error: BaseException | None, url: URL) -> PimaError:
        """Translate sqlite3's error into one of pima's."""
        extended = getattr(error, "sqlite_errorname", type(error).__name__)
        if "Could not decode to UTF-8" in str(error):
            return DatabaseFailed(what="a text is not UTF-8")
        if extended in _FULL:
            return DatabaseFull(what=f"SQLite says {extended}")
        # Python has no name for each kind of constraint.
        is_constraint = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CONSTRAINT
        name = "SQLITE_CONSTRAINT" if is_constraint else "_".join(extended.split("_")[:2])
        if name == "SQLITE_CORRUPT":
            return DatabaseDamaged(what=name)
        named = _BROKEN_BY.fullmatch(str(error)) if extended in _COLUMNS_NAMED else None
        what = f"SQLite says {name}"
        if extended.endswith("FOREIGNKEY"):
            what += " of a foreign key"
        elif named:
            what += f" of {named[1]}"
        if name in _BUSY:
            return DatabaseBusy(what=f"{_BUSY[name]}; {what}")
        if name in (
            "SQLITE_CANTOPEN",
            "SQLITE_NOTADB",
            "SQLITE_READONLY",
            "SQLITE_AUTH",
            "SQLITE_PERM",
        ):
            expected = (
                "a SQLite file that this process may read and write, in a folder where it may do "
                "so too"
            )
            if name == "SQLITE_NOTADB":
                expected += (
                    "; if it was one, it is damaged: restore a backup "
                    "(docs/do/back-up-and-restore.md)"
                )
            return DatabaseUnusable(what=what, expected=expected, url=redacted(url))
        return DatabaseFailed(what=what)

    # Whoever writes has waited for all others at BEGIN IMMEDIATE, and keeps them out until COMMIT.
    wait_for_other_loads = wait_for_other_migrations = staticmethod(_nothing)
    prepare_upgrade = keep_rows = staticmethod(_nothing)
    lock_unless_held = contested = staticmethod(_nothing)
    inserting = nullcontext
    # Statements have no time limit, joins are by index in any case, and no other process helps.
    without_time_limit = join_by_index = join_by_merge = staticmethod(_nothing)
    find_ids_in_parallel = staticmethod(_nothing)
    # There is no server, and so there are no sessions and no roles.
    session_id = staticmethod(_nothing)
    roles_out_of_reach = make_roles = others_in_schema = staticmethod(_no_roles)

    def vacuum_after_erasure(self, engine: Engine) -> None:
        """Rebuild the file: deleted and overwritten rows would otherwise stay in its free pages."""
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM")
        finally:
            connection.close()

    # STRICT tables have only the types INTEGER, REAL, TEXT and BLOB.
    id = "INTEGER"
    real = "REAL"
    key = "TEXT"
    timestamp = Text()
    json = Text()

    def stored_moment(self, moment: datetime) -> str:
        """ISO 8601 with milliseconds and a Z, which sorts by time."""
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def stored_document(self, document: object) -> str:
        return json.dumps(document, sort_keys=True)

    now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    milliseconds = (
        "max(CAST(strftime('%s', {0}) AS INTEGER) * 1000 + CAST(substr({0}, 21, 3) AS INTEGER),"
        " CAST(strftime('%s', '1900-01-01') AS INTEGER) * 1000)"
    )
    moment_of_milliseconds = "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')"
    differs = "IS NOT"
    temporary_schema = "temp"
    next_id = "NULL"
    last_version = "SELECT last FROM patient_version_counter"
    # There is one writer at a time, so the row version alone tells which rows are older.
    first_writer = "SELECT 0"
    came_before_writer = ":writer = 0"
    unless_held = ""
    revision_table = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    sources_of_run = "json_each(runs.counts, '$.sources') AS item"
    keeps_deleted = (
        "blocks that the disk has freed, of this file, of its journals and of temporary files"
    )

    scoring: Scoring = scoring

    def read_columns(
        self,
        connection: Connection,
        statement: str,
        rows: int,
        exact: int = 0,  # noqa: ARG002 (SQLite has no decimals)
    ) -> Generator[list["pd.Series"]]:
        import pandas as pd

        with closing(self.cursor(connection)) as cursor:
            cursor.execute(statement)
            while block := cursor.fetchmany(rows):
                yield [pd.Series(values, dtype=object) for values in zip(*block, strict=True)]

    def append_frame(self, connection: Connection, table: str, frame: "pd.DataFrame") -> None:
        names = ", ".join(map(column, frame.columns))
        marks = ", ".join("?" * frame.shape[1])
        values = [
            frame[name].astype(object).where(frame[name].notna(), None).tolist()
            for name in frame.columns
        ]
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", list(zip(*values, strict=True))
        )

    def append_texts(
        self, connection: Connection, table: str, column: str, texts: Sequence[str]
    ) -> None:
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({column}) VALUES (?)", [(text,) for text in texts]
        )

    def cursor(self, connection: Connection) -> Any:
        """The driver's cursor, for plain tuples: SQLAlchemy's row objects cost more than reading a
        row."""
        return connection.connection.cursor()

    stream = cursor

    def index_staged(self, connection: Connection, table: str) -> None:
        """Index the table by key; SQLite names an index with its schema, and the table without."""
        schema_name, name = table.split(".")
        connection.exec_driver_sql(f"CREATE INDEX {schema_name}.{name}_key ON {name} (source_key)")

    def delete_by_ids(self, connection: Connection, table: str, column: str, ids: str) -> str:
        """By a look at who refers to each row: SQLite names no foreign key, and a deferred one
        objects only at COMMIT, too late to leave that row."""
        keeper = connection.exec_driver_sql(_KEEPER.format(table=table)).scalar()
        rows = f"FROM {table} WHERE {column} IN ({ids})"
        connection.exec_driver_sql(f"DELETE {rows} AND {keeper} IS NULL")
        return connection.exec_driver_sql(f"SELECT {keeper} {rows}").scalar() or ""

    def draw_ids_above_given(self, connection: Connection) -> None:
        """Move the counter above the ids in row_keys. AUTOINCREMENT moves it for every row that is
        inserted, but its own record may have been lost."""
        kept = "(SELECT coalesce(max(patient_id), 0) FROM row_keys)"
        connection.exec_driver_sql(
            f"UPDATE sqlite_sequence SET seq = max(seq, {kept}) WHERE name = 'patients'"
        )
        connection.exec_driver_sql(f"""
            INSERT INTO sqlite_sequence (name, seq) SELECT 'patients', {kept}
            WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'patients')""")

    def insert_unless_there(self, table: Table, unique: Sequence[str]) -> Insert:
        return insert(table).on_conflict_do_nothing(index_elements=unique)

    translated_schema = staticmethod(schema.translated_schema)
    columns = staticmethod(schema.columns)
    fault_of_tables = staticmethod(schema.fault_of_tables)
    fault_of_triggers = staticmethod(schema.fault_of_triggers)
    make_triggers = staticmethod(schema.make_triggers)
