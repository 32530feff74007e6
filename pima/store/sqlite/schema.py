"""What SQLite's catalogue says of the tables."""

import re
from collections.abc import Sequence

from sqlalchemy import Connection, text

# No catalogue has it. Between a column's name and its collation stand no comma and no other column's type.
_COLLATED = re.compile(
    r"""(\w+)["'`\]]?\s+["'`[]?TEXT\b(?:(?!\bTEXT\b)[^,])*?\bCOLLATE\s+["'`[]?(?!BINARY\b)(\w+)""", re.IGNORECASE
)


def columns(connection: Connection, _tables: Sequence[str]) -> dict[str, str]:
    """Each column of each table -> its type."""
    rows = connection.execute(
        text("""
            SELECT m.name, m.sql, c.name, lower(c.type), CASE WHEN c.hidden > 0 THEN ', computed' ELSE '' END
            FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'""")
    ).all()
    collations = {made: _collations(made) for made in {row[1] for row in rows}}
    return {
        f"{table}.{name}": f"{kind}{collations[made].get(name, '')}{computed}"
        for table, made, name, kind, computed in rows
    }


def _collations(made: str) -> dict[str, str]:
    """By the columns that a table was made with, those which are compared by other than their bytes."""
    if "collate" not in made.lower():
        return {}
    return {found[1]: f' collate "{found[2].lower()}"' for found in _COLLATED.finditer(made)}


def fault_of_names(connection: Connection, _names: Sequence[str]) -> str | None:
    """A file has one schema. In another encoding its keys would be in another order than the sources'."""
    encoding = connection.scalar(text("PRAGMA encoding"))
    if encoding == "UTF-8":
        return None
    return f"the file keeps its texts in {encoding}, where UTF-8 was expected (copy it into a new file)"


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """A table that was rebuilt without STRICT takes text for a measurement, which no code here reads."""
    # Alembic's own never was.
    found = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict AND name <> 'alembic_version'"
    lax = set(connection.scalars(text(found)))
    return next((f"the table {name} is no longer STRICT (rebuild it so)" for name in tables if name in lax), None)


def wait_for_other_migrations(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited for the write lock."""


def keep_patients(_connection: Connection) -> None:
    """The write lock keeps writers away, and readers see what was there before."""


def wait_for_batches(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited."""
