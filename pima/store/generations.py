"""The generations of the holdout: which share of the patients no model learns from, since when, and who decided so.

The share belongs to the installation, as the salt does. A model that was fitted under another one has learned from
rows that are in the holdout now, so a change is a decision on record, and each version says under which it was fitted.
So it is where keys come for a whole table, and rows go by those from then on.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from pima.errors import WrongConfiguration
from pima.store.tables import holdout_generations


@dataclass(frozen=True, slots=True)
class Generation:
    """A row of the table; each field is the column of its name."""

    number: int
    """From 1; the highest is the one that counts."""
    share: float
    since: datetime
    """By the database's clock; for people: no rule goes by it."""
    decided_by: str
    reason: str


def newest_generation(connection: Connection) -> Generation | None:
    """The one that counts; None in a schema that is being made."""
    columns = [holdout_generations.c[name] for name in Generation.__dataclass_fields__]
    row = connection.execute(select(*columns).order_by(holdout_generations.c.number.desc()).limit(1)).first()
    return None if row is None else Generation(**row._mapping)


def share_of(connection: Connection, number: int) -> float | None:
    """The share of one of them; None where it is not on record."""
    share: float | None = connection.scalar(
        select(holdout_generations.c.share).where(holdout_generations.c.number == number)
    )
    return share


def holdout_generation(connection: Connection, configured_share: float) -> Generation:
    """The one that counts; raises WrongConfiguration where the settings have another share."""
    newest = newest_generation(connection)
    if newest is None:
        what = "the database does not say which share of the patients its holdout has"
        raise WrongConfiguration(what=what, expected="a row in holdout_generations: run python -m jobs.migrate")
    difference = share_difference(newest, configured_share)
    if difference is not None:
        expected = (
            f"holdout.share = {newest.share}: under another, models would be judged on rows that they learned from. To "
            f"change it all the same, keep {newest.share} in the settings, run python -m jobs.models holdout "
            f"--share {configured_share} --reason TEXT, then set {configured_share}"
        )
        raise WrongConfiguration(what=difference, expected=expected)
    return newest


def share_difference(newest: Generation, configured_share: float) -> str | None:
    """How the settings' share differs from the one that counts, in words; None where it doesn't."""
    if newest.share == configured_share:
        return None
    return f"holdout.share is {configured_share} in the settings and {newest.share} in this database"


def keep_share(connection: Connection, configured_share: float) -> None:
    """Begin with the settings' share where nothing was decided yet; else raise where the settings have another."""
    if newest_generation(connection) is None:
        begin_generation(connection, configured_share, "migrate", "the settings when the schema was made")
    holdout_generation(connection, configured_share)


def begin_generation(connection: Connection, share: float, decided_by: str, reason: str) -> Generation:
    """From now on this share counts; the caller holds the champion's lock, so numbers don't race."""
    newest = newest_generation(connection)
    values = {"number": 1 if newest is None else newest.number + 1, "share": share}
    row = connection.execute(
        insert(holdout_generations)
        .values(**values, decided_by=decided_by, reason=reason)
        .returning(*[holdout_generations.c[name] for name in Generation.__dataclass_fields__])
    ).one()
    return Generation(**row._mapping)
