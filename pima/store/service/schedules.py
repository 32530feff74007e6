"""Schedules: the attempts at each tick, the ticks that are not run, and since when a job's schedule
is in force."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, text, update

from pima.store.database import Timestamp, database_now
from pima.store.engine import clock
from pima.store.service.runs import Status, add_run
from pima.store.tables import runs, schedules


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one tick; each field is the column of its name."""

    attempt: int
    status: str


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
    return connection.scalar(select(func.max(runs.c.scheduled_for)).where(runs.c.job == job))


def note_ticks(
    connection: Connection,
    job: str,
    ticks: list[datetime],
    status: Status,
    error_code: str,
    host: str,
) -> int:
    """Record ticks that are not run in `runs`; return how many had no row yet."""
    noted = 0
    for tick in ticks:
        # The first row of a tick stays: another scheduler's note, or the run itself.
        run_id = add_run(
            connection,
            job=job,
            trigger="schedule",
            scheduled_for=tick,
            attempt=1,
            host=host,
            status=status,
            error_code=error_code,
            finished_at=database_now(),
        )
        noted += run_id is not None
    return noted


def see_schedule(
    connection: Connection, job: str, expression: str, time_zone: str, now: datetime
) -> datetime:
    """Record a job's schedule; return since when it has been in force. A changed schedule counts
    from now."""
    # Of two schedulers that start at once, the first one's time counts. Ticks of an earlier
    # schedule no longer count.
    statement = text("""
        INSERT INTO schedules (job, expression, time_zone, first_seen_at, heartbeat_at)
        VALUES (:job, :expression, :time_zone, :now, :clock)
        ON CONFLICT (job) DO UPDATE
        SET expression = EXCLUDED.expression, time_zone = EXCLUDED.time_zone,
            first_seen_at = EXCLUDED.first_seen_at, heartbeat_at = EXCLUDED.heartbeat_at
        WHERE (schedules.expression, schedules.time_zone) <> (EXCLUDED.expression,
            EXCLUDED.time_zone)""")
    values = {
        "job": job,
        "expression": expression,
        "time_zone": time_zone,
        "now": now,
        "clock": clock(connection),
    }
    typed = [bindparam(name, type_=Timestamp()) for name in ("now", "clock")]
    connection.execute(statement.bindparams(*typed), values)
    seen = select(schedules.c.first_seen_at).where(schedules.c.job == job)
    return connection.execute(seen).scalar_one()


def record_heartbeat(connection: Connection, run_ids: list[int]) -> None:
    """Write the heartbeat of a scheduler and of the runs of its children."""
    connection.execute(update(schedules).values(heartbeat_at=database_now()))
    if run_ids:
        # A child writes no heartbeat during a long computation.
        alive = update(runs).where(runs.c.id.in_(run_ids), runs.c.status == Status.RUNNING)
        connection.execute(alive.values(heartbeat_at=database_now()))
