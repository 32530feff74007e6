"""SQLite's triggers, which stand in triggers.sql: made, and compared with what is there."""

import re
from pathlib import Path

from sqlalchemy import Connection, text

from pima.store.scripts import read_script, statements
from pima.store.tables import TABLES

_SCRIPT = Path(__file__).with_name("triggers.sql")
_NAMED = re.compile(r"CREATE TRIGGER (\w+)\s.*?\bON (\w+)", re.DOTALL)


def make(connection: Connection, features: tuple[str, ...]) -> None:
    """Make the triggers anew, whatever stands there under their names."""
    for (name, _), statement in _expected(features).items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(statement)


def fault(connection: Connection, features: tuple[str, ...]) -> str | None:
    """Say which trigger is not as `make` makes it, or is somebody else's; None where all is well."""
    found = {row.name: row for row in connection.execute(text(_FOUND))}
    for (name, table), statement in _expected(features).items():
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


_FOUND = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"


def _expected(features: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """The statements as the catalogue keeps them, by the triggers' names and tables."""
    made = (statement.strip().rstrip(";") for statement in statements(read_script(_SCRIPT, features)))
    return {_NAMED.findall(statement)[0]: statement for statement in made}
