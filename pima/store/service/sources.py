"""The state of sources: how far their last pulls got, how they ended, and which rows can't be taken
in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, select, text, update

from pima.core.nights.lost_rows import LostOfDay
from pima.store.database import (
    Json,
    Timestamp,
    database_now,
    database_of,
)
from pima.store.service.runs import DRY_RUN, FINAL, Status
from pima.store.tables import fields_of, source_pulls, source_rejections


@dataclass(frozen=True, slots=True)
class LastPull:
    """A row of the table; each field is the column of its name."""

    fingerprint: str
    """The fingerprint of the settings and the declaration that the whole source was last compared
    by."""
    changed_up_to: str | None
    """The highest time of change in the source at the last completed pull; None if none is
    known."""
    compared_whole_at: datetime | None
    """When the last completed pull of the whole source began; None once another such pull has
    begun."""


def last_pull(connection: Connection, source: str) -> LastPull | None:
    """The state that a source's last pull left; None if it was never pulled."""
    row = connection.execute(
        select(*fields_of(LastPull, source_pulls)).where(source_pulls.c.source == source)
    ).first()
    return None if row is None else LastPull(**row._mapping)


def pulled_names(connection: Connection) -> list[str]:
    """The sources that were ever pulled, even if the settings no longer declare them."""
    return list(connection.scalars(select(source_pulls.c.source)))


def begin_whole(connection: Connection, source: str, fingerprint: str) -> None:
    """Record that a pull of the whole source begins; the earlier state is void until it is
    completed."""
    values = {"source": source, "fingerprint": fingerprint}
    connection.execute(
        text("""
            INSERT INTO source_pulls (source, fingerprint) VALUES (:source, :fingerprint)
            ON CONFLICT (source) DO UPDATE
            SET fingerprint = EXCLUDED.fingerprint, changed_up_to = NULL,
                compared_whole_at = NULL"""),
        values,
    )


def complete(
    connection: Connection, source: str, changed_up_to: str | None, whole_since: datetime | None
) -> None:
    """Record that a pull is completed; `whole_since` is None if it compared only a part."""
    values: dict[str, object] = {"completed_at": database_now(), "changed_up_to": changed_up_to}
    if whole_since is not None:
        values["compared_whole_at"] = whole_since
    connection.execute(update(source_pulls).where(source_pulls.c.source == source).values(**values))


@dataclass(frozen=True, slots=True)
class SourcePull:
    """The state or end of a pull of one source."""

    status: str
    error_code: str | None
    at: datetime
    """The run's last heartbeat, which is its end if it has ended."""
    counts: dict[str, Any]
    """The counts of the source's rows, by the names of `PulledSource`."""
    run_id: int
    error_line: str | None
    """What the run said last; None if that was about another source."""


def last_pulls(connection: Connection, which: str = "TRUE") -> dict[str, SourcePull]:
    """The newest pull of each source that meets a condition, however it ended; runs that ended
    before they reached a source don't count."""
    found = _newest(connection, which)
    return {source: pull for source, pull in found.items() if source is not None}


def last_successes(connection: Connection) -> dict[str, SourcePull]:
    """The newest successful pull of each source."""
    return last_pulls(connection, f"status = '{Status.SUCCEEDED}'")


def last_ends(
    connection: Connection, sources: Sequence[str], retries: int
) -> dict[str, SourcePull]:
    """How the last pull of each source ended that succeeded or failed, by the rules of
    `monitoring.last_end`.

    A run that names no source, such as one with wrong settings, counts for all of them.
    """
    found = _newest(connection, f"status IN ({FINAL}) OR {_GAVE_UP}", retries=retries)
    ends = {source: [found[key] for key in (source, None) if key in found] for source in sources}
    # Two runs may end in the same millisecond.
    latest = partial(max, key=lambda end: (end.at, end.run_id))
    return {source: latest(candidates) for source, candidates in ends.items() if candidates}


# The run's status matters for earlier releases: with one source away and another at fault, a run
# failed for good.
_GAVE_UP = (
    f"is_scheduled AND status = '{Status.TRY_AGAIN_LATER}'"
    f" AND (attempt > :retries OR status_of_run IN ('{Status.FAILED}', '{Status.REFUSED}'))"
)


def _newest(
    connection: Connection, condition: str, **parameters: object
) -> dict[str | None, SourcePull]:
    """The newest pulls by source; None stands for the runs that name no source."""
    # Scans all pulls, a few more each day. Ordered by the last heartbeat, as for all jobs.
    # A run has one error line: what names "the source x" is not told of another one.
    statement = text(f"""
        WITH of_runs AS (
            SELECT runs.id, runs.attempt, runs.scheduled_for IS NOT NULL AS is_scheduled,
                runs.heartbeat_at AS moment,
                runs.status AS status_of_run, runs.error_code AS error_code_of_run,
                CASE WHEN item.value IS NULL OR error_line NOT LIKE '%he source %'
                    OR error_line LIKE
                        '%he source ' || (item.value ->> CAST('source' AS TEXT)) || ' %'
                    THEN error_line END AS said,
                item.value ->> CAST('source' AS TEXT) AS source,
                coalesce(item.value ->> CAST('status' AS TEXT), '{Status.RUNNING}')
                    AS status_here,
                item.value ->> CAST('error_code' AS TEXT) AS error_code_here, item.value AS counts
            FROM runs LEFT JOIN {database_of(connection).sources_of_run} ON TRUE
            WHERE runs.job = 'pull' AND runs.trigger <> '{DRY_RUN}'
        ), pulls AS (
            SELECT of_runs.*,
                CASE WHEN status_here = '{Status.RUNNING}' THEN status_of_run ELSE status_here
                    END AS status,
                CASE WHEN status_here = '{Status.RUNNING}' THEN error_code_of_run
                    ELSE error_code_here END AS error_code
            FROM of_runs
        ), ranked AS (
            SELECT pulls.*, row_number() OVER (PARTITION BY source
                ORDER BY moment DESC, id DESC) AS place
            FROM pulls WHERE {condition}
        )
        SELECT source, status, error_code, moment, counts, id, said FROM ranked WHERE place = 1""")
    rows = connection.execute(statement.columns(moment=Timestamp(), counts=Json()), parameters)
    return {
        row.source: SourcePull(
            row.status, row.error_code, row.moment, row.counts or {}, row.id, row.said
        )
        for row in rows
    }


def lost_by_day(connection: Connection, source: str, since: int) -> list[LostOfDay]:
    """What the pulls of a source found gone, by day, oldest first, since the day of that number.

    A row that is kept though it has vanished counts at each pull, so the rows that the pull before
    left so are taken off. A pull that ended early counts if it has taken something in.
    """
    database = database_of(connection)
    statement = text(f"""
        WITH counted AS (
            SELECT runs.id, {database.milliseconds.format("runs.started_at")} / 86400000 AS day,
                coalesce(item.value ->> CAST('status' AS TEXT), '') AS status,
                CAST(item.value ->> CAST('vanished' AS TEXT) AS BIGINT) AS vanished,
                CAST(item.value ->> CAST('deleted' AS TEXT) AS BIGINT) AS deleted,
                CAST(item.value ->> CAST('updated' AS TEXT) AS BIGINT) AS updated,
                CAST(item.value ->> CAST('outcomes_cleared' AS TEXT) AS BIGINT) AS cleared,
                CAST(item.value ->> CAST('before_person' AS TEXT) AS BIGINT) AS of_another_person
            FROM runs JOIN {database.sources_of_run} ON TRUE
            WHERE runs.job = 'pull' AND runs.trigger <> '{DRY_RUN}'
                AND item.value ->> CAST('source' AS TEXT) = :source
        ), compared AS (
            SELECT counted.*, vanished - lag(vanished - deleted) OVER (ORDER BY id) AS newly
            FROM counted
            WHERE day >= :since AND (status = '{Status.SUCCEEDED}' OR updated + deleted > 0)
        )
        SELECT day, CAST(sum(CASE WHEN newly > 0 THEN newly ELSE 0 END) AS BIGINT),
            CAST(coalesce(sum(cleared), 0) AS BIGINT),
            CAST(coalesce(sum(of_another_person), 0) AS BIGINT)
        FROM compared GROUP BY day ORDER BY day""")
    rows = connection.execute(statement, {"source": source, "since": since})
    return [LostOfDay(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """The number of a source's rows that can't be taken in, for one broken rule and column."""

    source: str
    reason: str
    field: str
    rows: int


def rejected_rows(connection: Connection) -> list[RejectedRows]:
    """Count the rows of all sources that can't be taken in, the most frequent reason first."""
    statement = text("""
        SELECT source, reason, field, count(*) AS rows FROM source_rejections
            GROUP BY source, reason, field
        ORDER BY 4 DESC, 1, 2, 3""")
    return [RejectedRows(*row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """Why a row of a source can't be taken in; each field is the column of its name."""

    reason: str
    field: str
    since: datetime


def rejected_row(connection: Connection, source: str, source_key: str) -> RejectedRow | None:
    """Find one rejected row by its key; None if the row can be taken in, or was never seen."""
    row = connection.execute(
        select(*fields_of(RejectedRow, source_rejections)).where(
            source_rejections.c.source == source, source_rejections.c.source_key == source_key
        )
    ).first()
    return None if row is None else RejectedRow(*row)
