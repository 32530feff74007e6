"""Triggers on sources' tables, which note for a pull what was touched: which sources have them, and are they whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from pima.core.source import Source
from pima.store.database import database_of
from pima.store.tables import attached_sources


def attached_names(connection: Connection) -> list[str]:
    """The sources that were attached, and not detached since."""
    return list(connection.scalars(select(attached_sources.c.source).order_by(attached_sources.c.source)))


def attach_statements(connection: Connection, table: str, source: Source) -> list[str]:
    """What attaches a source, of the table that the catalogue knows by this; one transaction."""
    return database_of(connection).attaching.attaching(connection, table, source)


def detach_statements(connection: Connection, name: str) -> list[str]:
    """What takes a source's triggers away, with all that they noted; one transaction."""
    return database_of(connection).attaching.detaching(connection, name)


def carry_out(connection: Connection, statements: Sequence[str]) -> None:
    """As they are, since a colon or a percent sign in a name is no parameter."""
    database_of(connection).without_time_limit(connection)
    for statement in statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


@dataclass(frozen=True, slots=True)
class AttachFault:
    """Why the triggers of a source may not tell of every change, so that its pulls compare all of it."""

    source: str
    what: str
    """Reads on from a colon."""


def attach_faults(connection: Connection, sources: Sequence[Source]) -> list[AttachFault]:
    """Of all sources that were attached, held against those that the settings declare; empty where all is well."""
    declared = {source.name: source for source in sources}
    found = []
    for name in attached_names(connection):
        what = "it is attached, and the settings declare no source of that name (--detach takes its triggers away)"
        if name in declared:
            what = database_of(connection).attaching.fault(connection, declared[name], None) or ""
        if what:
            found.append(AttachFault(name, what))
    return found
