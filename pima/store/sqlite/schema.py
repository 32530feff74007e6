"""What SQLite's catalogue says of the tables."""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def columns(connection: Connection, _tables: Sequence[str]) -> dict[str, str]:
    """Each column of each table -> its type."""
    rows = connection.execute(
        text("""
            SELECT m.name || '.' || c.name, lower(c.type) || CASE WHEN c.hidden > 0 THEN ', computed' ELSE '' END
            FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'""")
    )
    return {row[0]: row[1] for row in rows}


def fault_of_names(_connection: Connection, _names: Sequence[str]) -> str | None:
    """A file has one schema."""
    return None


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """A table that was rebuilt without STRICT takes text for a measurement, which no code here reads."""
    lax = set(connection.scalars(text("SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict")))
    return next((f"the table {name} is no longer STRICT (rebuild it so)" for name in tables if name in lax), None)


def wait_for_other_migrations(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited for the write lock."""


def keep_patients(_connection: Connection) -> None:
    """The write lock keeps writers away, and readers see what was there before."""


def wait_for_batches(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited."""
