"""Kept values of row versions that were replaced: which of them stay, and how long.

The triggers keep all of them. They can't look for a prediction: whoever has claimed a version may
not have committed it yet.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    text,
    tuple_,
)

from pima.store.database import bound_moments, database_of
from pima.store.engine import clock
from pima.store.models.registry import newest_declaration
from pima.store.rows.predicted_on import counted_version, in_time_until
from pima.store.tables import patients, predictions, replaced_rows

# ---- Looking once whether they were predicted on.

_COMMITTED_AFTER = timedelta(days=1)
"""How long a scorer may take from claiming a version to committing its prediction, by far."""
_DUE = """SELECT patient_id, patient_version FROM replaced_rows
    WHERE predicted_at IS NULL AND replaced_at < :before ORDER BY replaced_at LIMIT :rows"""
_IS_DUE = f"""(patient_id, patient_version) IN (
    WITH due AS MATERIALIZED ({_DUE} {{held}}) SELECT patient_id, patient_version FROM due)"""
_PREDICTED = """FROM predictions d WHERE d.patient_id = replaced_rows.patient_id
    AND d.patient_version = replaced_rows.patient_version"""
# TRUNCATE in an old snapshot, and SQLite's REPLACE by a source's key, leave values of rows that are
# gone.
_STAYS = f"""(EXISTS (SELECT 1 {_PREDICTED})
    AND EXISTS (SELECT 1 FROM patients p WHERE p.id = replaced_rows.patient_id))"""
_DROP = f"DELETE FROM replaced_rows WHERE {_IS_DUE} AND NOT {_STAYS}"
_KEEP = f"""UPDATE replaced_rows SET predicted_at = (SELECT min(d.scored_at) {_PREDICTED})
    WHERE {_IS_DUE} AND {_STAYS}"""


EXAMINED_AT_ONCE = 10_000
"""The most versions of one statement, which has to end within its time limit."""


def are_due(connection: Connection) -> bool:
    """Whether there are versions to look at."""
    return connection.execute(text(_DUE), _bounds(connection, 1)).first() is not None


def _bounds(connection: Connection, rows: int) -> dict[str, Any]:
    before = clock(connection) - _COMMITTED_AFTER
    return bound_moments(connection, before=before) | {"rows": rows}


def examine(connection: Connection, rows: int) -> int:
    """Look at the oldest versions that were replaced a day ago or earlier: those without a
    prediction go, the others stay and are not looked at again. Return how many they were.

    Those that somebody else looks at are left out, so nobody waits.
    """
    database = database_of(connection)
    database.read_by_index(connection)
    bounds = _bounds(connection, rows)
    statements = (text(each.format(held=database.update_unless_held)) for each in (_DROP, _KEEP))
    return sum(connection.execute(statement, bounds).rowcount for statement in statements)


# ---- What outlives the predictions that `retain` deletes.

_OF_THE_VERSION = (
    replaced_rows.c.patient_id == predictions.c.patient_id,
    replaced_rows.c.patient_version == predictions.c.patient_version,
)
_IS_KNOWN = replaced_rows.c.predicted_at.is_not(None)


def leave_marks(connection: Connection, going: ColumnElement[bool]) -> ColumnElement[bool]:
    """Leave a mark of each labelled version that stands and whose predictions are `going`: whatever
    replaces it later, it is known as predicted on. Return the condition of predictions that may go.

    A row that somebody changes is left to the next time, and so is a version that nobody has looked
    at since it was replaced. Rows with a mark are locked until the commit: else a correction could
    keep the values, see no mark, and lose them a day later.
    """
    row = patients.alias("standing")
    stands = (row.c.id == predictions.c.patient_id, row.c.version == predictions.c.patient_version)
    first = select(func.min(predictions.c.scored_at)).where(*stands).scalar_subquery()
    marks = (
        select(row.c.id, row.c.version, null(), first)
        .where(row.c.outcome.is_not(None), exists().where(*stands, going))
        .with_for_update(read=True, skip_locked=True, of=row)
    )
    key = ("patient_id", "patient_version")
    insert = database_of(connection).insert_unless_there(replaced_rows, key)
    connection.execute(insert.from_select([*key, "replaced_at", "predicted_at"], marks))
    is_kept = exists().where(*_OF_THE_VERSION)
    is_known = exists().where(*_OF_THE_VERSION, _IS_KNOWN)
    return or_(is_known, not_(or_(is_kept, exists().where(*stands))))


def are_over(connection: Connection, all_values: bool) -> ColumnElement[bool]:
    """The condition of kept values that nothing can ask for any more: their predictions are gone,
    and another version of the labelled row counts, or the row is gone, too. With `all_values` those
    that count, or may come to count, are over as well."""
    stays = may_count(connection, replaced_rows, all_values)
    if not all_values:
        stays = or_(stays, _says_when_first())
    return and_(_IS_KNOWN, not_(exists().where(*_OF_THE_VERSION)), not_(stays))


def _says_when_first() -> ColumnElement[bool]:
    """The condition of the first values of a row on which somebody acted: it matters whether that
    was after the first prediction."""
    before = replaced_rows.alias("before")
    earlier = (
        before.c.patient_id == replaced_rows.c.patient_id,
        before.c.patient_version < replaced_rows.c.patient_version,
    )
    acted = (patients.c.id == replaced_rows.c.patient_id, patients.c.acted_at.is_not(None))
    return and_(exists().where(*acted), not_(exists().where(*earlier)))


def may_count(connection: Connection, table: Table, all_values: bool) -> ColumnElement[bool]:
    """The condition of what belongs to a version that counts, or may come to count while the row
    has no outcome. With `all_values` only the version that waits for its outcome does."""
    waits = patients.c.outcome.is_(None)
    if all_values:
        which = and_(waits, patients.c.version == table.c.patient_version)
    else:
        outcome = newest_declaration(connection).outcome
        counted = counted_version("patients", in_time_until(connection, outcome))
        which = or_(waits, table.c.patient_version == literal_column(counted, BigInteger))
    return exists().where(patients.c.id == table.c.patient_id, which)


def delete_unless_held(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Delete kept values, other than those that a correction is writing; return how many."""
    key = tuple(replaced_rows.primary_key.columns)
    free = select(*key).where(condition).with_for_update(skip_locked=True).correlate(None)
    return connection.execute(delete(replaced_rows).where(tuple_(*key).in_(free))).rowcount
