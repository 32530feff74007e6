"""Who was forgotten: what is kept of them, and asking whether somebody is one of them."""

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from pima.core.identifiers import Forgotten, mark_of
from pima.store.engine import first_row
from pima.store.tables import forgotten, installation


def everyone_forgotten(connection: Connection) -> Forgotten:
    """All marks, with the salt by which names become such."""
    salt = first_row(connection, select(installation.c.forgetting_salt), "installation")[0]
    return Forgotten(salt, frozenset(connection.execute(select(forgotten.c.mark)).scalars()))


def keep_marks(connection: Connection, known: Forgotten, names: Iterable[str], decided_by: str, reason: str) -> int:
    """Remember these names from now on; how many were not known before."""
    new = {mark_of(name, known.salt) for name in names} - known.marks
    rows = [{"mark": mark, "decided_by": decided_by, "reason": reason} for mark in sorted(new)]
    if rows:
        connection.execute(insert(forgotten), rows)
    return len(rows)
