"""Runs, leases and ticks: one row an execution of a job, who may do what must not be done twice at once, and what a
scheduler knows of the ticks.

A lease is a row instead of an advisory lock, which leaks through connection pools and does not exist on SQLite. Its
fence grows with every owner, so that one that lost its lease without noticing can be told from its successor.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Insert, bindparam, func, not_, select, text, update

from pima.errors import DONE, INTERRUPTED_BY_CTRL_C, INTERRUPTED_BY_SIGTERM, REFUSED, TRY_AGAIN_LATER
from pima.store.database import Timestamp, database_now, database_of
from pima.store.engine import clock
from pima.store.tables import fields_of, leases, runs, schedules

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


ENDINGS = {
    "killed_by_": "Something killed the job with this signal. SIGKILL is often the kernel, out of memory: look at its "
    "log and at the container's limit. A smaller `score.batch_rows` needs less.",
    "heartbeat_lost": "The run gave no sign of life for `schedule.stale_seconds`: its machine or its process went "
    "away. Its rows wait again, and the scheduler catches its tick up.",
    "timed_out": "The job took longer than `schedule.time_limit_minutes` and was stopped. Find out what it waited "
    "for. A first load of millions of rows may need a higher limit.",
    "not_started": "The child process could not be started. Look at the machine's limits of memory and processes.",
    "end_not_told": "The scheduler failed while it recorded how the job ended. That is a defect of pima: report it. "
    "What the job committed stays.",
    "exit_code_": "The job ended with this exit code before it could record why. Read `error_line` in `runs`.",
    "killed_at_stop": "The scheduler was stopped, and the job did not end within `schedule.grace_seconds`. Its last "
    "batch waits again.",
    "stopped_before_it_began": "The scheduler was stopped as the job was about to start. Nothing is to be done.",
    "still_running": "When the job was due, its run before was still going, or was waiting for its pull. If that "
    "happens often, let it run less often.",
    "nobody_was_there": "No scheduler was running when the job was due. Only the latest of such ticks is caught up.",
    "too_late": "The job was due several times between two looks at the clock, as when the machine slept. It ran once.",
}
"""How runs end that no error of the job ended: `runs.error_code`, or how it begins, and what is to be done."""

_STATUS_OF_EXIT_CODE = {
    DONE: Status.SUCCEEDED,
    REFUSED: Status.REFUSED,
    TRY_AGAIN_LATER: Status.TRY_AGAIN_LATER,
    INTERRUPTED_BY_CTRL_C: Status.INTERRUPTED,
    INTERRUPTED_BY_SIGTERM: Status.INTERRUPTED,
}


def status_of_exit_code(exit_code: int) -> Status:
    """The status that a job's exit code gives its run."""
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
    """Open a run and return its id; None if its tick has this attempt already, by the unique constraint."""
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
    return _any(connection, runs.c.id == run_id, runs.c.status == Status.RUNNING)


def _any(connection: Connection, *conditions: ColumnElement[bool]) -> bool:
    return connection.execute(select(runs.c.id).where(*conditions).limit(1)).first() is not None


def counts_of(connection: Connection, run_id: int) -> dict[str, Any]:
    """The counts of a run, as its work has recorded them so far."""
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
    # By id, which grows with time.
    rows = connection.execute(select(*fields_of(Run, runs)).order_by(runs.c.id.desc()).limit(newest))
    return [Run(**row._mapping) for row in rows]


# ---- Leases: who may do a thing that must not be done twice at once, by the database's clock.

RETRAINING = "retrain"
"""The lease of whoever trains and judges."""
RETAINING = "retain"
"""The lease of whoever removes what is old, or moves it to files."""


def take_lease(connection: Connection, name: str, owner: str, seconds: int) -> int | None:
    """The fence of a lease that is free or has run out; None if someone holds it."""
    now = clock(connection)
    values = {"name": name, "owner": owner, "now": now, "until": now + timedelta(seconds=seconds)}
    # Insert, or take over where it has run out, in one statement: of two at once one gets no row back.
    statement = text("""
        INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, :owner, 1, :until)
        ON CONFLICT (name) DO UPDATE
        SET owner = EXCLUDED.owner, fence = leases.fence + 1, expires_at = EXCLUDED.expires_at
        WHERE leases.expires_at <= :now
        RETURNING fence""")
    return connection.execute(statement.bindparams(_moment("now"), _moment("until")), values).scalar()


def _moment(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=Timestamp())


_OVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The end of a lease that was given back, whatever the clock says that is set later."""


def renew_lease(connection: Connection, name: str, fence: int, seconds: int) -> bool:
    """Push the end of a lease that is still ours; whether it was."""
    return _end_at(connection, name, fence, clock(connection) + timedelta(seconds=seconds))


def release_lease(connection: Connection, name: str, fence: int) -> None:
    """End a lease; its row stays, so that the fence never goes back."""
    _end_at(connection, name, fence, _OVER)


def _end_at(connection: Connection, name: str, fence: int, moment: datetime) -> bool:
    ours = update(leases).where(leases.c.name == name, leases.c.fence == fence)
    return connection.execute(ours.values(expires_at=moment)).rowcount == 1


def owner_of(run_id: int) -> str:
    """The name of a run as the owner of a lease."""
    return f"run {run_id}"


def end_leases_of(connection: Connection, run_ids: list[int]) -> None:
    """End the leases of runs that are over, whatever ended them: whoever comes next need not wait for them to run out.

    One that sleeps and wakes again renews its lease by the fence, unless someone has taken it over.
    """
    owners = map(owner_of, run_ids)
    connection.execute(update(leases).where(leases.c.owner.in_(owners)).values(expires_at=_OVER))


def lease_holder(connection: Connection, name: str) -> tuple[str, str]:
    """Owner and end of a lease, for the message to whoever did not get it."""
    row = connection.execute(select(leases.c.owner, leases.c.expires_at).where(leases.c.name == name)).first()
    return ("someone", "soon") if row is None else (row.owner, row.expires_at.isoformat())


# ---- Ticks: who may run one, how its child ended, and what is known of the job's schedule.

_NEVER_RAN = (Status.MISSED, Status.SKIPPED, Status.CRASHED, Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one tick; each field is the column of its name."""

    attempt: int
    status: str


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child process ended."""

    exit_code: int | None
    """None if a signal ended it."""
    signal: str | None
    """The signal's name, such as SIGKILL."""
    error_line: str | None
    """What its error said, or the last line that it wrote to stderr, where it failed."""
    timed_out: bool = False
    """Whether its time was up: then what it says of itself does not stand."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """A run that gave no sign of life for too long; each field is the column of its name."""

    id: int
    job: str
    scheduled_for: datetime | None


def adopt_run(connection: Connection, run_id: int, job: str, host: str) -> str | None:
    """Take over the run that a scheduler opened for this process; its trigger, None if there is no such open run."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.job == job, runs.c.status == Status.RUNNING)
        .values(host=host, started_at=database_now(), heartbeat_at=database_now())
        .returning(runs.c.trigger)
    )
    return connection.execute(statement).scalar()


def attempts_of(connection: Connection, job: str, tick: datetime) -> list[Attempt]:
    """Attempts at a tick, oldest first."""
    # By the unique index on job and tick.
    rows = connection.execute(
        select(runs.c.attempt, runs.c.status)
        .where(runs.c.job == job, runs.c.scheduled_for == tick)
        .order_by(runs.c.attempt)
    )
    return [Attempt(*row) for row in rows]


def newest_tick(connection: Connection, job: str) -> datetime | None:
    """The newest tick of a job that has any row."""
    # By the unique index on job and tick.
    return connection.execute(select(func.max(runs.c.scheduled_for)).where(runs.c.job == job)).scalar()


def has_run(connection: Connection, job: str) -> bool:
    """Whether a job has ever come to an end of its own, or is on its way there, whoever started it."""
    return _any(connection, runs.c.job == job, runs.c.status.not_in(_NEVER_RAN), IS_REAL)


def is_running(connection: Connection, job: str) -> bool:
    """Whether anybody is doing the job now, as far as `runs` knows."""
    return _any(connection, runs.c.job == job, runs.c.status == Status.RUNNING, IS_REAL)


def note_ticks(
    connection: Connection, job: str, ticks: list[datetime], status: Status, error_code: str, host: str
) -> int:
    """Write ticks that are not run into `runs`; how many had no row yet."""
    noted = 0
    for tick in ticks:
        row = {"job": job, "trigger": "schedule", "scheduled_for": tick, "attempt": 1, "host": host, "counts": {}}
        values = row | {"status": status, "error_code": error_code, "finished_at": database_now()}
        # Whoever was first has said it; a tick that was run keeps its run.
        statement = insert_unless_tick_is_taken(connection).values(**values).returning(runs.c.id)
        noted += len(connection.execute(statement).all())
    return noted


def close_attempt(connection: Connection, run_id: int, status: Status, error_code: str | None, ended: ChildEnd) -> str:
    """Record how the child ended; the final status. What the child has said of itself stands unless its time was up.

    Somebody may have deleted the row: then nothing is recorded.
    """
    # A child that was stopped at its time limit says `interrupted` of itself.
    statement = text("""
        UPDATE runs SET exit_code = :exit_code, signal = :signal, error_line = :error_line,
            error_code = CASE WHEN status = 'running' OR :overrule = 1 THEN :error_code ELSE error_code END,
            status = CASE WHEN status = 'running' OR :overrule = 1 THEN :status ELSE status END
        WHERE id = :id RETURNING status""")
    values = {"id": run_id, "status": str(status), "error_code": error_code, "exit_code": ended.exit_code}
    values |= {"signal": ended.signal, "error_line": ended.error_line, "overrule": int(ended.timed_out)}
    final = connection.execute(statement, values).scalar()
    # The end, where the child has not written it.
    open_end = update(runs).where(runs.c.id == run_id, runs.c.finished_at.is_(None))
    connection.execute(open_end.values(finished_at=database_now()))
    end_leases_of(connection, [run_id])
    return str(final or status)


def mark_crashed(connection: Connection, stale_seconds: int) -> list[Crashed]:
    """Close the runs that have given no sign of life for so long, by the database's clock.

    Or whose last one is as far ahead of it: the clock was set back since. Who lives beats again, and says at its end
    what has become of it.
    """
    now, long_ = clock(connection), timedelta(seconds=stale_seconds)
    stale = not_(runs.c.heartbeat_at.between(now - long_, now + long_))
    statement = (
        update(runs)
        .where(runs.c.status == Status.RUNNING, stale)
        .values(status=Status.CRASHED, error_code="heartbeat_lost", finished_at=database_now())
        .returning(runs.c.id, runs.c.job, runs.c.scheduled_for)
    )
    # Of two schedulers one gets the row.
    crashed = [Crashed(*row) for row in connection.execute(statement)]
    end_leases_of(connection, [run.id for run in crashed])
    return crashed


def see_schedule(connection: Connection, job: str, expression: str, time_zone: str, now: datetime) -> datetime:
    """Remember a job's schedule; since when it has been this one. A changed one counts from now."""
    # Of two schedulers that start at once the first one's time counts. Ticks of another schedule no longer count.
    statement = text("""
        INSERT INTO schedules (job, expression, time_zone, first_seen_at, heartbeat_at)
        VALUES (:job, :expression, :time_zone, :now, :clock)
        ON CONFLICT (job) DO UPDATE
        SET expression = EXCLUDED.expression, time_zone = EXCLUDED.time_zone,
            first_seen_at = EXCLUDED.first_seen_at, heartbeat_at = EXCLUDED.heartbeat_at
        WHERE (schedules.expression, schedules.time_zone) <> (EXCLUDED.expression, EXCLUDED.time_zone)""")
    values = {"job": job, "expression": expression, "time_zone": time_zone, "now": now, "clock": clock(connection)}
    connection.execute(statement.bindparams(_moment("now"), _moment("clock")), values)
    seen: datetime = connection.execute(select(schedules.c.first_seen_at).where(schedules.c.job == job)).scalar_one()
    return seen


def record_heartbeat(connection: Connection, run_ids: list[int]) -> None:
    """The heartbeat of a scheduler and of the runs whose children it has."""
    connection.execute(update(schedules).values(heartbeat_at=database_now()))
    if run_ids:
        # A child that computes for long says nothing itself.
        alive = update(runs).where(runs.c.id.in_(run_ids), runs.c.status == Status.RUNNING)
        connection.execute(alive.values(heartbeat_at=database_now()))
