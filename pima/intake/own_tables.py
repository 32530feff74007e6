"""Whether a source reads a table or view of pima's own, by which it would feed itself."""

from collections.abc import Sequence

from sqlalchemy import Engine

from pima.core.source import Source
from pima.errors import SourceUnusable
from pima.store.source_engine import reading_source
from pima.store.source_query import names_of
from pima.store.tables import TABLES

_COLUMNS = {table.name: frozenset(table.columns.keys()) for table in TABLES}
_COLUMNS["current_predictions"] = frozenset({"patient_id", "patient_version", "model_version", "superseded"})


def looks_like_ours(source: Source, columns: Sequence[str]) -> bool:
    """Whether a table with these columns is one of pima's own, by its name and by all that ours has, in whatever
    database."""
    ours = _COLUMNS.get(source.table_parts[-1].lower()) if source.table_parts else None
    return ours is not None and ours.issubset(columns)


def require_not_ours(source: Source, source_engine: Engine) -> None:
    """A table or view of pima's own would feed itself: each of its rows came in as another patient, pull after pull.

    What a query or a view of somebody else's reads can't be known. Raises SourceUnusable, SourceAway.
    """
    if source.query or source.table_parts[-1].lower() not in _COLUMNS:
        return
    with reading_source(source_engine, source.name) as connection:
        names = names_of(connection, source)
    if looks_like_ours(source, names):
        what = f"its table {source.table_parts[-1]} is pima's own, so that its rows would come in anew with each pull"
        expected = "a table or view of the clinic's; rows that other software writes to patients need no [[source]]"
        raise SourceUnusable(source=source.name, what=what, expected=expected)
