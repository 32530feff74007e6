"""Ticks in the table of runs: who may run one, how its child ended, and what is known about the job's schedule."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, not_, select, text, update

from pima.store.database import database_of
from pima.store.engine import clock
from pima.store.leases import end_leases_of
from pima.store.runs import IS_REAL, Status, insert_unless_tick_is_taken
from pima.store.tables import runs, schedules
from pima.store.types import database_now

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
    """None where a signal ended it."""
    signal: str | None
    """The signal's name, such as SIGKILL."""
    error_line: str | None
    """What its error said, or the last line that it wrote to stderr, where it failed."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """A run that gave no sign of life for too long; each field is the column of its name."""

    id: int
    job: str
    scheduled_for: datetime | None


def adopt_run(connection: Connection, run_id: int, job: str, host: str) -> str | None:
    """Take over the run that a scheduler opened for this process; its trigger, None where there is no such open run."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.job == job, runs.c.status == Status.RUNNING)
        .values(host=host, started_at=database_now(), heartbeat_at=database_now())
        .returning(runs.c.trigger)
    )
    return connection.execute(statement).scalar()


def attempts_of(connection: Connection, job: str, tick: datetime) -> list[Attempt]:
    """What has been tried for a tick, oldest first."""
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
    real = runs.c.status.not_in(_NEVER_RAN) & IS_REAL
    return connection.execute(select(runs.c.id).where(runs.c.job == job, real).limit(1)).first() is not None


def is_running(connection: Connection, job: str) -> bool:
    """Whether anybody is doing the job now, as far as `runs` knows."""
    statement = select(runs.c.id).where(runs.c.job == job, runs.c.status == Status.RUNNING, IS_REAL)
    return connection.execute(statement.limit(1)).first() is not None


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


def close_attempt(
    connection: Connection, run_id: int, status: Status, error_code: str | None, ended: ChildEnd, overrule: bool
) -> str:
    """Record how the child ended; the final status. What the child has said of itself stands unless it is overruled.

    Somebody may have deleted the row: then nothing is recorded.
    """
    # A child that was stopped at its time limit says `interrupted` of itself.
    statement = text("""
        UPDATE runs SET exit_code = :exit_code, signal = :signal, error_line = :error_line,
            error_code = CASE WHEN status = 'running' OR :overrule = 1 THEN :error_code ELSE error_code END,
            status = CASE WHEN status = 'running' OR :overrule = 1 THEN :status ELSE status END
        WHERE id = :id RETURNING status""")
    values = {"id": run_id, "status": str(status), "error_code": error_code, "exit_code": ended.exit_code}
    values |= {"signal": ended.signal, "error_line": ended.error_line, "overrule": int(overrule)}
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
    known = connection.execute(select(schedules).where(schedules.c.job == job).with_for_update()).first()
    values = {"expression": expression, "time_zone": time_zone, "first_seen_at": now, "heartbeat_at": database_now()}
    if known is None:
        # Of two schedulers that start at once the first one's time counts.
        connection.execute(database_of(connection).insert_unless_there(schedules, ("job",)).values(job=job, **values))
    elif (known.expression, known.time_zone) != (expression, time_zone):
        # Ticks of the old schedule no longer count.
        connection.execute(update(schedules).where(schedules.c.job == job).values(**values))
    seen: datetime = connection.execute(select(schedules.c.first_seen_at).where(schedules.c.job == job)).scalar_one()
    return seen


def record_heartbeat(connection: Connection, run_ids: list[int]) -> None:
    """The heartbeat of a scheduler and of the runs whose children it has."""
    connection.execute(update(schedules).values(heartbeat_at=database_now()))
    if run_ids:
        # A child that computes for long says nothing itself.
        alive = update(runs).where(runs.c.id.in_(run_ids), runs.c.status == Status.RUNNING)
        connection.execute(alive.values(heartbeat_at=database_now()))
