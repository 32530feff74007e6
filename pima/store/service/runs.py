"""Runs: a row for each execution of a job, from its start to its end, which may be a crash."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    literal_column,
    not_,
    select,
    text,
    update,
)

from pima.errors import (
    DONE,
    INTERRUPTED_BY_CTRL_C,
    INTERRUPTED_BY_SIGTERM,
    REFUSED,
    TRY_AGAIN_LATER,
)
from pima.store.database import database_now, database_of
from pima.store.engine import clock
from pima.store.tables import fields_of, runs

DRY_RUN = "dry_run"
"""The trigger of a dry run: it writes only its own row, and counts in none of the service's
figures."""

IS_REAL = runs.c.trigger != DRY_RUN

ROW_RESULTS = ("predicted", "rejected", "already_scored")
"""The keys of scoring's `counts` that SQL sums."""
SUMS_OF_ROWS = tuple(
    f"coalesce(sum(CAST(counts ->> CAST('{name}' AS TEXT) AS BIGINT)), 0)" for name in ROW_RESULTS
)
"""The SQL sums, one for each key."""

JUDGED_BEFORE = "judged_before"
"""The key of retraining's `counts` that is false for runs that reached a verdict of their own."""

SUSPENDED = "suspended"
"""The key of scoring's `counts` that is there if a person's stop kept the run from its rows."""

_LONGEST_LINE = 1_000
"""Of `error_line`: what an error says to do stands at its end."""


class Status(StrEnum):
    """A run's state; `running` until it ends in one of the others."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    TRY_AGAIN_LATER = "try_again_later"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"
    """Killed, or without a heartbeat for so long that no process can be working on it."""
    MISSED = "missed"
    """A tick at which the job did not run, and for which it will not run."""
    SKIPPED = "skipped"
    """A tick that was skipped, for the reason in error_code."""


FINAL = f"'{Status.SUCCEEDED}', '{Status.FAILED}', '{Status.REFUSED}', '{Status.CRASHED}'"
"""The endings, for SQL, of runs that succeeded or failed: not stopped, nor to be tried again."""

STALE_SECONDS = 120
"""A run without a heartbeat for longer counts as crashed, a scheduler as silent."""

ENDINGS = {
    "killed_by_": (
        "Something killed the job with this signal. SIGKILL often means out of memory: look at the "
        "kernel's log and the container's limit. A smaller `score.batch_rows` needs less."
    ),
    "heartbeat_lost": "The run wrote no heartbeat for two minutes: its machine or its "
    "process went away. Perhaps the kernel killed it, out of memory: look at its log and at the "
    "container's limit (`OOMKilled`). Its rows wait again. A scheduler catches its tick up; under "
    "cron run it again, or wait for the next night.",
    "timed_out": (
        "The job took longer than `schedule.time_limit_minutes` and was stopped. Find out what it "
        "waited for. A first load of millions of rows may need a higher limit."
    ),
    "not_started": (
        "The child process could not be started. Look at the machine's limits of memory and "
        "processes."
    ),
    "end_not_told": (
        "The scheduler failed while it recorded how the job ended. That is a defect of pima: "
        "report it. What the job committed stays."
    ),
    "exit_code_": (
        "The job ended with this exit code before it could record why. Read `error_line` in `runs`."
    ),
    "killed_at_stop": (
        "The scheduler was stopped, and the job did not end within `schedule.grace_seconds`. Its "
        "last batch waits again."
    ),
    "stopped_before_it_began": (
        "The scheduler was stopped as the job was about to start. There is nothing to do."
    ),
    "still_running": (
        "When the job was due, its previous run was still going, or was waiting for its pull. If "
        "that happens often, let it run less often."
    ),
    "nobody_was_there": (
        "No scheduler was running when the job was due. Only the latest of such ticks is caught up."
    ),
    "too_late": (
        "The job was due several times between two looks at the clock, as when the machine slept. "
        "It ran once."
    ),
}
"""Endings that are no error of the job: the `runs.error_code`, or its beginning, and what to do
about it."""

_STATUS_OF_EXIT_CODE = {
    DONE: Status.SUCCEEDED,
    REFUSED: Status.REFUSED,
    TRY_AGAIN_LATER: Status.TRY_AGAIN_LATER,
    INTERRUPTED_BY_CTRL_C: Status.INTERRUPTED,
    INTERRUPTED_BY_SIGTERM: Status.INTERRUPTED,
}


def status_of_exit_code(exit_code: int) -> Status:
    """The status of a run by its job's exit code."""
    return _STATUS_OF_EXIT_CODE.get(exit_code, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the table."""

    id: int
    job: str
    trigger: str
    status: str
    model_version: int | None
    counts: dict[str, Any]
    error_code: str | None
    started_at: datetime
    finished_at: datetime | None


def start_run(
    connection: Connection,
    job: str,
    trigger: str,
    scheduled_for: datetime | None,
    host: str,
    attempt: int = 1,
) -> int | None:
    """Open a run and return its id; None if the tick has this attempt already, by the unique
    constraint."""
    # The row exists before any work, so that a run that dies is seen. Of two for one tick, the
    # second gets no row.
    return add_run(
        connection,
        job=job,
        trigger=trigger,
        scheduled_for=scheduled_for,
        attempt=attempt,
        host=host,
        status=Status.RUNNING,
    )


def add_run(connection: Connection, **values: object) -> int | None:
    """Add a run, and return its id; None if the tick has this attempt. An id in use is still an
    error."""
    insert = database_of(connection).insert_unless_there(runs, ("job", "scheduled_for", "attempt"))
    return connection.execute(insert.values(counts={}, **values).returning(runs.c.id)).scalar()


def record_progress(
    connection: Connection, run_id: int, counts: dict[str, Any], model_version: int | None
) -> None:
    """Write the counts so far and a heartbeat, in the transaction of the work that they count."""
    beat(connection, run_id, counts=counts, model_version=model_version)


def lock_open_run(connection: Connection, run_id: int) -> dict[str, Any] | None:
    """Lock the row of a run that several processes share until the transaction ends, and return its
    counts; None if the run is over."""
    # Every batch of a shared run calls this at its end, so a wait lasts no longer than another
    # process's commit.
    statement = (
        select(runs.c.counts)
        .where(runs.c.id == run_id, runs.c.status == Status.RUNNING)
        .with_for_update()
    )
    return connection.scalar(statement)


def is_open(connection: Connection, run_id: int) -> bool:
    """Whether the run exists and is not over."""
    return _any(connection, runs.c.id == run_id, runs.c.status == Status.RUNNING)


def _any(connection: Connection, *conditions: ColumnElement[bool]) -> bool:
    return connection.execute(select(runs.c.id).where(*conditions).limit(1)).first() is not None


def had_stop(connection: Connection, since: datetime) -> bool:
    """Whether a person's stop kept a run of scoring from its rows since a moment."""
    told: ColumnElement[Any] = literal_column(f"counts ->> CAST('{SUSPENDED}' AS TEXT)")
    return _any(connection, runs.c.started_at > since, told.is_not(None))


def counts_of(connection: Connection, run_id: int) -> dict[str, Any]:
    """The counts of a run, as its work has recorded them so far."""
    return connection.scalar(select(runs.c.counts).where(runs.c.id == run_id)) or {}


def beat(connection: Connection, run_id: int, **values: object) -> None:
    """Write a heartbeat, with the values of these columns."""
    # Only this run's own process does so: one that was closed as crashed, since its machine slept,
    # is running again.
    alive = {
        "status": Status.RUNNING,
        "error_code": None,
        "finished_at": None,
        "heartbeat_at": database_now(),
    }
    connection.execute(update(runs).where(runs.c.id == run_id).values(**alive, **values))


def finish_run(
    connection: Connection,
    run_id: int,
    status: Status,
    counts: dict[str, Any] | None,
    error_code: str | None,
    error_line: str | None = None,
) -> None:
    """Close the run; None keeps the counts that its work recorded."""
    ended: dict[str, object] = {
        "status": status,
        "error_code": error_code,
        "error_line": _storable(error_line),
        "finished_at": database_now(),
        "heartbeat_at": database_now(),
    }
    if counts is not None:
        ended["counts"] = counts
    connection.execute(update(runs).where(runs.c.id == run_id).values(ended))


def _storable(line: str | None) -> str | None:
    # Native code may write anything as it dies, including bytes that no database stores as text.
    return (
        line and line.replace("\0", "").encode("utf-8", errors="replace").decode()[:_LONGEST_LINE]
    )


def last_runs(connection: Connection, newest: int, *which: ColumnElement[bool]) -> list[Run]:
    """The newest runs that meet these conditions, newest first."""
    # By id, which grows with time.
    statement = select(*fields_of(Run, runs)).where(*which).order_by(runs.c.id.desc())
    return [Run(**row._mapping) for row in connection.execute(statement.limit(newest))]


# ---- Runs that another process opened, closes, or finds crashed.

_NEVER_RAN = (Status.MISSED, Status.SKIPPED, Status.CRASHED, Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child process ended."""

    exit_code: int | None
    """The exit code; None if a signal ended it."""
    signal: str | None
    """The signal's name, such as SIGKILL."""
    error_line: str | None
    """Its error line, or the last line that it wrote to stderr, if it failed; kept if it wrote none
    into `runs`."""
    timed_out: bool = False
    """Whether its time was up: then the status that it wrote does not stand."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """A run whose heartbeat is too old; each field is the column of its name."""

    id: int
    job: str
    scheduled_for: datetime | None


def adopt_run(connection: Connection, run_id: int, job: str, host: str) -> str | None:
    """Take over the run that a scheduler opened for this process; return its trigger, None if no
    such run is open."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.job == job, runs.c.status == Status.RUNNING)
        .values(host=host, started_at=database_now(), heartbeat_at=database_now())
        .returning(runs.c.trigger)
    )
    return connection.execute(statement).scalar()


def has_run(connection: Connection, job: str) -> bool:
    """Whether a job has ever ended by itself, or is running, whatever started it."""
    return _any(connection, runs.c.job == job, runs.c.status.not_in(_NEVER_RAN), IS_REAL)


def is_running(connection: Connection, job: str) -> bool:
    """Whether the job is running anywhere now, according to `runs`."""
    return _any(connection, runs.c.job == job, runs.c.status == Status.RUNNING, IS_REAL)


def close_attempt(
    connection: Connection, run_id: int, status: Status, error_code: str | None, ended: ChildEnd
) -> str:
    """Record how the child ended; return the final status. The status that the child wrote stands,
    unless its time was up. If the row was deleted, nothing is recorded.
    """
    # A child that was stopped at its time limit writes `interrupted` itself.
    statement = text("""
        UPDATE runs SET exit_code = :exit_code, signal = :signal,
            error_line = coalesce(error_line, :error_line),
            error_code = CASE WHEN status = 'running' OR :overrule = 1 THEN :error_code
                ELSE error_code END,
            status = CASE WHEN status = 'running' OR :overrule = 1 THEN :status ELSE status END
        WHERE id = :id RETURNING status""")
    values = {
        "id": run_id,
        "status": str(status),
        "error_code": error_code,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "error_line": _storable(ended.error_line),
        "overrule": int(ended.timed_out),
    }
    final = connection.scalar(statement, values)
    # The time of the end, if the child has not written it.
    open_end = update(runs).where(runs.c.id == run_id, runs.c.finished_at.is_(None))
    connection.execute(open_end.values(finished_at=database_now()))
    return str(final or status)


def mark_crashed(connection: Connection, of_ticks: bool = True) -> list[Crashed]:
    """Close the runs whose last heartbeat is too old by the database's clock, or too far ahead of
    it; those of ticks only where a scheduler asks, since it catches them up.

    A heartbeat is ahead if the clock was set back since. A run that is alive after all writes its
    next heartbeat, with which it is running again, and at its end its own status.
    """
    # A time to come would be the job's last end until then, whatever succeeds.
    last = case((runs.c.heartbeat_at > database_now(), database_now()), else_=runs.c.heartbeat_at)
    statement = (
        update(runs)
        .where(*_silent(connection, of_ticks))
        .values(
            status=Status.CRASHED,
            error_code="heartbeat_lost",
            finished_at=database_now(),
            heartbeat_at=last,
        )
        .returning(runs.c.id, runs.c.job, runs.c.scheduled_for)
    )
    # Of two who look at once, one gets the row.
    return [Crashed(*row) for row in connection.execute(statement)]


def any_silent(connection: Connection) -> bool:
    """Whether there is a run of no tick that `mark_crashed` would close."""
    return _any(connection, *_silent(connection, of_ticks=False))


def _silent(connection: Connection, of_ticks: bool) -> list[ColumnElement[bool]]:
    now = clock(connection)
    long_ = timedelta(seconds=STALE_SECONDS)
    found = [
        runs.c.status == Status.RUNNING,
        not_(runs.c.heartbeat_at.between(now - long_, now + long_)),
    ]
    if not of_ticks:
        found.append(runs.c.scheduled_for.is_(None))
    return found
