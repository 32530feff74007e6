"""The runs: one row an execution of a job, whatever became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Insert, select, update

from pima.errors import DONE, INTERRUPTED_BY_CTRL_C, INTERRUPTED_BY_SIGTERM, REFUSED, TRY_AGAIN_LATER
from pima.store.database import database_of
from pima.store.tables import runs
from pima.store.types import database_now

DRY_RUN = "dry_run"
"""The trigger of a run that was to write nothing but its own row, which counts in no figure of the service's."""

IS_REAL = runs.c.trigger != DRY_RUN

ROW_RESULTS = ("predicted", "rejected", "already_scored")
"""The keys of scoring's `counts` that SQL sums."""
SUMS_OF_ROWS = tuple(f"coalesce(sum(CAST(counts ->> '{name}' AS BIGINT)), 0)" for name in ROW_RESULTS)
"""How it does, one a key."""

JUDGED_BEFORE = "judged_before"
"""The key of retraining's `counts` by which SQL knows the runs that came to a verdict of their own: false."""


class Status(StrEnum):
    """A run's state; `running` until it ends in one of the others."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    TRY_AGAIN_LATER = "try_again_later"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"
    """Killed, or silent for so long that nobody can be working on it."""
    MISSED = "missed"
    """A tick at which nobody ran the job, and for which nobody will."""
    SKIPPED = "skipped"
    """A tick that was let go, for the reason in error_code."""


_STATUS_OF_EXIT_CODE = {
    DONE: Status.SUCCEEDED,
    REFUSED: Status.REFUSED,
    TRY_AGAIN_LATER: Status.TRY_AGAIN_LATER,
    INTERRUPTED_BY_CTRL_C: Status.INTERRUPTED,
    INTERRUPTED_BY_SIGTERM: Status.INTERRUPTED,
}


def status_of_exit_code(exit_code: int) -> Status:
    """What a job's exit code says of its run."""
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
    connection: Connection, job: str, trigger: str, scheduled_for: datetime | None, host: str, attempt: int = 1
) -> int | None:
    """Open a run and return its id; None where its tick has this attempt already, by the unique constraint."""
    row = {"job": job, "trigger": trigger, "scheduled_for": scheduled_for, "attempt": attempt, "host": host}
    # The run's row, there before any work, so that one which dies is seen; of two for a tick the second gets none.
    statement = insert_unless_tick_is_taken(connection).values(status=Status.RUNNING, counts={}, **row)
    return connection.execute(statement.returning(runs.c.id)).scalar()


def insert_unless_tick_is_taken(connection: Connection) -> Insert:
    """An id that was given before is no taken tick, but an error."""
    return database_of(connection).insert_unless_there(runs, ("job", "scheduled_for", "attempt"))


def record_progress(connection: Connection, run_id: int, counts: dict[str, Any], model_version: int | None) -> None:
    """Counts so far and a heartbeat, in the transaction of the work that they count."""
    values = {"counts": counts, "model_version": model_version, "heartbeat_at": database_now()}
    # Only this run's own process writes here.
    connection.execute(update(runs).where(runs.c.id == run_id).values(**values))


def lock_open_run(connection: Connection, run_id: int) -> dict[str, Any] | None:
    """The counts of a run that several processes write to, held against the others until the transaction ends; None
    where the run is over."""
    # Every batch of a shared run comes by here, at its end: whoever waits, waits for another's commit.
    statement = select(runs.c.counts).where(runs.c.id == run_id, runs.c.status == Status.RUNNING).with_for_update()
    return connection.execute(statement).scalar()


def is_open(connection: Connection, run_id: int) -> bool:
    """Whether there is such a run, and it is not over."""
    statement = select(runs.c.id).where(runs.c.id == run_id, runs.c.status == Status.RUNNING)
    return connection.execute(statement).first() is not None


def counts_of(connection: Connection, run_id: int) -> dict[str, Any]:
    """As its work has recorded them so far."""
    return connection.execute(select(runs.c.counts).where(runs.c.id == run_id)).scalar() or {}


def beat(connection: Connection, run_id: int) -> None:
    """A sign of life between two transactions of work."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(heartbeat_at=database_now()))


def finish_run(
    connection: Connection, run_id: int, status: Status, counts: dict[str, Any] | None, error_code: str | None
) -> None:
    """Close the run; None keeps the counts that its work recorded."""
    values: dict[str, Any] = {"status": status, "error_code": error_code, "heartbeat_at": database_now()}
    if counts is not None:
        values["counts"] = counts
    statement = update(runs).where(runs.c.id == run_id).values(finished_at=database_now(), **values)
    connection.execute(statement)


def last_runs(connection: Connection, newest: int) -> list[Run]:
    """The newest runs, newest first."""
    columns = [runs.c[name] for name in Run.__dataclass_fields__]
    # By id, which grows with time.
    rows = connection.execute(select(*columns).order_by(runs.c.id.desc()).limit(newest))
    return [Run(**row._mapping) for row in rows]
