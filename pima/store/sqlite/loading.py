"""Taking in files on SQLite: the write lock keeps other loads out, and the counter goes by given ids too."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection


def wait_for_other_loads(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited."""


def keep_from_deletion(_connection: Connection, _table: str) -> None:
    """The write lock does."""


def lock_unless_held(_connection: Connection, _rows: str, _lock: str, _parameters: Mapping[str, Any]) -> bool:
    """The write lock has them all."""
    return True


def append_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    texts: int = 0,  # noqa: ARG001 (a parameter may be a text in any place)
) -> None:
    """Add rows of numbers and None, behind so many texts."""
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    connection.exec_driver_sql(statement, [tuple(row) for row in rows])


def let_labels_be_given(connection: Connection, given: bool) -> None:
    """By a mark that only this transaction sees, which has the write lock."""
    connection.exec_driver_sql(f"UPDATE patient_version_counter SET labelling = {int(given)}")


def join_by_index(_connection: Connection) -> None:
    """It knows no other way."""


def draw_ids_above_given(_connection: Connection) -> None:
    """AUTOINCREMENT does it already."""
