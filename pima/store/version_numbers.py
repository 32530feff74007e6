"""The numbers of model versions."""

from sqlalchemy import Connection, func, select, union_all

from pima.store.tables import model_versions, monitoring, promotions, runs, tallies, training_snapshots

# Where some tables were restored without others, the number of a lost version is not free: predictions have it.
_GIVEN = (
    model_versions.c.number,
    promotions.c.challenger,
    *(each.c.model_version for each in (runs, tallies, monitoring, training_snapshots)),
)


def next_version_number(connection: Connection) -> int:
    """One that no version ever had, as far as any table still knows."""
    given = union_all(*(select(func.max(column).label("last")) for column in _GIVEN)).subquery()
    return (connection.scalar(select(func.max(given.c.last))) or 0) + 1
