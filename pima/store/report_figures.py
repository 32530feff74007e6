"""Figures of a report that status does not show: predictions with outcomes, nights, and rejections
by reason."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Connection, select, text

from pima.store.database import EARLIEST, Timestamp, database_of
from pima.store.runs import DRY_RUN, IS_REAL, Run, Status
from pima.store.tables import IS_LABELLED, NEWEST_FIRST, fields_of, runs


@dataclass(frozen=True, slots=True)
class CameTrue:
    """An outcome, with the last prediction that was made before it came."""

    labelled_at: datetime
    outcome: int
    predicted_class: int
    probability: float
    model_version: int
    threshold: float
    scored_at: datetime
    run_began: datetime | None
    """When the run that made the prediction began; None if it is no longer on record, with its
    counts."""
    has_tally: bool
    """Whether that run ended and left its tally."""


# The newest outcomes, each with the last prediction that was made before it came.
_LAST_BEFORE = """(SELECT d.{column} FROM predictions d
    WHERE d.patient_id = n.id AND d.scored_at <= n.labelled_at
    ORDER BY d.patient_version DESC, d.run_id DESC, d.model_version DESC LIMIT 1) AS {column}"""
_CAME_TRUE = text(f"""
    WITH compared AS MATERIALIZED (
        SELECT n.id, n.labelled_at, n.outcome,
            {_LAST_BEFORE.format(column="patient_version")},
                {_LAST_BEFORE.format(column="model_version")}
        FROM (SELECT id, outcome, labelled_at FROM patients
              WHERE {IS_LABELLED}
              ORDER BY {NEWEST_FIRST} LIMIT :newest) AS n)
    SELECT c.labelled_at, c.outcome, d.predicted_class, d.probability, d.model_version, d.threshold,
        d.scored_at,
        (SELECT started_at FROM runs WHERE id = d.run_id) AS run_began,
        EXISTS (SELECT 1 FROM tallies WHERE run_id = d.run_id) AS has_tally
    FROM compared c JOIN predictions d
        ON d.patient_id = c.id AND d.patient_version = c.patient_version
            AND d.model_version = c.model_version
    ORDER BY c.labelled_at DESC, c.id DESC""").columns(
    labelled_at=Timestamp(), scored_at=Timestamp(), run_began=Timestamp(), has_tally=Boolean()
)


def came_true(connection: Connection, newest: int) -> list[CameTrue]:
    """The outcomes among the `newest` that have a prediction, newest first."""
    return [CameTrue(*row) for row in connection.execute(_CAME_TRUE, {"newest": newest})]


def none_is_left_out_since(connection: Connection, newest: int) -> datetime | None:
    """The moment after which all outcomes are among the `newest`; None if there are no other
    outcomes."""
    statement = text(f"""
        SELECT labelled_at FROM patients WHERE {IS_LABELLED}
            ORDER BY labelled_at DESC LIMIT 1 OFFSET :newest""")
    found: datetime | None = connection.scalar(
        statement.columns(labelled_at=Timestamp()), {"newest": newest}
    )
    return found


def count_before_1900(connection: Connection) -> int:
    """Count the outcomes whose time lies before 1900, and so is not known."""
    earliest = {"earliest": database_of(connection).stored_moment(EARLIEST)}
    statement = text("SELECT count(*) FROM patients WHERE labelled_at < :earliest")
    return int(connection.execute(statement, earliest).scalar_one())


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


def last_nights(connection: Connection, newest: int) -> list[Run]:
    """The newest runs of scoring that have ended in any way, newest first, without missed and
    skipped ticks."""
    ran = (
        runs.c.finished_at.is_not(None),
        runs.c.status.not_in([Status.MISSED, Status.SKIPPED]),
        IS_REAL,
    )
    statement = (
        select(*fields_of(Run, runs))
        .where(runs.c.job == "score", *ran)
        .order_by(runs.c.id.desc())
        .limit(newest)
    )
    return [Run(**row._mapping) for row in connection.execute(statement)]


def rejections_by_reason(connection: Connection) -> dict[tuple[str, str], int]:
    """Rows that scoring has rejected and that were not queued again, by reason and column."""
    statement = text("SELECT reason, field, count(*) FROM rejections GROUP BY reason, field")
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(statement)}
