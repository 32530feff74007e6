"""Attaching a source: triggers on its table, where that is in pima's own database, note which keys were touched."""

from collections.abc import Sequence

from sqlalchemy import Engine

from pima.core.source import Source
from pima.errors import AttachNotAllowed, CannotAttach, RightMissing, SourceUnusable
from pima.store import attaching
from pima.store.database import database_of
from pima.store.engine import reading, writing
from pima.store.source_engine import known_database, reading_source
from pima.store.tables import TABLES, VIEWS

_OUR_NAMES = frozenset((*(table.name for table in TABLES), *VIEWS))


def attach_statements(engine: Engine, source: Source, source_engine: Engine) -> list[str]:
    """What attaches a source, or makes its triggers anew. Raises CannotAttach, SourceAway, SourceUnusable."""
    require_not_ours(engine, source, source_engine)
    table = table_of(engine, source, source_engine)
    with reading(engine) as connection:
        what = database_of(connection).attaching.obstacle(connection, table, source)
        if what is not None:
            raise CannotAttach(source=source.name, what=what)
        return attaching.attach_statements(connection, table, source)


def detach_statements(engine: Engine, name: str) -> list[str]:
    """What takes a source's triggers away, and all that they noted."""
    with reading(engine) as connection:
        return attaching.detach_statements(connection, name)


def carry_out(engine: Engine, name: str, statements: list[str]) -> None:
    """In one transaction. Raises AttachNotAllowed."""
    try:
        with writing(engine) as connection:
            attaching.carry_out(connection, statements)
    except RightMissing as error:
        raise AttachNotAllowed(role=error.facts["role"], source=name) from None


def table_of(engine: Engine, source: Source, source_engine: Engine) -> str:
    """What pima's own catalogue knows the source's table by.

    Asked by the source's own connection, whose role may find another table by the same name. Raises CannotAttach,
    SourceAway, SourceUnusable.
    """
    if source.query:
        raise CannotAttach(source=source.name, what="it is a query")
    if known_database(source_engine) is not database_of(engine):
        raise CannotAttach(source=source.name, what="it is in another database")
    calls = database_of(engine).attaching
    with reading(engine) as connection:
        ours = calls.database_id(connection)
    with reading_source(source_engine, source.name) as connection:
        if calls.database_id(connection) != ours:
            raise CannotAttach(source=source.name, what="it is in another database, or on another server")
        table = calls.table_id(connection, source.table_parts)
    if table is None:
        raise CannotAttach(source=source.name, what=f"there is no {'.'.join(source.table_parts)} for its URL")
    return table


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
    name = source.table_parts[-1].lower()
    if source.query or name not in _OUR_NAMES:
        return
    try:
        table = table_of(engine, source, source_engine)
    except CannotAttach:
        return
    with reading(engine) as connection:
        ours = database_of(connection).attaching.table_id(connection, [name])
    if table == ours:
        what = f"its table {name} is pima's own, so that its rows would come in anew with each pull"
        expected = "a table or view of the clinic's; rows that other software writes to patients need no [[source]]"
        raise SourceUnusable(source=source.name, what=what, expected=expected)
