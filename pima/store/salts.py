"""What is drawn once for an installation: who is held out goes by one salt, and who was forgotten by another."""

import secrets

from sqlalchemy import Connection, insert, select, update

from pima.errors import WrongConfiguration
from pima.store.single_rows import first_row
from pima.store.tables import installation


def keep_salt(connection: Connection, salt: str, may_draw: bool = True) -> None:
    """Into a new database, or draw one; raises WrongConfiguration where an existing one has another, SchemaDiffers
    where none may be drawn: whoever was held out and forgotten went by the one that is gone."""
    kept = connection.scalar(select(installation.c.holdout_salt)) if may_draw else holdout_salt(connection, salt)
    if kept is None:
        # A random salt of 256 bits unless the operator gave one.
        connection.execute(insert(installation).values(id=1, holdout_salt=salt or secrets.token_hex(32)))
    elif salt and salt != kept:
        raise _other_salt()
    # Of a database from before anybody could be forgotten, too.
    lacks_one = update(installation).where(installation.c.forgetting_salt.is_(None))
    connection.execute(lacks_one.values(forgetting_salt=secrets.token_hex(32)))


def holdout_salt(connection: Connection, configured: str) -> str:
    """The database's salt; raises WrongConfiguration where the settings name another."""
    kept: str = first_row(connection, select(installation.c.holdout_salt), "installation")[0]
    if configured and configured != kept:
        raise _other_salt()
    return kept


def _other_salt() -> WrongConfiguration:
    what = "holdout.salt differs from the salt that this database was installed with"
    expected = "an empty holdout.salt, or the same one: another would move training rows into the test set"
    return WrongConfiguration(what=what, expected=expected)
