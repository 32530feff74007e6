"""Whether a source reads a table or view of pima's own, by which it would feed itself."""

from collections.abc import Sequence

from sqlalchemy import Engine

from pima.core.source import Source
from pima.errors import SourceUnusable
from pima.store.database import database_of
from pima.store.engine import reading
from pima.store.source_engine import known_database, reading_source
from pima.store.tables import TABLES, VIEWS

_OUR_NAMES = frozenset((*(table.name for table in TABLES), *VIEWS))
_COLUMNS = {table.name: frozenset(table.columns.keys()) for table in TABLES}
_COLUMNS["current_predictions"] = frozenset({"patient_id", "patient_version", "model_version", "superseded"})


def looks_like_ours(source: Source, columns: Sequence[str]) -> bool:
    """Whether a table with these columns is one of pima's own, by its name and by all that ours has, in whatever
    database."""
    ours = _COLUMNS.get(source.table_parts[-1].lower()) if source.table_parts else None
    return ours is not None and ours.issubset(columns)


def require_not_ours(engine: Engine, source: Source, source_engine: Engine) -> None:
    """A table or view of pima's own would feed itself: each of its rows came in as another patient, pull after pull.

    What a query or a view of somebody else's reads can't be known. Raises SourceUnusable, SourceAway.
    """
    name, database = source.table_parts[-1].lower(), database_of(engine)
    if source.query or name not in _OUR_NAMES or known_database(source_engine) is not database:
        return
    with reading(engine) as connection:
        ours = database.database_id(connection), database.table_id(connection, [name])
    with reading_source(source_engine, source.name) as connection:
        theirs = database.database_id(connection), database.table_id(connection, source.table_parts)
    if theirs == ours:
        what = f"its table {name} is pima's own, so that its rows would come in anew with each pull"
        expected = "a table or view of the clinic's; rows that other software writes to patients need no [[source]]"
        raise SourceUnusable(source=source.name, what=what, expected=expected)
