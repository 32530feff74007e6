"""What of a source decides which rows it gives, and with which values, besides what is written to its tables."""

from sqlalchemy import Engine

from pima.core.source import Source
from pima.store.source_engine import known_database, reading_source


def definition_of(engine: Engine, source: Source) -> str:
    """Another text once that may have changed, as its own connection sees it; empty where it can't be known, as in
    another database than pima knows.

    Raises SourceAway, SourceUnusable.
    """
    database = known_database(engine)
    if database is None:
        return ""
    with reading_source(engine, source.name) as connection:
        table = None if source.query else database.table_id(connection, source.table_parts)
        return database.definition(connection, table)
