"""What decides, besides its rows, what a table or view gives to who reads it: what it was made with."""

from sqlalchemy import Connection, text

_MADE = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
# Those that SQLite makes for itself come with ANALYZE and the like.
_ALL_MADE = text("""
    SELECT sql FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY sql""")


def definition(connection: Connection, table: str | None) -> str:
    """Of the table of this name; of a view or a query all that the file has, since what is below it is not known."""
    made: str | None = connection.scalar(_MADE, {"name": table})
    return made or "; ".join(connection.scalars(_ALL_MADE))
