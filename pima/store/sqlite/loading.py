"""Taking in files on SQLite: the write lock keeps other loads out, and the counter goes by given ids too."""

from collections.abc import Sequence

from sqlalchemy import Connection


def wait_for_other_loads(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited."""


def keep_from_deletion(_connection: Connection, _table: str) -> None:
    """The write lock does."""


def append_rows(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows of numbers and None."""
    marks = ", ".join("?" * len(columns))
    connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(rows))


def draw_ids_above_given(_connection: Connection) -> None:
    """AUTOINCREMENT does it already."""
