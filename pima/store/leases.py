"""Leases: who may do a thing that must not be done twice at once, by the database's clock.

A row instead of an advisory lock, which leaks through connection pools and does not exist on SQLite. The fence grows
with every owner, so that one that lost its lease without noticing can be told from its successor.
"""

from datetime import datetime

from sqlalchemy import Connection, text

from pima.store.database import database_of

RETRAINING = "retrain"
"""The lease of whoever trains and judges."""
RETAINING = "retain"
"""The lease of whoever removes what is old, or moves it to files."""


def take_lease(connection: Connection, name: str, owner: str, seconds: int) -> int | None:
    """The fence of a lease that is free or has run out; None where someone holds it.

    One that ends later than ours would, and whose run is over or has last beaten at a time that is still to come, was
    left while the clock was ahead, and has run out too. A holder who lives beats again by the clock as it is now; who
    comes before that takes the lease away, and the fence keeps the holder from writing.
    """
    words = database_of(connection).words
    # The owner's name as `owner_of` has it.
    lives = f"""
        SELECT 1 FROM runs
        WHERE leases.owner = 'run ' || runs.id AND runs.status = 'running' AND runs.heartbeat_at <= {words.now}"""
    # Insert, or take over where it has run out, in one statement: of two at once one gets no row back.
    statement = text(f"""
        INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, :owner, 1, {words.in_seconds})
        ON CONFLICT (name) DO UPDATE
        SET owner = EXCLUDED.owner, fence = leases.fence + 1, expires_at = EXCLUDED.expires_at
        WHERE leases.expires_at <= {words.now}
            OR (leases.expires_at > {words.in_seconds} AND NOT EXISTS ({lives}))
        RETURNING fence""")
    return connection.execute(statement, {"name": name, "owner": owner, "seconds": seconds}).scalar()


def renew_lease(connection: Connection, name: str, fence: int, seconds: int) -> bool:
    """Push the end of a lease that is still ours; whether it was."""
    until = database_of(connection).words.in_seconds
    statement = text(f"UPDATE leases SET expires_at = {until} WHERE name = :name AND fence = :fence")
    return connection.execute(statement, {"name": name, "fence": fence, "seconds": seconds}).rowcount == 1


def release_lease(connection: Connection, name: str, fence: int) -> None:
    """End a lease now; its row stays, so that the fence never goes back."""
    now = database_of(connection).words.now
    statement = text(f"UPDATE leases SET expires_at = {now} WHERE name = :name AND fence = :fence")
    connection.execute(statement, {"name": name, "fence": fence})


def owner_of(run_id: int) -> str:
    """What a run is called as the owner of a lease."""
    return f"run {run_id}"


def end_leases_of(connection: Connection, run_ids: list[int]) -> None:
    """End the leases of runs that are over, whatever ended them: whoever comes next need not wait for them to run out.

    One that sleeps and wakes again renews its lease by the fence, unless someone has taken it over.
    """
    now = database_of(connection).words.now
    statement = text(f"UPDATE leases SET expires_at = {now} WHERE owner = :owner AND expires_at > {now}")
    for run_id in run_ids:
        connection.execute(statement, {"owner": owner_of(run_id)})


def lease_holder(connection: Connection, name: str) -> tuple[str, str]:
    """Owner and end of a lease, for the message to whoever did not get it."""
    row = connection.execute(text("SELECT owner, expires_at FROM leases WHERE name = :name"), {"name": name}).first()
    if row is None:
        return ("someone", "soon")
    expires_at = row.expires_at
    return row.owner, expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
