"""The history of rows: values that corrections and deletions have replaced, and how long they live.

Values live as long as their row and a prediction of their version. The triggers keep all of them:
they can't look for a prediction, since whoever has claimed a version may not have committed it yet.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from pima.store.database import EARLIEST, Timestamp, bound_moments, database_of
from pima.store.engine import clock
from pima.store.models.registry import newest_declaration
from pima.store.rows.predicted_on import in_time_until, last_in_time
from pima.store.service.runs import DRY_RUN, Status

# ---- What a night lets go.

LIVES_AT_LEAST = timedelta(days=1)
"""How long a scorer may take from claiming a version to committing its prediction, by far."""
LET_GO_AT_ONCE = 10_000
"""The most versions of one statement, which has to end within its time limit."""
_SINCE = f"""
    SELECT max(started_at) AS looked_at FROM runs
    WHERE job = 'score' AND status = '{Status.SUCCEEDED}' AND trigger <> '{DRY_RUN}'
        AND started_at <= :now"""
# Of a row that is gone all values go, at once; those that were replaced later come later in the
# order. Both look-ups are no joins: each takes one step in an index, whatever the planner knows of
# the tables.
_LET_GO = """
    DELETE FROM row_history WHERE (patient_id, patient_version, replaced_at) IN (
        SELECT o.patient_id, o.patient_version, o.replaced_at
        FROM row_history h JOIN row_history o ON o.patient_id = h.patient_id
            AND o.replaced_at <= h.replaced_at
        WHERE h.replaced_at >= :since AND (
            (SELECT p.id FROM patients p WHERE p.id = h.patient_id) IS NULL
            OR o.patient_version = h.patient_version AND h.replaced_at < :before
                AND (SELECT min(d.model_version) FROM predictions d
                     WHERE d.patient_id = h.patient_id
                        AND d.patient_version = h.patient_version) IS NULL)
        ORDER BY h.replaced_at LIMIT :rows {held})
    RETURNING replaced_at"""


def not_looked_at_since(connection: Connection) -> datetime | None:
    """From when on values may have been replaced that no night has looked at; None if none were, so
    that a writer of a SQLite file need not be waited for.

    A run looks when it ends at what is a day old. One more day is for a correction that was not
    committed by then; what took longer is left to `retain`.
    """
    statement = text(_SINCE).columns(looked_at=Timestamp())
    looked_at = connection.scalar(statement, bound_moments(connection, now=clock(connection)))
    since = EARLIEST
    if looked_at is not None:
        since = looked_at - 2 * LIVES_AT_LEAST
    is_there = text("SELECT 1 FROM row_history WHERE replaced_at >= :since LIMIT 1")
    if connection.scalar(is_there, bound_moments(connection, since=since)) is None:
        return None
    return since


def let_go(connection: Connection, since: datetime, rows: int = LET_GO_AT_ONCE) -> datetime | None:
    """Delete values that were replaced since a moment: those of rows that are gone, and those that
    are a day old and that nothing was predicted on. Return since when there may be more; None if
    there are no more.

    What somebody else holds is left out, so nobody waits.
    """
    database = database_of(connection)
    database.join_by_index(connection)
    moments = bound_moments(connection, since=since, before=clock(connection) - LIVES_AT_LEAST)
    statement = text(_LET_GO.format(held=database.unless_held.format("UPDATE OF o")))
    gone = connection.scalars(statement.columns(replaced_at=Timestamp()), moments | {"rows": rows})
    return max(gone, default=None)


# ---- What `retain` deletes: conditions on the rows of a table, by its name.

WITHOUT_PREDICTION = """NOT EXISTS (SELECT 1 FROM predictions d
    WHERE d.patient_id = {0}.patient_id AND d.patient_version = {0}.patient_version)"""
WITHOUT_ROW = "NOT EXISTS (SELECT 1 FROM patients p WHERE p.id = {0}.patient_id)"
NOT_CURRENT = """NOT EXISTS (SELECT 1 FROM patients p WHERE p.id = {0}.patient_id
    AND p.version = {0}.patient_version AND p.outcome IS NULL)"""
"""The row is gone, has another version, or has its outcome."""


def does_not_count(connection: Connection) -> str:
    """The condition of predictions that don't count: those of rows that are gone, and of labelled
    rows those of other versions than the one that counts. Of a row on which somebody acted all
    count, since it matters whether that was after the first one."""
    until = in_time_until(connection, newest_declaration(connection).outcome)
    counted = last_in_time("patient_version", "patients", until)
    return f"""NOT EXISTS (SELECT 1 FROM patients WHERE patients.id = predictions.patient_id
        AND (outcome IS NULL OR acted_at IS NOT NULL OR predictions.patient_version = {counted}))"""
