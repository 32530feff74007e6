"""Health of the service: the conditions that make it unhealthy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import Connection

from pima.core.declared.features import Declaration, first_difference
from pima.logs import counted
from pima.runs.ticks import Schedule, pull_of, schedules
from pima.settings.sections import JOBS, STARTED, ScheduleSettings, Settings
from pima.store.models.registry import newest_declaration
from pima.store.service import monitoring
from pima.store.service import sources as source_store
from pima.store.service.monitoring import LastEnd
from pima.store.service.runs import STALE_SECONDS, Status, had_stop
from pima.store.service.sources import SourcePull
from pima.watch.figures import ServiceFigures
from pima.watch.suspension import in_words

_PERIODS = 2
_ENDED_BADLY: dict[str, str] = {
    Status.FAILED: "failed",
    Status.REFUSED: "was refused",
    Status.CRASHED: "crashed",
    Status.TRY_AGAIN_LATER: "gave up after its last try",
}
_A_MINUTE = timedelta(minutes=1)
_TEN_MINUTES = timedelta(minutes=10)
_TEN_YEARS = timedelta(days=3652)
_FAR_LONGER = 4


class Explained(NamedTuple):
    """The explanation of a code."""

    means: str
    advice: str
    """The action to take, with the command; without a full stop."""


_FAILED = (
    "The last run of `{job}` failed, was refused or crashed, or a scheduler gave it up after its "
    "last try. The code in brackets says why. Dry runs, and runs that were stopped or ended with "
    "75, don't count. It is over when a run succeeds."
)
_OLD = (
    "`{job}` has not succeeded for more than two of its periods by `[schedule]`. In `runs`, no "
    "rows mean that nothing starts it, `skipped` that it never ends in time, `interrupted` that "
    "someone stops it, `try_again_later` that what it needs is away. Without a success or a "
    "scheduler the time counts from the oldest row that waits, or the first run."
)
_MEND_FIRST = (
    "Put the cause right first: `python -m jobs.health --why {{code}}` explains the code. Then "
    "`python -m jobs.{job}`"
)
_BY_HAND = "`python -m jobs.status` shows its last runs; `python -m jobs.{job}` runs it now"
COMPLAINTS = {
    "declaration_differs": Explained(
        "The settings declare other features, or another outcome, than the database. Jobs refuse "
        "such settings, so nothing is scored.",
        "Do all machines have the same settings? Set the declaration back, or see what carrying it "
        "over would do: `python -m jobs.migrate --features --dry-run`",
    ),
    "scheduler_silent": Explained(
        "No scheduler has written a heartbeat for more than two minutes, or none ever has. Under "
        "cron ignore this.",
        "Start it, or read its log for why it ended: `python -m jobs.scheduler`",
    ),
    **{
        f"{job}_failed": Explained(_FAILED.format(job=job), _MEND_FIRST.format(job=job))
        for job in STARTED
    },
    **{
        f"{job}_not_succeeding": Explained(_OLD.format(job=job), _BY_HAND.format(job=job))
        for job in STARTED
    },
    "retrain_slow": Explained(
        "A retraining takes more than ten minutes, and four times as long as the longest of the "
        "last ten that succeeded. At `schedule.time_limit_minutes` it is stopped.",
        "Has the history grown? Is the machine busy? Does your own network never end? SIGTERM "
        "stops it, and the champion stays. `python -m jobs.status` shows the run",
    ),
    "queue_old": Explained(
        "A row has waited for more than two scoring periods. A row that another transaction holds "
        "is skipped each night.",
        "Is the job running, and is there a champion? `python -m jobs.status`. On PostgreSQL "
        "`pg_stat_activity` shows sessions that hold rows",
    ),
    "no_champion": Explained(
        "Retraining works, but no verdict has made a champion yet, so nothing can be scored. With "
        "few labels that may be bad luck.",
        "Load more outcomes, then `python -m jobs.retrain`; or look at the versions and promote "
        "one: `python -m jobs.models list`",
    ),
    "suspended": Explained(
        "A person has suspended the champion: nothing is scored, rows wait, and nobody should act "
        "on predictions.",
        "`python -m jobs.export verdicts` says why, docs/do/stop.md how to go on; `python -m "
        "jobs.models promote NUMBER --reason TEXT` ends it",
    ),
    "rows_without_prediction": Explained(
        "Too many rows that were new or changed since the last good night, or in the last four "
        "weeks, have no prediction: a pull or scoring rejected them, or they were never queued.",
        "`python -m jobs.status` shows the reasons and columns; the tables `source_rejections` (of "
        "pulls) and `rejections` (of scoring) have each row. Has a unit or a column of the source "
        "changed? Correct `[source.columns]` or the source, then `python -m jobs.pull --full` and "
        "`python -m jobs.score`. For rows that were never queued `python -m jobs.requeue`, then "
        "`python -m jobs.score`. Declare an unknown code. For rows that are rightly rejected set a "
        "higher `health.most_without_prediction`",
    ),
}
"""The reasons that health reports, with explanations."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something to tell people: what is wrong with the service, or an event."""

    name: str
    """A reason with its source or its figure, an event with its number, or the code of the error
    that kept health from checking."""
    what: str
    """The description, as a sentence without its full stop."""
    advice: str
    """The action to take, with the command."""
    cause: str = ""
    """A code for the cause, if there may be several; unlike the sentence it has no age and no
    count."""
    happened_at: datetime | None = None
    """The time of an event, which is reported once and is never over; None for a condition that
    holds."""
    hides_others: bool = False
    """Whether health could not look for other conditions while this one holds."""
    is_of_model: bool = False
    """Whether a figure alarms, or a source that models learn from has lost rows. Such a condition
    leaves the service healthy; status, the report and cards show it."""

    @property
    def code(self) -> str:
        """The name without what it is about; pages explain it."""
        return self.name.partition(":")[0]

    @property
    def about(self) -> str:
        """The source, figure or version that the name has after its code; empty if none."""
        return self.name.partition(":")[2]

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def _complaint(reason: str, what: str, source: str = "", cause: str = "") -> Condition:
    advice = COMPLAINTS[reason].advice.format(code=cause)
    return Condition(f"{reason}:{source}".rstrip(":"), what, advice, cause)


def complaints(
    connection: Connection, figures: ServiceFigures, settings: Settings, declared: Declaration
) -> Iterator[Condition]:
    """Find what makes the service unhealthy. `declared` is the settings' declaration. Raises
    WrongConfiguration for a wrong schedule."""
    scheduled = schedules(settings.schedule)
    sources = settings.source_names
    yield from _settings_differ(declared, newest_declaration(connection))
    yield from _scheduler_is_silent(connection, figures.now)
    yield from _last_run_failed(connection, settings.schedule, sources, figures.now)
    yield from _retraining_is_slow(connection, figures.now)
    yield from _success_is_old(connection, figures, scheduled, sources)
    yield from _rows_wait(connection, figures, scheduled["score"])


def _settings_differ(declared: Declaration, kept: Declaration) -> Iterator[Condition]:
    """Settings that jobs refuse, except the holdout's salt and share: roles that check health may
    not read those."""
    if (what := first_difference(declared, kept)) is not None:
        mend = (
            "jobs refuse such settings: set them back, or carry the change over by python -m "
            "jobs.migrate --features"
        )
        yield _complaint("declaration_differs", f"{what}; {mend}")


def _scheduler_is_silent(connection: Connection, now: datetime) -> Iterator[Condition]:
    heartbeat = monitoring.scheduler_heartbeat(connection)
    if heartbeat is None:
        yield _complaint("scheduler_silent", "no scheduler has run on this database yet")
    elif (now - heartbeat).total_seconds() > STALE_SECONDS:
        yield _complaint(
            "scheduler_silent",
            f"the scheduler's last heartbeat is {_in_words(now - heartbeat)} old",
        )


def _last_run_failed(
    connection: Connection, schedule: ScheduleSettings, sources: Sequence[str], now: datetime
) -> Iterator[Condition]:
    for job in JOBS:
        if (run := monitoring.last_end(connection, job, schedule.retries)) is not None:
            yield from _ended_badly(f"run of {job}", run, now - run.heartbeat_at, f"{job}_failed")
    ends = source_store.last_ends(connection, sources, schedule.retries) if sources else {}
    for name, pull in ends.items():
        yield from _ended_badly(f"pull of {name}", pull, now - pull.at, "pull_failed", name)


def _retraining_is_slow(connection: Connection, now: datetime) -> Iterator[Condition]:
    # A build that never ended renewed its lease, so it was neither silent nor crashed.
    times = monitoring.last_retrainings(connection)
    took = [(ended or now) - began for began, ended in times]
    longest = max(took[1:], default=_TEN_YEARS)
    if took and times[0][1] is None and took[0] > max(_FAR_LONGER * longest, _TEN_MINUTES):
        what = f"a retraining has run for {_in_words(took[0])}; the last ones took up to"
        yield _complaint("retrain_slow", f"{what} {_in_words(longest)}")


def _ended_badly(
    what: str, last: LastEnd | SourcePull, age: timedelta, reason: str, source: str = ""
) -> Iterator[Condition]:
    if last.status in _ENDED_BADLY:
        line = (last.error_line or "(not kept)").removeprefix("error: ")
        ended = (
            f"{_ENDED_BADLY[last.status]} ({last.error_code}) {_in_words(age)} ago; it said: {line}"
        )
        yield _complaint(reason, f"the last {what} {ended}", source, last.error_code or last.status)


def _success_is_old(
    connection: Connection,
    found: ServiceFigures,
    scheduled: dict[str, Schedule],
    sources: Sequence[str],
) -> Iterator[Condition]:
    known = monitoring.schedules_first_seen(connection)
    first = found.now
    if not known:
        # Without a scheduler nothing has noted since when a job is needed. Seen: a retraining that
        # cron never started was never overdue.
        signs = (found.waiting.oldest, monitoring.first_run(connection))
        first = min(filter(None, signs), default=found.now)
    periods = {job: period(schedule, found.now) for job, schedule in scheduled.items()}
    for job, each in periods.items():
        since = known.get(job, first)
        if late := _without_success(found.now, found.succeeded.get(job), since, each):
            yield _complaint(f"{job}_not_succeeding", f"{job} has not succeeded for {late}")
    for name in sources:
        last = found.pulled[name].at if name in found.pulled else None
        since = known.get(pull_of(name), first)
        if late := _without_success(found.now, last, since, min(periods.values())):
            yield _complaint("pull_not_succeeding", f"{name} was not pulled for {late}", name)


def _without_success(
    now: datetime, last: datetime | None, needed_since: datetime, one_period: timedelta
) -> str:
    """How long the last success is ago, if that is too long; empty if not."""
    age = now - max(last or needed_since, needed_since)
    if age > _PERIODS * one_period:
        return f"{_in_words(age)}, more than {_PERIODS} of its periods"
    return ""


def _rows_wait(
    connection: Connection, found: ServiceFigures, schedule: Schedule
) -> Iterator[Condition]:
    oldest = found.waiting.oldest
    since = found.now - _PERIODS * period(schedule, found.now)
    champion = found.champion
    if champion.suspended_at is not None:
        wait = f"{counted(found.waiting.rows, 'row')} wait"
        what = f"version {champion.model_version}{in_words(champion.suspended_at)}; {wait}"
        yield _complaint("suspended", what)
    # Rows that waited for the end of a stop are left to the next run.
    elif oldest is not None and oldest < since and not had_stop(connection, since):
        age = _in_words(found.now - oldest)
        what = (
            f"the oldest row on the queue has waited for {age}, more than {_PERIODS} scoring "
            "periods"
        )
        yield _complaint("queue_old", what)
    # Retraining works, but nothing can be scored: rows wait until a verdict or a person makes a
    # champion.
    if found.last_verdict is not None and found.champion.model_version is None:
        what = (
            "there is none yet, so no row can be scored; the last retraining said "
            f"{found.last_verdict}"
        )
        yield _complaint("no_champion", what)
    # This can happen even if every job succeeded.
    if found.new_rows and found.new_rows.too_many:
        yield _complaint("rows_without_prediction", found.new_rows.what)


def period(schedule: Schedule, now: datetime) -> timedelta:
    """Measure how far apart the schedule's ticks are: the longest gap between the last two and the
    next two, so that a weekend or a long night is not too long. At least a minute; ten years if
    there are fewer than two ticks."""
    first = schedule.next(now)
    second = first and schedule.next(first)
    ticks = [*schedule.newest(now - _TEN_YEARS, now, 2), *filter(None, (first, second))]
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    return max(_A_MINUTE, *gaps) if gaps else _TEN_YEARS


def _in_words(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    if hours < 2:
        return f"{age.total_seconds():.0f} seconds"
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
