"""What sessions on PostgreSQL begin with, set for a database or a role."""

from sqlalchemy import text

from pima.store.engine import writing
from tests.support.databases import Database


def default_to(database: Database, settings: dict[str, str], whose: str = "DATABASE {database}") -> None:
    """Set them for all sessions to come, the test's own among them."""
    with writing(database.engine) as connection:
        names = connection.execute(text("SELECT current_database(), quote_ident(current_user)")).one()
        target = whose.format(database=names[0], role=names[1])
        for name, value in settings.items():
            parts = ", ".join(f"'{part}'" for part in value.split(", "))
            connection.execute(text(f"ALTER {target} SET {name} = {parts}"))
    database.engine.dispose()
