"""Keeps the newest few reports, pages of HTML, and reads what runs and rejections say, for status,
report and a retraining's figures."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, text

from pima.store.database import EARLIEST, Timestamp, bound_moments
from pima.store.service.runs import DRY_RUN, IS_REAL, Run, Status, last_runs
from pima.store.tables import (
    reports,
    runs,
)


def count_before_1900(connection: Connection) -> int:
    """Count the outcomes whose time lies before 1900, and so is not known."""
    earliest = bound_moments(connection, earliest=EARLIEST)
    statement = text("SELECT count(*) FROM patients WHERE labelled_at < :earliest")
    return connection.scalar(statement, earliest)


def predictions_by_version(connection: Connection) -> dict[int, tuple[int, datetime]]:
    """How many predictions scoring has made with each version, and when the first such run
    began."""
    statement = text(f"""
        SELECT model_version, coalesce(sum(CAST(counts ->> 'predicted' AS BIGINT)), 0),
            min(started_at) AS began
        FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND model_version IS NOT NULL
        GROUP BY model_version""")
    found = connection.execute(statement.columns(began=Timestamp()))
    return {int(version): (int(rows), began) for version, rows, began in found}


def last_scoring_runs(connection: Connection, newest: int) -> list[Run]:
    """The newest runs of scoring that have ended in any way, newest first, without missed and
    skipped ticks."""
    return last_runs(
        connection,
        newest,
        runs.c.job == "score",
        runs.c.finished_at.is_not(None),
        runs.c.status.not_in([Status.MISSED, Status.SKIPPED]),
        IS_REAL,
    )


def rejections_by_reason(connection: Connection) -> dict[tuple[str, str], int]:
    """Rows that scoring has rejected and that were not queued again, by reason and column."""
    statement = text("SELECT reason, field, count(*) FROM rejections GROUP BY reason, field")
    return {(reason, field): rows for reason, field, rows in connection.execute(statement)}


def keep_report(connection: Connection, html: str, kept: int) -> None:
    """Add a report, and delete all but the newest `kept`."""
    connection.execute(insert(reports).values(html=html))
    newest = select(reports.c.id).order_by(reports.c.id.desc()).limit(kept).scalar_subquery()
    connection.execute(delete(reports).where(reports.c.id.not_in(newest)))


def newest_report(connection: Connection) -> str | None:
    """The newest page; None if none was ever kept."""
    return connection.scalar(select(reports.c.html).order_by(reports.c.id.desc()).limit(1))
