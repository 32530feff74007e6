"""The record of alerts sent: a restart sends nothing twice, and of two schedulers only one
sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, select, update

from pima.store.database import database_of
from pima.store.tables import alerts, fields_of


@dataclass(frozen=True, slots=True)
class Sent:
    """A condition as last reported; each field is the column of its name."""

    condition: str
    since: datetime
    """When the condition was first seen, or the event happened."""
    sent_at: datetime | None = None
    """When a message about it was last taken."""
    is_open: bool = False
    """Whether that message says that it holds."""
    claimed_until: datetime | None = None
    """The time until which a process has claimed to send an alert of it."""
    cause: str | None = None
    """Why it holds, as it was reported."""

    def is_claimed(self, now: datetime) -> bool:
        """Whether another process is sending an alert of it."""
        return self.claimed_until is not None and self.claimed_until > now


_SENT = select(*fields_of(Sent, alerts)).order_by(alerts.c.condition)


def read_alerts(connection: Connection) -> list[Sent]:
    """Read what was reported, and what is being sent."""
    return _read(connection, _SENT)


def lock_alerts(connection: Connection, conditions: Sequence[str], now: datetime) -> list[Sent]:
    """Read what was reported, with these conditions added, and lock it until the transaction
    ends."""
    add = database_of(connection).insert_unless_there(alerts, ("condition",))
    # Always in the same order, to avoid deadlocks: each insert waits for another insert of the same
    # row.
    for condition in sorted(conditions):
        connection.execute(add.values(condition=condition, since=now, is_open=0))
    # FOR UPDATE on PostgreSQL; on SQLite the transaction holds the file's write lock already.
    return _read(connection, _SENT.with_for_update())


def claim(connection: Connection, conditions: Sequence[str], until: datetime | None) -> None:
    """Reserve sending these until a moment; None releases them, because nobody took them."""
    theirs = alerts.c.condition.in_(conditions)
    connection.execute(update(alerts).where(theirs).values(claimed_until=until))


def keep(connection: Connection, condition: str, cause: str, is_open: bool, now: datetime) -> None:
    """Record that a message was taken: that a condition holds, if it `is_open`, or has happened."""
    values = {"cause": cause, "is_open": int(is_open), "sent_at": now, "claimed_until": None}
    connection.execute(update(alerts).where(alerts.c.condition == condition).values(values))


def forget(connection: Connection, conditions: Sequence[str]) -> None:
    """Delete conditions that need not be remembered."""
    connection.execute(delete(alerts).where(alerts.c.condition.in_(conditions)))


def _read(connection: Connection, statement: Select[Any]) -> list[Sent]:
    rows = connection.execute(statement)
    return [Sent(**{**row._mapping, "is_open": bool(row.is_open)}) for row in rows]
