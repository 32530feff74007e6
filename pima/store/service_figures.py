"""Figures about the service, from what the database holds: true after any restart, whoever asks."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from pima.store.runs import DRY_RUN, IS_REAL, ROW_RESULTS, SUMS_OF_ROWS, Status
from pima.store.tables import promotions, removed_runs, runs, schedules


@dataclass(frozen=True, slots=True)
class LastEnd:
    """How a job's last run ended; each field is the column of its name."""

    status: str
    error_code: str | None
    heartbeat_at: datetime


def last_end(connection: Connection, job: str, retries: int) -> LastEnd | None:
    """How the last run of a job ended that did the work or gave it up: not stopped, nor to be tried again.

    What a person tried by hand and did not get done is that person's business; a success counts, whoever had it.
    """
    scheduled = runs.c.scheduled_for.is_not(None)
    failed = runs.c.status.in_((Status.FAILED, Status.REFUSED, Status.CRASHED)) & scheduled
    ended = (runs.c.status == Status.SUCCEEDED) | failed
    gave_up = (runs.c.status == Status.TRY_AGAIN_LATER) & scheduled & (runs.c.attempt > retries)
    columns = [runs.c[name] for name in LastEnd.__dataclass_fields__]
    # By the last sign of life, since that a run has crashed is noticed later, maybe after another's success.
    statement = select(*columns).where(runs.c.job == job, IS_REAL, ended | gave_up)
    row = connection.execute(statement.order_by(runs.c.heartbeat_at.desc(), runs.c.id.desc()).limit(1)).first()
    return None if row is None else LastEnd(*row)


def last_success(connection: Connection) -> dict[str, datetime]:
    """When each job last succeeded."""
    # A walk over all runs, a few more each day.
    statement = select(runs.c.job, func.max(runs.c.finished_at)).where(runs.c.status == Status.SUCCEEDED, IS_REAL)
    return {row[0]: row[1] for row in connection.execute(statement.group_by(runs.c.job))}


def runs_by_status(connection: Connection) -> dict[tuple[str, str], int]:
    """How many runs of each job have ended, by status, those that were removed since among them."""
    ended = select(runs.c.job, runs.c.status, func.count()).where(runs.c.status != Status.RUNNING, IS_REAL)
    removed = select(removed_runs.c.job, removed_runs.c.status, removed_runs.c.runs)
    counts = Counter[tuple[str, str]]()
    for job, status, count in connection.execute(ended.group_by(runs.c.job, runs.c.status).union_all(removed)):
        counts[job, status] += count
    return dict(counts)


def last_durations(connection: Connection) -> dict[str, float]:
    """How many seconds each job's last finished run took."""
    # Notes of missed and skipped ticks are no runs.
    newest = (
        select(func.max(runs.c.id))
        .where(runs.c.finished_at.is_not(None), runs.c.status.not_in([Status.MISSED, Status.SKIPPED]), IS_REAL)
        .group_by(runs.c.job)
    )
    rows = connection.execute(select(runs.c.job, runs.c.started_at, runs.c.finished_at).where(runs.c.id.in_(newest)))
    return {job: (finished - started).total_seconds() for job, started, finished in rows}


def rows_by_result(connection: Connection) -> dict[str, int]:
    """What became of all rows that scoring has ever taken, by its runs' counts; of runs that were removed, too."""
    there = f"SELECT {', '.join(SUMS_OF_ROWS)} FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}'"
    removed = ", ".join(f"coalesce(sum({name}), 0)" for name in ROW_RESULTS)
    gone = f"SELECT {removed} FROM removed_runs WHERE job = 'score'"
    rows = connection.execute(text(f"{there} UNION ALL {gone}")).all()
    return {name: sum(map(int, numbers)) for name, numbers in zip(ROW_RESULTS, zip(*rows, strict=True), strict=True)}


def last_verdict(connection: Connection) -> str | None:
    """What the newest retraining that came to one said, in words; None before the first."""
    # The newest of a run a week; dry runs decide nothing.
    newest = select(runs.c.counts).where(runs.c.job == "retrain", runs.c.status == Status.SUCCEEDED, IS_REAL)
    counts = connection.execute(newest.order_by(runs.c.id.desc()).limit(1)).scalar()
    return None if counts is None else counts.get("explanation")


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A verdict in brief."""

    challenger: int
    against: int | None
    decided_at: datetime
    verdict: str
    reason: str


def last_verdicts(connection: Connection, newest: int) -> list[VerdictLine]:
    """The newest of the gate's, newest first; a person's moves have no challenger."""
    moves = promotions.c
    columns = (moves.challenger, moves.from_version, moves.decided_at, moves.verdict, moves.reason)
    statement = select(*columns).where(moves.challenger.is_not(None)).order_by(moves.id.desc()).limit(newest)
    return [VerdictLine(*row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class MoveLine:
    """A decision about the champion in brief; each field is the column of its name."""

    id: int
    verdict: str
    reason: str
    challenger: int | None
    from_version: int | None
    to_version: int | None
    champion_sequence: int
    """Of the champion that it was decided against."""
    decided_at: datetime


_MOVE = [promotions.c[name] for name in MoveLine.__dataclass_fields__]


def moves_since(connection: Connection, moment: datetime) -> list[MoveLine]:
    """What the gate and people decided since then, oldest first."""
    rows = connection.execute(select(*_MOVE).where(promotions.c.decided_at >= moment).order_by(promotions.c.id))
    return [MoveLine(*row) for row in rows]


def newest_verdict(connection: Connection) -> MoveLine | None:
    """The gate's last; a person's moves have no challenger."""
    statement = select(*_MOVE).where(promotions.c.challenger.is_not(None)).order_by(promotions.c.id.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else MoveLine(*row)


def scheduler_heartbeat(connection: Connection) -> datetime | None:
    """When a scheduler last said that it lives; None where none ever has."""
    return connection.execute(select(func.max(schedules.c.heartbeat_at))).scalar()


def schedules_first_seen(connection: Connection) -> dict[str, datetime]:
    """Since when each job has had its present schedule."""
    rows = connection.execute(select(schedules.c.job, schedules.c.first_seen_at))
    return {row[0]: row[1] for row in rows}
