"""Figures for monitoring: those that the tables hold of runs and verdicts, correct after any
restart, and those that each night counted over its rows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, text

from pima.core.nights.kinds import Kind, Watched, counts
from pima.core.nights.watched import LAST_NIGHTS, WEEKS_BACK
from pima.store.database import Timestamp
from pima.store.service.runs import (
    DRY_RUN,
    FINAL,
    IS_REAL,
    ROW_RESULTS,
    SUMS_OF_ROWS,
    SUSPENDED,
    Status,
)
from pima.store.tables import champion as champion_row
from pima.store.tables import monitoring, runs, schedules

# ---- The results of runs, and verdicts.


@dataclass(frozen=True, slots=True)
class LastEnd:
    """How a job's last run ended; each field is the column of its name."""

    status: str
    error_code: str | None
    heartbeat_at: datetime
    error_line: str | None


def last_end(connection: Connection, job: str, retries: int) -> LastEnd | None:
    """How the newest run of a job ended, of those that succeeded or failed, whoever started it.

    An end that asks to try again is a failure once a scheduler has given up.
    """
    # By the last heartbeat: a crash is noticed later, maybe after another run's success.
    statement = text(f"""
        SELECT status, error_code, heartbeat_at, error_line FROM runs
        WHERE job = :job AND trigger <> '{DRY_RUN}' AND (status IN ({FINAL})
            OR scheduled_for IS NOT NULL AND status = '{Status.TRY_AGAIN_LATER}'
                AND attempt > :retries)
        ORDER BY heartbeat_at DESC, id DESC LIMIT 1""")
    row = connection.execute(
        statement.columns(heartbeat_at=Timestamp()), {"job": job, "retries": retries}
    ).first()
    return None if row is None else LastEnd(*row)


def last_success(connection: Connection) -> dict[str, datetime]:
    """When each job last succeeded."""
    # Scans all runs, a few more each day.
    statement = select(runs.c.job, func.max(runs.c.finished_at)).where(
        runs.c.status == Status.SUCCEEDED, IS_REAL
    )
    return {row[0]: row[1] for row in connection.execute(statement.group_by(runs.c.job))}


def last_retrainings(connection: Connection) -> list[tuple[datetime, datetime | None]]:
    """When the newest retrainings that are running or succeeded began and ended, newest first."""
    statement = text(f"""
        SELECT started_at, finished_at FROM runs WHERE job = 'retrain'
            AND status IN ('{Status.RUNNING}', '{Status.SUCCEEDED}') AND trigger <> '{DRY_RUN}'
        ORDER BY id DESC LIMIT 11""")
    rows = connection.execute(statement.columns(started_at=Timestamp(), finished_at=Timestamp()))
    return [(began, ended) for began, ended in rows]


def runs_by_status(connection: Connection) -> dict[tuple[str, str], int]:
    """How many runs of each job have ended, by status, including runs that were removed since."""
    rows = connection.execute(
        text(f"""
            SELECT job, status, sum(number) FROM (
                SELECT job, status, count(*) AS number FROM runs
                WHERE status <> '{Status.RUNNING}' AND trigger <> '{DRY_RUN}' GROUP BY job, status
                UNION ALL SELECT job, status, runs FROM removed_runs) AS ended
            GROUP BY job, status""")
    )
    return {(job, status): int(number) for job, status, number in rows}


def last_durations(connection: Connection) -> dict[str, float]:
    """How many seconds each job's last finished run took."""
    # Rows of missed and skipped ticks are not runs.
    statement = text(f"""
        SELECT job, started_at, finished_at FROM runs WHERE id IN (
            SELECT max(id) FROM runs
            WHERE finished_at IS NOT NULL AND status NOT IN ('{Status.MISSED}', '{Status.SKIPPED}')
                AND trigger <> '{DRY_RUN}'
            GROUP BY job)""")
    rows = connection.execute(statement.columns(started_at=Timestamp(), finished_at=Timestamp()))
    return {job: (finished - started).total_seconds() for job, started, finished in rows}


def rows_by_result(connection: Connection) -> dict[str, int]:
    """Count the results of all rows that scoring has ever taken, from its runs' counts, removed
    runs included."""
    there = (
        f"SELECT {', '.join(SUMS_OF_ROWS)} FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}'"
    )
    removed = ", ".join(f"coalesce(sum({name}), 0)" for name in ROW_RESULTS)
    gone = f"SELECT {removed} FROM removed_runs WHERE job = 'score'"
    rows = connection.execute(text(f"{there} UNION ALL {gone}")).all()
    return {
        name: sum(map(int, numbers))
        for name, numbers in zip(ROW_RESULTS, zip(*rows, strict=True), strict=True)
    }


REPORT_ERROR = "report_error"
"""The key of a retraining's counts that holds the code of the error for which it left no report."""


def newest_retraining(connection: Connection) -> dict[str, Any]:
    """The counts of the newest retraining that reached a verdict; empty before the first."""
    # There is about one run a week; dry runs decide nothing.
    newest = select(runs.c.counts).where(
        runs.c.job == "retrain", runs.c.status == Status.SUCCEEDED, IS_REAL
    )
    return connection.scalar(newest.order_by(runs.c.id.desc()).limit(1)) or {}


def scheduler_heartbeat(connection: Connection) -> datetime | None:
    """When a scheduler last wrote its heartbeat; None if none ever has."""
    return connection.execute(select(func.max(schedules.c.heartbeat_at))).scalar()


def first_run(connection: Connection) -> datetime | None:
    """When the first run on record began."""
    first = select(runs.c.started_at).where(IS_REAL).order_by(runs.c.id).limit(1)
    return connection.scalar(first)


def schedules_first_seen(connection: Connection) -> dict[str, datetime]:
    """Since when each job has had its current schedule."""
    rows = connection.execute(select(schedules.c.job, schedules.c.first_seen_at))
    return {row[0]: row[1] for row in rows}


# ---- The figures of the runs: a row for each run, feature and figure.


def keep_figures(
    connection: Connection, run_id: int, version: int, kind: Kind, figures: Iterable[Watched]
) -> None:
    """Store figures of a kind that a run leaves, with the version that they are about."""
    of_run = {"run_id": run_id, "model_version": version, "kind": kind}
    rows = [of_run | asdict(each) for each in figures]
    if rows:
        connection.execute(insert(monitoring), rows)


SILENT_FOR = timedelta(weeks=8)
"""A version that has not predicted for so long is silent."""
_SLACK = timedelta(hours=1)
"""A run at the same time of day may have begun a little later."""
_DAY = timedelta(days=1)
_DAYS = 7 * (WEEKS_BACK + LAST_NIGHTS)


def rows_of_nights(connection: Connection, now: datetime) -> dict[int, int]:
    """How many rows the runs of each night took, by how many nights ago; 0 is tonight. A night is
    the 24 hours until an hour after this time of day. A night without a successful run is left out,
    since rows may have kept waiting, and so is one of a stop."""
    end = now + _SLACK
    # The rows of a failed run count if another run of the night succeeded, since that one took only
    # the rest.
    statement = text(f"""
        SELECT started_at, status,
            coalesce(CAST(counts ->> CAST('claimed' AS TEXT) AS BIGINT), 0),
            counts ->> CAST('{SUSPENDED}' AS TEXT) IS NULL
        FROM runs
        WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at > :since
            AND started_at <= :until""")
    # The upper bound leaves out runs from a time when the clock was ahead; they would count as
    # tonight's.
    since = bindparam("since", end - _DAYS * _DAY, Timestamp())
    until = bindparam("until", end, Timestamp())
    bound = statement.columns(started_at=Timestamp()).bindparams(since, until)
    taken: Counter[int] = Counter()
    complete: set[int] = set()
    for started_at, status, rows, is_whole in connection.execute(bound):
        night = (end - started_at) // _DAY
        taken[night] += int(rows)
        if status == Status.SUCCEEDED and is_whole:
            complete.add(night)
    return {night: taken[night] for night in complete}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFigure(Watched):
    """A row of the table; each field is the column of its name."""

    run_id: int
    model_version: int
    kind: str
    recorded_at: datetime


_KINDS = ", ".join(f"('{kind}')" for kind in Kind)
# Read backwards by the key: the next run that left figures of the kind is a night or a week away.
_NEWEST_FIGURES = text(f"""
    WITH newest AS (SELECT column1 AS kind, (
            SELECT run_id FROM monitoring WHERE kind = column1 ORDER BY run_id DESC LIMIT 1
        ) AS run_id FROM (VALUES {_KINDS}) AS kinds)
    SELECT m.* FROM newest n JOIN monitoring m ON m.run_id = n.run_id AND m.kind = n.kind
    ORDER BY m.run_id, m.model_version, m.feature, m.figure""").columns(recorded_at=Timestamp())
_PREDICTED_SINCE = text(f"""
    SELECT DISTINCT model_version FROM runs
    WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at >= :since
        AND CAST(counts ->> CAST('predicted' AS TEXT) AS BIGINT) > 0""")


def newest_figures(connection: Connection, now: datetime) -> list[KeptFigure]:
    """The newest figures of each kind that still count."""
    champion = connection.scalar(select(champion_row.c.model_version))
    since = bindparam("since", now - SILENT_FOR, Timestamp())
    lately = set(connection.scalars(_PREDICTED_SINCE.bindparams(since)))
    found = (KeptFigure(**row._mapping) for row in connection.execute(_NEWEST_FIGURES))
    return [each for each in found if counts(each, each.model_version, champion, lately)]


def last_left(connection: Connection, kind: Kind) -> datetime | None:
    """When a run last left figures of a kind; None if none has."""
    statement = select(monitoring.c.recorded_at).where(monitoring.c.kind == kind)
    return connection.scalar(statement.order_by(monitoring.c.run_id.desc()).limit(1))
