"""Is the service well? For a container's HEALTHCHECK and for people: the reasons why not, or none."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection, Engine

from pima.core.features import Declaration, first_difference
from pima.errors import PimaError
from pima.monitoring.unpredicted import as_shown
from pima.schedule.ticks import JOBS, Schedule, pull_of, schedules
from pima.settings.sections import Settings
from pima.store import pulled_sources, queue, registry, service_figures
from pima.store.engine import clock, reading
from pima.store.runs import Status
from pima.store.schema import require_schema
from pima.store.urls import require_file

_PERIODS = 2
_ENDED_BADLY: dict[str, str] = {
    Status.FAILED: "failed",
    Status.REFUSED: "was refused",
    Status.CRASHED: "crashed",
    Status.TRY_AGAIN_LATER: "gave up after its last try",
}
_A_MINUTE, _TEN_YEARS = timedelta(minutes=1), timedelta(days=3652)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that is wrong with the service."""

    reason: str
    """A code, as docs/operations.md explains it."""
    what: str
    """A sentence for people."""
    source: str = ""
    """The source that it is about, if it is about one."""
    cause: str = ""
    """Why, as a code, where the same reason may have others; unlike the sentence it holds no age and no count."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.what}"


def complaints(engine: Engine, settings: Settings, declared: Declaration) -> list[Complaint]:
    """What is wrong; empty where all is well. `declared` is what the settings declare.

    Raises WrongConfiguration for a wrong schedule, and nothing for what a database can do.
    """
    scheduled = schedules(settings.schedule)
    try:
        require_file(engine.url)
        kept = require_schema(engine)
        with reading(engine) as connection:
            now = clock(connection)
            return [
                *_settings_differ(declared, kept),
                *_scheduler_is_silent(connection, settings, now),
                *_last_run_failed(connection, settings, now),
                *_success_is_old(connection, scheduled, now),
                *_last_pull_failed(connection, settings, now),
                *_pull_is_old(connection, settings, scheduled, now),
                *_queue_is_old(connection, scheduled["score"], now),
                *_no_champion_came_of_it(connection),
                *_rows_lack_predictions(connection, settings),
            ]
    except PimaError as error:
        return [Complaint(error.code, str(error))]


def _settings_differ(declared: Declaration, kept: Declaration) -> list[Complaint]:
    """What jobs refuse. Not the holdout's salt and share, which no role of those that look has a right to."""
    if (what := first_difference(declared, kept)) is None:
        return []
    mend = "jobs refuse such settings: set them back, or carry the change over by python -m jobs.migrate --features"
    return [Complaint("declaration_differs", f"{what}; {mend}")]


def _scheduler_is_silent(connection: Connection, settings: Settings, now: datetime) -> list[Complaint]:
    heartbeat = service_figures.scheduler_heartbeat(connection)
    if heartbeat is None:
        return [Complaint("scheduler_silent", "no scheduler has run on this database yet")]
    age = (now - heartbeat).total_seconds()
    if age > settings.schedule.stale_seconds:
        return [Complaint("scheduler_silent", f"the scheduler's last sign of life is {_in_words(age)} old")]
    return []


def _last_run_failed(connection: Connection, settings: Settings, now: datetime) -> list[Complaint]:
    found = []
    for job in JOBS:
        last = service_figures.last_end(connection, job, settings.schedule.retries)
        if last is not None and last.status in _ENDED_BADLY:
            age = _in_words((now - last.heartbeat_at).total_seconds())
            ended = f"{_ENDED_BADLY[last.status]} ({last.error_code}) {age} ago"
            what = f"the last run of {job} {ended}; `runs` and the log say why"
            found.append(Complaint(f"{job}_failed", what, cause=last.error_code or last.status))
    return found


def _success_is_old(connection: Connection, scheduled: dict[str, Schedule], now: datetime) -> list[Complaint]:
    succeeded, first_seen = service_figures.last_success(connection), service_figures.schedules_first_seen(connection)
    found = []
    for job, schedule in scheduled.items():
        since = max(filter(None, (succeeded.get(job), first_seen.get(job))), default=now)
        if now - since > _PERIODS * period(schedule, now):
            age = _in_words((now - since).total_seconds())
            what = f"{job} has not succeeded for {age}, more than {_PERIODS} of its periods"
            found.append(Complaint(f"{job}_not_succeeding", what))
    return found


def _last_pull_failed(connection: Connection, settings: Settings, now: datetime) -> list[Complaint]:
    names = [source.name for source in settings.sources]
    if not names:
        return []
    found = []
    for name, last in pulled_sources.last_ends(connection, names, settings.schedule.retries).items():
        if last.status in _ENDED_BADLY:
            age = _in_words((now - last.at).total_seconds())
            ended = f"{_ENDED_BADLY[last.status]} ({last.error_code}) {age} ago"
            what = f"the last pull of {name} {ended}; `runs` and the log say why"
            found.append(Complaint("pull_failed", what, name, last.error_code or last.status))
    return found


def _pull_is_old(
    connection: Connection, settings: Settings, scheduled: dict[str, Schedule], now: datetime
) -> list[Complaint]:
    if not settings.sources:
        return []
    pulled, first_seen = pulled_sources.last_successes(connection), service_figures.schedules_first_seen(connection)
    allowed = _PERIODS * min(period(schedule, now) for schedule in scheduled.values())
    found = []
    for name in (source.name for source in settings.sources):
        last = pulled[name].at if name in pulled else None
        since = max(filter(None, (last, first_seen.get(pull_of(name)))), default=now)
        if now - since > allowed:
            age = _in_words((now - since).total_seconds())
            what = f"{name} was not pulled for {age}, more than {_PERIODS} of its periods"
            found.append(Complaint("pull_not_succeeding", what, name))
    return found


def _queue_is_old(connection: Connection, schedule: Schedule, now: datetime) -> list[Complaint]:
    oldest = queue.waiting(connection).oldest
    if oldest is not None and now - oldest > _PERIODS * period(schedule, now):
        age = _in_words((now - oldest).total_seconds())
        what = f"the oldest row on the queue has waited for {age}, more than {_PERIODS} scoring periods"
        return [Complaint("queue_old", what)]
    return []


def _no_champion_came_of_it(connection: Connection) -> list[Complaint]:
    """Nothing can be scored, though retraining works: rows wait until a verdict, or a person, makes a champion."""
    verdict = service_figures.last_verdict(connection)
    if verdict is None or registry.read_champion(connection).model_version is not None:
        return []
    what = f"there is none yet, so no row can be scored; the last retraining said {verdict}"
    return [Complaint("no_champion", what)]


def _rows_lack_predictions(connection: Connection, settings: Settings) -> list[Complaint]:
    """Though every job may have succeeded."""
    found = as_shown(connection, settings.health.limits)
    return [Complaint("rows_without_prediction", found["what"])] if found and found["too_many"] else []


def period(schedule: Schedule, now: datetime) -> timedelta:
    """How far apart the schedule's ticks are: the longest gap among the two before now and the two after it, so that a
    weekend or a long night is none too many. At least a minute; ten years where there are no two such ticks."""
    first = schedule.next(now)
    second = first and schedule.next(first)
    ticks = [*schedule.newest(now - _TEN_YEARS, now, 2), *filter(None, (first, second))]
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    return max(_A_MINUTE, *gaps) if gaps else _TEN_YEARS


def _in_words(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours" if hours >= 2 else f"{seconds:.0f} seconds"
