"""What SQLite's catalogue says of the tables."""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def columns(connection: Connection, _tables: Sequence[str]) -> dict[str, str]:
    """Each column of each table -> its type."""
    rows = connection.execute(
        text("""
            SELECT m.name || '.' || c.name, lower(c.type)
            FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'""")
    )
    return {row[0]: row[1] for row in rows}


def fault_of_tables(_connection: Connection, _tables: Sequence[str]) -> str | None:
    """A table is what its name says."""
    return None


def wait_for_other_migrations(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited for the write lock."""
