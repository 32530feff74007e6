"""A stop by a person, as a run of scoring meets it: it scores nothing, or nothing more."""

from datetime import datetime

from sqlalchemy import Connection

from pima.logs import counted
from pima.store.models import registry
from pima.store.models.registry import Champion
from pima.store.rows import queue
from pima.store.service.runs import SUSPENDED


def told_of_stop(connection: Connection, champion: Champion) -> dict[str, object]:
    """What joins the counts of a run that began with this champion, if a stop kept it from its
    rows: since when, in ISO format, unless the stop is over by now, and how many rows wait."""
    if champion.suspended_at is None and not registry.was_stopped_since(
        connection, champion.sequence
    ):
        return {}
    since = registry.read_champion(connection).suspended_at
    told = since and since.isoformat(timespec="seconds")
    return {SUSPENDED: {"since": told, "waiting": queue.waiting(connection).rows}}


def in_words(since: datetime | None) -> str:
    """Since when the champion is suspended, to follow its name; empty if it is not."""
    return f", suspended since {since:%Y-%m-%d %H:%M} UTC" if since else ""


def run_in_words(since: str | None, waiting: int) -> str:
    """What a run says that was stopped."""
    wait = f"{counted(waiting, 'row')} wait"
    if since is None:
        return f"ended by a stop that is over; {wait} for the next run"
    return f"suspended since {datetime.fromisoformat(since):%Y-%m-%d %H:%M} UTC, {wait}"
