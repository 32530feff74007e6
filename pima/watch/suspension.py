"""A stop by a person, as a run of scoring meets it: it scores nothing, or nothing more."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pima.logs import counted
from pima.store.models import registry
from pima.store.models.registry import Champion
from pima.store.rows import queue


@dataclass(frozen=True, slots=True)
class Suspension:
    """What a run that a stop has ended says of it; the field names are keys of its JSON."""

    since: str | None
    """In ISO format; None if the stop was over when the run ended."""
    waiting: int
    """How many rows wait."""


def suspension_of_run(connection: Connection, champion: Champion) -> Suspension | None:
    """What a run that began with this champion says of a stop that keeps it from its rows; None
    without one."""
    if champion.suspended_at is None and not registry.was_stopped_since(
        connection, champion.sequence
    ):
        return None
    since = registry.read_champion(connection).suspended_at
    told = None if since is None else since.isoformat(timespec="seconds")
    return Suspension(told, queue.waiting(connection).rows)


def in_words(since: datetime | None) -> str:
    """Since when the champion is suspended, to follow its name; empty if it is not."""
    return f", suspended since {since:%Y-%m-%d %H:%M} UTC" if since else ""


def run_in_words(found: Suspension) -> str:
    """What a run that was stopped says."""
    wait = f"{counted(found.waiting, 'row')} wait"
    if found.since is None:
        return f"ended by a stop that is over; {wait} for the next run"
    since = datetime.fromisoformat(found.since)
    return f"suspended since {since:%Y-%m-%d %H:%M} UTC, {wait}"
