"""Each source: how far its last pulls came, how they ended, and which of its rows can't be taken in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, update

from pima.store.database import Json, Timestamp, database_now, database_of
from pima.store.runs import DRY_RUN, Status
from pima.store.tables import fields_of, source_pulls, source_rejections


@dataclass(frozen=True, slots=True)
class LastPull:
    """A row of the table; each field is the column of its name."""

    fingerprint: str
    """Of the settings and the declaration by which all of it was compared last."""
    changed_up_to: str | None
    """The highest time of change in the source at the last pull that was completed; None if none is known."""
    compared_whole_at: datetime | None
    """When the last pull began that compared all of it and was completed; None since another such pull has begun."""


def last_pull(connection: Connection, source: str) -> LastPull | None:
    """The state that the last pull of a source left; None if it was never pulled."""
    row = connection.execute(select(*fields_of(LastPull, source_pulls)).where(source_pulls.c.source == source)).first()
    return None if row is None else LastPull(**row._mapping)


def pulled_names(connection: Connection) -> list[str]:
    """The sources that a pull has ever begun with, whether or not the settings still declare them."""
    return list(connection.scalars(select(source_pulls.c.source)))


def begin_whole(connection: Connection, source: str, fingerprint: str) -> None:
    """All of it is to be compared: from now on nothing counts until that is completed."""
    values = {"source": source, "fingerprint": fingerprint}
    connection.execute(
        text("""
            INSERT INTO source_pulls (source, fingerprint) VALUES (:source, :fingerprint)
            ON CONFLICT (source) DO UPDATE
            SET fingerprint = EXCLUDED.fingerprint, changed_up_to = NULL, compared_whole_at = NULL"""),
        values,
    )


def complete(connection: Connection, source: str, changed_up_to: str | None, whole_since: datetime | None) -> None:
    """All that was compared is taken in; of a pull of a part `whole_since` is None."""
    values: dict[str, Any] = {"completed_at": database_now(), "changed_up_to": changed_up_to}
    if whole_since is not None:
        values["compared_whole_at"] = whole_since
    connection.execute(update(source_pulls).where(source_pulls.c.source == source).values(**values))


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
    """The newest pull of each source, however it ended; those of a run that never came to a source are not told."""
    found = _newest(connection, "TRUE")
    return {source: pull for source, pull in found.items() if source is not None}


def last_successes(connection: Connection) -> dict[str, SourcePull]:
    """The newest pull of each source that brought all of it."""
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
    """The newest pulls by source; None stands for the runs that name no source."""
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


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Rows of a source that can't be taken in as they stand there, by what they broke."""

    source: str
    reason: str
    field: str
    rows: int


def rejected_rows(connection: Connection) -> list[RejectedRows]:
    """Count the rows of all sources that can't be taken in, most first."""
    statement = text("""
        SELECT source, reason, field, count(*) AS rows FROM source_rejections GROUP BY source, reason, field
        ORDER BY 4 DESC, 1, 2, 3""")
    return [RejectedRows(*row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """Why a row of a source can't be taken in as it stands there."""

    reason: str
    field: str
    since: datetime


def rejected_row(connection: Connection, source: str, source_key: str) -> RejectedRow | None:
    """Find one row by its key; None if it can be taken in, or was never seen."""
    table = source_rejections.c
    row = connection.execute(
        select(table.reason, table.field, table.since).where(table.source == source, table.source_key == source_key)
    ).first()
    return None if row is None else RejectedRow(*row)
