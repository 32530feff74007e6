"""What a table or view is that has a name, and what decides, besides its rows, what it gives: what it was made with."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, text


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


_MADE = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
# Those that SQLite makes for itself come with ANALYZE and the like.
_ALL_MADE = text("""
    SELECT sql FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY sql""")


def definition(connection: Connection, table: str | None) -> str:
    """Of the table of this name; of a view or a query all that the file has, since what is below it is not known."""
    made: str | None = connection.scalar(_MADE, {"name": table})
    return made or "; ".join(connection.scalars(_ALL_MADE))
