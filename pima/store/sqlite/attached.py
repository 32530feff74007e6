"""What SQLite's catalogue says of a source's table and of the triggers on it."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from pima.core.source import Source
from pima.store.sqlite.attaching import triggers_of, unique_columns
from pima.store.sqlite.trigger_texts import trigger_texts, what_keeps_others_from_running


def database_id(connection: Connection) -> str:
    """Which file this is, by whatever name."""
    found = Path(connection.execute(text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar_one())
    known = found.stat()
    return f"{known.st_dev} {known.st_ino}"


def table_id(connection: Connection, parts: Sequence[str]) -> str | None:
    """The name, as the file has it."""
    if len(parts) == 2 and parts[0].lower() != "main":
        return None
    statement = text("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = lower(:name)")
    found: str | None = connection.scalar(statement, {"name": parts[-1]})
    return found


def obstacle(connection: Connection, table: str, source: Source) -> str | None:
    """Why triggers on this table would not tell of every change, in words; None where they do."""
    kind = connection.scalar(
        text("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = :name"), {"name": table}
    )
    if kind != "table":
        return f"{table} is no table but a view or the like"
    columns = set(connection.scalars(text("SELECT name FROM pragma_table_xinfo(:name)"), {"name": table}))
    for column in source.keys:
        if column not in columns:
            return f"{table} has no column {column}, which is in the source's key"
    if any(column is None for columns in unique_columns(connection, table) for column, _ in columns):
        return f"{table} has a unique index on an expression, by which REPLACE takes rows away that no trigger can name"
    return what_keeps_others_from_running(trigger_texts(connection), table)


def fault(connection: Connection, source: Source, _table: str | None) -> str | None:
    """What of a source's triggers is not as `attaching` makes it, in words; None where all is well."""
    table = table_id(connection, source.table_parts)
    if table is None:
        return f"the table {source.table_parts[-1]} is missing"
    found = {trigger.name: trigger for trigger in trigger_texts(connection)}
    if what := obstacle(connection, table, source):
        return what
    for name, statement in triggers_of(connection, table, source).items():
        if name not in found:
            return f"the trigger {name} on its table is missing"
        if found[name].sql != statement:
            return (
                f"the trigger {name} is not as it was made: it notes something else than the key, or on another table"
            )
    return None


def state(connection: Connection, _source: str) -> str:
    """A number that is another one after each change of a table or a trigger, also where that was taken back."""
    return str(connection.execute(text("PRAGMA schema_version")).scalar_one())
