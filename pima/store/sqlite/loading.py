"""Taking in files on SQLite: the write lock keeps other loads out, and the counter goes by given ids too."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from pima.core.identifiers import LARGEST_ID


def wait_for_other_loads(_connection: Connection) -> None:
    """BEGIN IMMEDIATE has waited."""


@contextmanager
def waiting_a_moment(_connection: Connection) -> Iterator[None]:
    """Whoever has the write lock waits for no other writer."""
    yield


def lock_unless_held(_connection: Connection, _rows: str, _lock: str, _parameters: Mapping[str, Any]) -> bool:
    """The write lock has them all."""
    return True


def index_staged(connection: Connection, table: str) -> None:
    """Index the table by key, in the table's own schema, as SQLite writes it."""
    schema, name = table.split(".")
    connection.exec_driver_sql(f"CREATE UNIQUE INDEX {schema}.{name}_key ON {name} (source_key)")
    connection.exec_driver_sql(f"CREATE INDEX {schema}.{name}_keys_key ON {name}_keys (source_key)")


def join_by_index(_connection: Connection) -> None:
    """It knows no other way."""


_LARGEST_KEPT = "(SELECT coalesce(max(patient_id), 0) FROM row_keys)"


def draw_ids_above_given(connection: Connection) -> None:
    """AUTOINCREMENT does it already for those that are there; of a row that is gone only its own note knows, which may
    have been set by hand, or lost."""
    noted = f"CASE WHEN typeof(seq) = 'integer' AND seq <= {LARGEST_ID} THEN seq ELSE 0 END"
    connection.exec_driver_sql(
        f"UPDATE sqlite_sequence SET seq = max({noted}, {_LARGEST_KEPT}) WHERE name = 'patients'"
    )
    connection.exec_driver_sql(f"""
        INSERT INTO sqlite_sequence (name, seq) SELECT 'patients', {_LARGEST_KEPT}
        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'patients')""")
