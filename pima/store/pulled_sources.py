"""What became of each source, from the counts that the runs of pull have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from pima.store.database import Json, Timestamp, database_of
from pima.store.runs import DRY_RUN, Status


@dataclass(frozen=True, slots=True)
class SourcePull:
    """How the pull of one source ended, or stands."""

    status: str
    error_code: str | None
    at: datetime
    """The run's last sign of life: its end, where it has ended."""
    counts: dict[str, Any]
    """What became of the source's rows, by the names of `PulledSource`."""
    run_id: int


def last_pulls(connection: Connection) -> dict[str, SourcePull]:
    """Of each source the newest pull, however it ended; those of a run that never came to a source are not told."""
    found = _newest(connection, "TRUE")
    return {source: pull for source, pull in found.items() if source is not None}


def last_successes(connection: Connection) -> dict[str, SourcePull]:
    """Of each source the newest pull that brought all of it."""
    return {source: pull for source, pull in _newest(connection, _SUCCEEDED).items() if source is not None}


def last_ends(connection: Connection, sources: Sequence[str], retries: int) -> dict[str, SourcePull]:
    """How the last pull of each ended that did the work or gave it up, by the rules of `monitoring.last_end`.

    A run that says nothing of its sources, such as one whose settings were wrong, was to pull them all.
    """
    found = _newest(connection, f"{_SUCCEEDED} OR {_FAILED} OR {_GAVE_UP}", retries=retries)
    ends = {source: [found[key] for key in (source, None) if key in found] for source in sources}
    return {source: max(candidates, key=_moment) for source, candidates in ends.items() if candidates}


def _moment(end: SourcePull) -> tuple[datetime, int]:
    """Two runs may end in one millisecond."""
    return end.at, end.run_id


_SUCCEEDED = f"status = '{Status.SUCCEEDED}'"
_FAILED = f"is_scheduled AND status IN ('{Status.FAILED}', '{Status.REFUSED}', '{Status.CRASHED}')"
# Runs of a time when one that found a source away and another at fault ended as failed, and was not tried again.
_GAVE_UP = (
    f"is_scheduled AND status = '{Status.TRY_AGAIN_LATER}'"
    f" AND (attempt > :retries OR status_of_run IN ('{Status.FAILED}', '{Status.REFUSED}'))"
)


def _newest(connection: Connection, condition: str, **parameters: object) -> dict[str | None, SourcePull]:
    """By source; None stands for the runs that say nothing of any."""
    # A walk over all pulls, a few more each day. By the last sign of life, as for all jobs.
    statement = text(f"""
        WITH of_runs AS (
            SELECT runs.id, runs.attempt, runs.scheduled_for IS NOT NULL AS is_scheduled, runs.heartbeat_at AS moment,
                runs.status AS status_of_run, runs.error_code AS error_code_of_run,
                item.value ->> 'source' AS source, coalesce(item.value ->> 'status', '{Status.RUNNING}') AS status_here,
                item.value ->> 'error_code' AS error_code_here, item.value AS counts
            FROM runs LEFT JOIN {database_of(connection).sources_of_run} ON TRUE
            WHERE runs.job = 'pull' AND runs.trigger <> '{DRY_RUN}'
        ), pulls AS (
            SELECT of_runs.*,
                CASE WHEN status_here = '{Status.RUNNING}' THEN status_of_run ELSE status_here END AS status,
                CASE WHEN status_here = '{Status.RUNNING}' THEN error_code_of_run ELSE error_code_here END AS error_code
            FROM of_runs
        ), ranked AS (
            SELECT pulls.*, row_number() OVER (PARTITION BY source ORDER BY moment DESC, id DESC) AS place
            FROM pulls WHERE {condition}
        )
        SELECT source, status, error_code, moment, counts, id FROM ranked WHERE place = 1""")
    rows = connection.execute(statement.columns(moment=Timestamp(), counts=Json()), parameters)
    return {row.source: SourcePull(row.status, row.error_code, row.moment, row.counts or {}, row.id) for row in rows}
