"""What is decided once, when a database is made: who is held out of training, and how the forgotten are hashed."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from pima.errors import WrongConfiguration
from pima.settings.sections import HoldoutSettings
from pima.store.single_rows import first_row
from pima.store.tables import installation


@dataclass(frozen=True, slots=True)
class HoldoutRule:
    """Who is held out: everybody whose salted hash lies within the share."""

    salt: str
    share: float


def begin_installation(connection: Connection, settings: HoldoutSettings) -> None:
    """Decide them for a new database. Without a salt in the settings one of 256 random bits is drawn."""
    values = {"holdout_salt": settings.salt or secrets.token_hex(32), "holdout_share": settings.share}
    connection.execute(insert(installation).values(id=1, **values, forgetting_salt=secrets.token_hex(32)))


def holdout_rule(connection: Connection) -> HoldoutRule:
    """The database's own. Raises SchemaDiffers where the row is gone."""
    columns = installation.c.holdout_salt, installation.c.holdout_share
    return HoldoutRule(*first_row(connection, select(*columns), "installation"))


def require_same_holdout(kept: HoldoutRule, settings: HoldoutSettings) -> None:
    """Raises WrongConfiguration where the settings name another salt or share than the database was made with."""
    if settings.salt and settings.salt != kept.salt:
        what = "holdout.salt differs from the salt that this database was made with"
        expected = "an empty holdout.salt, or the same one: another would move training rows into the test set"
        raise WrongConfiguration(what=what, expected=expected)
    if settings.share != kept.share:
        what = f"holdout.share is {settings.share} in the settings and {kept.share} in this database"
        expected = (
            f"holdout.share = {kept.share}, which the database keeps for ever: under another, models would be judged on"
            " rows that they learned from. Another share takes a new database"
        )
        raise WrongConfiguration(what=what, expected=expected)
