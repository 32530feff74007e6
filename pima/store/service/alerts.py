"""The record of alerts sent to each receiver, and of conditions that people know of: a restart
sends nothing twice, and of two schedulers only one sends."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Update, delete, insert, select, update

from pima.store.database import database_of
from pima.store.tables import acknowledgements, alerts, fields_of


@dataclass(frozen=True, slots=True)
class Remembered:
    """A condition as last reported to one receiver; each field is the column of its name."""

    condition: str
    since: datetime
    """When the condition was first seen, or the event happened."""
    told_at: datetime | None = None
    """When the receiver last accepted a message about it."""
    is_open: bool = False
    """Whether the last accepted alert says that it holds."""
    claimed_until: datetime | None = None
    """The time until which a process has claimed to send an alert of it."""
    cause: str | None = None
    """Why it holds, as reported to the receiver."""
    told_lately: tuple[datetime, ...] = ()
    """When the receiver accepted its last messages, at most a day before the newest."""

    def is_claimed(self, now: datetime) -> bool:
        """Whether another process is sending an alert of it."""
        return self.claimed_until is not None and self.claimed_until > now


_REMEMBERED = select(*fields_of(Remembered, alerts)).order_by(alerts.c.condition)


def read_alerts(connection: Connection, receiver: int) -> list[Remembered]:
    """Read what was reported to a receiver, and what is being sent to it."""
    return _read(connection, _REMEMBERED.where(alerts.c.receiver == receiver))


def lock_alerts(
    connection: Connection, receiver: int, conditions: Sequence[str], now: datetime
) -> list[Remembered]:
    """Read a receiver's conditions, with these added, and lock them until the transaction ends."""
    add = database_of(connection).insert_unless_there(alerts, ("receiver", "condition"))
    # Always in the same order, to avoid deadlocks: each insert waits for another insert of the same
    # row.
    for condition in sorted(conditions):
        connection.execute(add.values(receiver=receiver, condition=condition, since=now, is_open=0))
    # FOR UPDATE on PostgreSQL; on SQLite the transaction holds the file's write lock already.
    return _read(connection, _REMEMBERED.where(alerts.c.receiver == receiver).with_for_update())


def claim(
    connection: Connection, receiver: int, conditions: Sequence[str], until: datetime | None
) -> None:
    """Reserve sending these until a moment; None releases them, because the receiver did not accept
    them."""
    connection.execute(_update(receiver, conditions).values(claimed_until=until))


def keep(connection: Connection, receiver: int, remembered: Remembered) -> None:
    """Store the new state of a condition."""
    values = asdict(remembered)
    values |= {
        "is_open": int(remembered.is_open),
        "told_lately": [each.isoformat() for each in remembered.told_lately],
    }
    connection.execute(_update(receiver, [values.pop("condition")]).values(**values))


def forget(connection: Connection, receiver: int, conditions: Sequence[str]) -> None:
    """Delete conditions that need not be remembered."""
    theirs = (alerts.c.receiver == receiver, alerts.c.condition.in_(conditions))
    connection.execute(delete(alerts).where(*theirs))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody knows of a condition; each field is the column of its name."""

    condition: str
    until: datetime
    """Until then nobody is reminded of it."""
    reason: str
    acknowledged_by: str


def acknowledge(connection: Connection, known: Acknowledgement, now: datetime) -> None:
    """Record that somebody knows of a condition."""
    connection.execute(insert(acknowledgements).values(acknowledged_at=now, **asdict(known)))


def acknowledged(connection: Connection, now: datetime) -> dict[str, Acknowledgement]:
    """What people know of at a moment, by condition: the newest word on each, while it lasts."""
    statement = select(*fields_of(Acknowledgement, acknowledgements)).order_by(
        acknowledgements.c.acknowledged_at
    )
    newest = {row.condition: Acknowledgement(*row) for row in connection.execute(statement)}
    return {name: known for name, known in newest.items() if known.until > now}


def _update(receiver: int, conditions: Sequence[str]) -> Update:
    return update(alerts).where(alerts.c.receiver == receiver, alerts.c.condition.in_(conditions))


def _read(connection: Connection, statement: Select[Any]) -> list[Remembered]:
    found = []
    for row in connection.execute(statement):
        told_lately = tuple(datetime.fromisoformat(each) for each in row.told_lately or ())
        found.append(
            Remembered(**{**row._mapping, "is_open": bool(row.is_open), "told_lately": told_lately})
        )
    return found
