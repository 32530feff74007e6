"""The declarations of a database: what has been scored since when, who decided so and why.

The tables are made from the first one, and changed by a command; a configuration that says otherwise is an error, since
its rows would be judged by rules that the database's models never saw.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from pima.core.features import Declaration, Features, first_difference
from pima.errors import DeclarationChanged, DeclarationDiffers
from pima.store.single_rows import first_row
from pima.store.tables import declarations


def newest_declaration(connection: Connection) -> Declaration:
    """The one that counts."""
    statement = select(declarations.c.declaration).order_by(declarations.c.number.desc()).limit(1)
    return as_declaration(first_row(connection, statement, "declarations")[0])


def newest_number(connection: Connection) -> int:
    """Of the one that counts; 0 in a schema that is being made."""
    return connection.scalar(select(declarations.c.number).order_by(declarations.c.number.desc()).limit(1)) or 0


def as_declaration(stored: Any) -> Declaration:
    """From what the column has."""
    return msgspec.convert(stored, Declaration, str_keys=True)


def as_features(stored: Any) -> Features:
    """From what a model version has of the features that it was fitted on."""
    return msgspec.convert(stored, Features, str_keys=True)


def as_stored(declared: Declaration | Features) -> Any:
    """What the columns take."""
    stored = msgspec.to_builtins(declared, str_keys=True)
    features = stored["feature"] + stored["retired"] if isinstance(declared, Declaration) else stored
    for feature in features:
        # A key that earlier releases don't know stands there only where it says something.
        if not feature["bands"]:
            del feature["bands"]
    return stored


def require_declared(configured: Declaration, stored: Declaration) -> None:
    """Raises DeclarationDiffers where the settings say otherwise than the database."""
    what = first_difference(configured, stored)
    if what is not None:
        raise DeclarationDiffers(what=what)


def require_still_declared(connection: Connection, known: Features) -> None:
    """Raises DeclarationChanged where other features count by now than those that a command reads its rows by.

    Asked behind `only_one_load`: whoever changes them waits for the loads that there are, and later ones see it.
    """
    if newest_declaration(connection).features != known:
        raise DeclarationChanged()


def record_declaration(connection: Connection, declaration: Declaration, decided_by: str, reason: str) -> None:
    """From now on this one counts; the caller keeps other migrations out, so numbers don't race."""
    values = {"number": newest_number(connection) + 1, "declaration": as_stored(declaration)}
    connection.execute(insert(declarations).values(**values, decided_by=decided_by, reason=reason))
