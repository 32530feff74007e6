"""What is drawn once for an installation: who is held out goes by one salt, and who was forgotten by another."""

import secrets

from sqlalchemy import Connection, insert, select, update

from pima.errors import WrongConfiguration
from pima.store.tables import installation


def keep_salt(connection: Connection, salt: str) -> None:
    """Into a new database, or draw one; raises WrongConfiguration where an existing one has another."""
    kept = connection.scalar(select(installation.c.holdout_salt))
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
    kept: str = connection.execute(select(installation.c.holdout_salt)).scalar_one()
    if configured and configured != kept:
        raise _other_salt()
    return kept


def _other_salt() -> WrongConfiguration:
    what = "holdout.salt differs from the salt that this database was installed with"
    expected = "an empty holdout.salt, or the same one: another would move training rows into the test set"
    return WrongConfiguration(what=what, expected=expected)
