"""The schema in SQLite: what its catalogue says of tables, keys, conditions, indexes and views, and the triggers."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, text

from pima.store.schema import VIEW, read_script, statements
from pima.store.tables import TABLES


def columns(connection: Connection, _tables: Sequence[str]) -> dict[str, str]:
    """Each column of each table -> its type."""
    found = connection.execute(
        text("""
            SELECT m.name || '.' || c.name, lower(c.type) || CASE WHEN c.hidden > 0 THEN ', computed' ELSE '' END
            FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'""")
    )
    return {row[0]: row[1] for row in found}


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """A table that was rebuilt without STRICT takes text for a measurement, which no code here reads."""
    # Alembic's own never was.
    found = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict AND name <> 'alembic_version'"
    lax = set(connection.scalars(text(found)))
    return next((f"the table {name} is no longer STRICT (rebuild it so)" for name in tables if name in lax), None)


_COLUMNS = text("""
    SELECT m.name, c.name, c.pk, c."notnull", instr(upper(m.sql), 'AUTOINCREMENT') > 0
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' ORDER BY m.name, c.pk""")
_INDEXES = text("""
    SELECT m.name, i.name, i."unique" FROM sqlite_master m JOIN pragma_index_list(m.name) i
    WHERE m.type = 'table' AND i.origin = 'c'""")
_UNIQUE = text("""
    SELECT m.name, i.name, c.name FROM sqlite_master m JOIN pragma_index_list(m.name) i
        JOIN pragma_index_info(i.name) c
    WHERE m.type = 'table' AND i.origin = 'u' ORDER BY m.name, i.name, c.seqno""")
_TEXTS = text("SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')")
# Tools that rebuild a table put names in quotes.
_CHECK = re.compile(r"""\bCONSTRAINT\s+["'`[]?(\w+)["'`\]]?\s+CHECK\b""", re.IGNORECASE)


def constraints(connection: Connection, names: Sequence[str]) -> set[tuple[str, str]]:
    """List what each of these tables and views has, in the words of `pima.store.schema`, and maybe more."""
    return {*_of_columns(connection), *_of_indexes(connection), *_of_texts(connection, names)}


def _of_columns(connection: Connection) -> Iterator[tuple[str, str]]:
    for table, columns in groupby(connection.execute(_COLUMNS).all(), key=lambda row: row[0]):
        found = list(columns)
        yield table, f"PRIMARY KEY ({', '.join(row[1] for row in found if row[2])})"
        yield from ((table, f"NOT NULL on {row[1]}") for row in found if row[3])
        # Only a key of one column can have it.
        yield from ((table, f"IDENTITY on {row[1]}") for row in found if row[2] and row[4])


def _of_indexes(connection: Connection) -> Iterator[tuple[str, str]]:
    for table, name, is_unique in connection.execute(_INDEXES):
        yield table, f"{'UNIQUE ' if is_unique else ''}INDEX {name}"
    for (table, _), columns in groupby(connection.execute(_UNIQUE).all(), key=lambda row: tuple(row[:2])):
        yield table, f"UNIQUE ({', '.join(name for _, _, name in columns)})"


def _of_texts(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, kind, made in connection.execute(_TEXTS):
        if kind == "view":
            yield name, VIEW
            # Views read tables by their names, and a name that is also a word of the text does no harm.
            yield from ((name, f"rows of {word}") for word in re.findall(r"\w+", made) if word in names)
        yield from ((name, f"CHECK {check}") for check in _CHECK.findall(made))


# ---- The triggers, which stand in triggers.sql: made, and compared with what is there.

_SCRIPT = Path(__file__).with_name("triggers.sql")
_NAMED = re.compile(r"CREATE TRIGGER (\w+)\s.*?\bON (\w+)", re.DOTALL)


def make_triggers(connection: Connection, features: tuple[str, ...]) -> None:
    """Make the triggers anew, whatever stands there under their names."""
    for (name, _), statement in _expected_triggers(features).items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(statement)


def fault_of_triggers(connection: Connection, features: tuple[str, ...]) -> str | None:
    """Say which trigger is not as `make_triggers` makes it, or is somebody else's; None where all is well."""
    there = text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
    found = {row.name: row for row in connection.execute(there)}
    for (name, table), statement in _expected_triggers(features).items():
        row = found.pop(name, None)
        if row is None:
            return f"the trigger {name} on {table} is missing"
        if row.sql != statement:
            return f"the trigger {name} on {table} is not the one that was made"
    tables = {table.name for table in TABLES}
    for row in found.values():
        if row.tbl_name in tables:
            return (
                f"the trigger {row.name} on {row.tbl_name} is not one of pima's, and could change rows unseen (drop it)"
            )
    return None


def _expected_triggers(features: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """The statements as the catalogue keeps them, by the triggers' names and tables."""
    made = (statement.strip().rstrip(";") for statement in statements(read_script(_SCRIPT, features)))
    return {_NAMED.findall(statement)[0]: statement for statement in made}
