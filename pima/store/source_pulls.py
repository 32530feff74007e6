"""What is known of a source since its last pulls: a row each, which says whether the next one may compare a part."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, update

from pima.store.database import database_now
from pima.store.tables import source_pulls


@dataclass(frozen=True, slots=True)
class LastPull:
    """A row of the table; each field is the column of its name."""

    fingerprint: str
    """Of the settings and the declaration by which all of it was compared last."""
    changed_up_to: str | None
    """The highest time of change in the source at the last pull that was completed; None where none is known."""
    compared_whole_at: datetime | None
    """When the last pull began that compared all of it and was completed; None since another such pull has begun."""


def last_pull(connection: Connection, source: str) -> LastPull | None:
    """None where it was never pulled."""
    columns = [source_pulls.c[name] for name in LastPull.__dataclass_fields__]
    row = connection.execute(select(*columns).where(source_pulls.c.source == source)).first()
    return None if row is None else LastPull(**row._mapping)


def pulled_names(connection: Connection) -> list[str]:
    """The sources that a pull has ever begun with, whether or not the settings still declare them."""
    return list(connection.scalars(select(source_pulls.c.source)))


def begin_whole(connection: Connection, source: str, fingerprint: str) -> None:
    """All of it is to be compared: from now on nothing counts until that is completed."""
    values = {"source": source, "fingerprint": fingerprint}
    connection.execute(
        text("""
            INSERT INTO source_pulls (source, fingerprint) VALUES (:source, :fingerprint)
            ON CONFLICT (source) DO UPDATE
            SET fingerprint = EXCLUDED.fingerprint, changed_up_to = NULL, compared_whole_at = NULL"""),
        values,
    )


def complete(connection: Connection, source: str, changed_up_to: str | None, whole_since: datetime | None) -> None:
    """All that was compared is taken in; of a pull of a part `whole_since` is None."""
    values: dict[str, Any] = {"completed_at": database_now(), "changed_up_to": changed_up_to}
    if whole_since is not None:
        values["compared_whole_at"] = whole_since
    connection.execute(update(source_pulls).where(source_pulls.c.source == source).values(**values))
