"""Leases: the right to do what must not be done twice at once, by the database's clock.

A lease is a row, not an advisory lock: those leak through connection pools and don't exist on
SQLite. Its fence grows with every owner: so one that has lost the lease without noticing is told
from its successor.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select, text, update

from pima.store.database import FIRST_OF_1970, Timestamp
from pima.store.engine import clock
from pima.store.service.runs import Status
from pima.store.tables import leases

RETRAINING = "retrain"
"""The lease of a retraining."""
RETAINING = "retain"
"""The lease of a run that removes old rows, or moves them to files."""

_OVER = FIRST_OF_1970
"""The end of a released lease: in the past, even if the clock is set back later."""


def take_lease(connection: Connection, name: str, owner: str, seconds: int) -> int | None:
    """Take a lease that is free or has expired, or whose run is over or not on record; return its
    fence, None if another holds it."""
    now = clock(connection)
    # A run that was killed left its lease, and a long one if the clock was set back since; a
    # restore of some tables may bring a lease without its run. By a statement of its own, and of
    # the fence that it saw: where it had to wait for another taker, it does not see that taker's
    # run.
    over = f"""
        UPDATE leases SET expires_at = '{_OVER.isoformat()}'
        WHERE (name, fence) IN (SELECT name, fence FROM leases
            WHERE name = :name AND owner LIKE 'run %' AND owner NOT IN (SELECT 'run ' || id
                FROM runs WHERE status = '{Status.RUNNING}'))"""
    connection.execute(text(over), {"name": name})
    values = {"name": name, "owner": owner, "now": now, "until": now + timedelta(seconds=seconds)}
    # One statement inserts it, or takes it over if it has expired: of two at once, one gets no row
    # back.
    statement = text("""
        INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, :owner, 1, :until)
        ON CONFLICT (name) DO UPDATE
        SET owner = EXCLUDED.owner, fence = leases.fence + 1, expires_at = EXCLUDED.expires_at
        WHERE leases.expires_at <= :now
        RETURNING fence""")
    typed = [bindparam(name, type_=Timestamp()) for name in ("now", "until")]
    return connection.scalar(statement.bindparams(*typed), values)


def renew_lease(connection: Connection, name: str, fence: int, seconds: int) -> bool:
    """Extend a lease that is still ours; return whether it was."""
    return _end_at(connection, name, fence, clock(connection) + timedelta(seconds=seconds))


def release_lease(connection: Connection, name: str, fence: int) -> None:
    """End a lease; its row stays, so that the fence never decreases."""
    _end_at(connection, name, fence, _OVER)


def _end_at(connection: Connection, name: str, fence: int, moment: datetime) -> bool:
    ours = update(leases).where(leases.c.name == name, leases.c.fence == fence)
    return connection.execute(ours.values(expires_at=moment)).rowcount == 1


def owner_of(run_id: int) -> str:
    """The name of a run as the owner of a lease."""
    return f"run {run_id}"


def lease_holder(connection: Connection, name: str) -> tuple[str, str]:
    """Owner and end of a lease, for the message to a process that did not get it."""
    holder = select(leases.c.owner, leases.c.expires_at).where(leases.c.name == name)
    row = connection.execute(holder).one()
    return row.owner, row.expires_at.isoformat()
