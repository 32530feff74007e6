"""Memory of what each receiver of alerts was told: a restart tells nothing twice, and of two schedulers one tells
it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, select, update

from pima.store.database import database_of
from pima.store.tables import alerts, fields_of


@dataclass(frozen=True, slots=True)
class Remembered:
    """A condition, as one receiver knows it; each field is the column of its name."""

    condition: str
    since: datetime
    """When it was first seen, or happened."""
    told_at: datetime | None = None
    """When the receiver last took that it holds, flaps or has happened."""
    is_open: bool = False
    """Whether the last that the receiver took says that it holds; of one that flaps, whether it held when last seen."""
    claimed_until: datetime | None = None
    """Until when somebody is sending an alert of it."""
    cause: str | None = None
    """Why it holds, as the receiver was told; of one that flaps, as last seen."""
    told_lately: tuple[datetime, ...] = ()
    """When the receiver took so within the hour before `told_at`, and that."""
    flapped_at: datetime | None = None
    """When it last came, went or got another cause; only as long as it flaps, of which the receiver was told."""

    def is_claimed(self, now: datetime) -> bool:
        """Whether it is somebody else's to tell."""
        return self.claimed_until is not None and self.claimed_until > now


_REMEMBERED = select(*fields_of(Remembered, alerts)).order_by(alerts.c.condition)


def read_alerts(connection: Connection, receiver: int) -> list[Remembered]:
    """Read what a receiver was told, and what it is being told."""
    return _read(connection, _REMEMBERED.where(alerts.c.receiver == receiver))


def lock_alerts(connection: Connection, receiver: int, conditions: Sequence[str], now: datetime) -> list[Remembered]:
    """Read a receiver's conditions, these among them, held against everybody else until the transaction ends."""
    add = database_of(connection).insert_unless_there(alerts, ("receiver", "condition"))
    # In the same order for all, since each waits for whoever inserts the same.
    for condition in sorted(conditions):
        connection.execute(add.values(receiver=receiver, condition=condition, since=now, is_open=0))
    # FOR UPDATE on PostgreSQL; on SQLite the transaction holds the file's write lock already.
    return _read(connection, _REMEMBERED.where(alerts.c.receiver == receiver).with_for_update())


def claim(connection: Connection, receiver: int, conditions: Sequence[str], until: datetime | None) -> None:
    """Nobody else tells of these until then; with None they were not taken, and may be told again."""
    connection.execute(_update(receiver, conditions).values(claimed_until=until))


def keep(connection: Connection, receiver: int, remembered: Remembered) -> None:
    """Remember a condition so from now on."""
    values = asdict(remembered)
    values |= {"is_open": int(remembered.is_open), "told_lately": [each.isoformat() for each in remembered.told_lately]}
    connection.execute(_update(receiver, [values.pop("condition")]).values(**values))


def forget(connection: Connection, receiver: int, conditions: Sequence[str]) -> None:
    """They need not be remembered any more."""
    theirs = (alerts.c.receiver == receiver, alerts.c.condition.in_(conditions))
    connection.execute(delete(alerts).where(*theirs))


def _update(receiver: int, conditions: Sequence[str]) -> Any:
    return update(alerts).where(alerts.c.receiver == receiver, alerts.c.condition.in_(conditions))


def _read(connection: Connection, statement: Select[Any]) -> list[Remembered]:
    found = []
    for row in connection.execute(statement):
        told_lately = tuple(datetime.fromisoformat(each) for each in row.told_lately or ())
        found.append(Remembered(**{**row._mapping, "is_open": bool(row.is_open), "told_lately": told_lately}))
    return found
