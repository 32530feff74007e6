"""Is the service well? For a container's HEALTHCHECK and for people: the reasons why not, or none."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from pima.errors import PimaError
from pima.settings import Settings
from pima.store import figures, queue
from pima.store.engine import clock, reading
from pima.store.schema import require_schema
from pima.ticks import Schedule, schedules

_PERIODS = 2


def complaints(engine: Engine, settings: Settings) -> list[str]:
    """What is wrong, a sentence each; empty where all is well. Never raises for what a database can do."""
    try:
        require_schema(engine)
        with reading(engine) as connection:
            now = clock(connection)
            return [
                *_scheduler_is_silent(connection, settings, now),
                *_success_is_old(connection, settings, now),
                *_queue_is_old(connection, settings, now),
            ]
    except PimaError as error:
        return [f"{error.code}: {error}"]


def _scheduler_is_silent(connection: Connection, settings: Settings, now: datetime) -> list[str]:
    heartbeat = figures.scheduler_heartbeat(connection)
    if heartbeat is None:
        return ["scheduler_silent: no scheduler has run on this database yet"]
    age = (now - heartbeat).total_seconds()
    if age > settings.schedule.stale_seconds:
        return [f"scheduler_silent: the scheduler's last sign of life is {_in_words(age)} old"]
    return []


def _success_is_old(connection: Connection, settings: Settings, now: datetime) -> list[str]:
    succeeded, first_seen = figures.last_success(connection), figures.schedules_first_seen(connection)
    found = []
    for job, schedule in schedules(settings.schedule).items():
        since = max(filter(None, (succeeded.get(job), first_seen.get(job))), default=now)
        allowed = _PERIODS * period(schedule, now)
        if now - since > allowed:
            age = _in_words((now - since).total_seconds())
            found.append(
                f"{job}_not_succeeding: {job} has not succeeded for {age}, more than {_PERIODS} of its periods"
            )
    return found


def _queue_is_old(connection: Connection, settings: Settings, now: datetime) -> list[str]:
    oldest = queue.waiting(connection).oldest
    allowed = _PERIODS * period(schedules(settings.schedule)["score"], now)
    if oldest is not None and now - oldest > allowed:
        age = _in_words((now - oldest).total_seconds())
        return [f"queue_old: the oldest row on the queue has waited for {age}, more than {_PERIODS} scoring periods"]
    return []


def period(schedule: Schedule, now: datetime) -> timedelta:
    """How far apart the schedule's ticks are around now; at least a minute, for ever where there are no two ticks."""
    first = schedule.next(now)
    second = first and schedule.next(first)
    if first is None or second is None:
        return timedelta.max / _PERIODS
    return max(second - first, timedelta(minutes=1))


def _in_words(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours" if hours >= 2 else f"{seconds:.0f} seconds"
