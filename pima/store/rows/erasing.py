"""Rows to delete: all rows of one person, and old rows that are no longer needed.

A prediction is needed as long as its row is there and its version counts, or may come to count. A
rejection is needed as long as its version is current: the row exists, has that version, and has no
outcome. No lock is taken: whoever makes an old version count meanwhile might as well have come
later.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Table,
    TextClause,
    and_,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.elements import ColumnElement

from pima.core.declared.identifiers import PERSON, Forgotten, name_of_key, name_of_person
from pima.errors import RowsKept
from pima.store.database import database_of
from pima.store.engine import clock, first_row
from pima.store.rows.queue import id_lists
from pima.store.rows.row_history import (
    LIVES_AT_LEAST,
    NOT_CURRENT,
    WITHOUT_PREDICTION,
    WITHOUT_ROW,
    does_not_count,
)
from pima.store.service.runs import DRY_RUN, IS_REAL, ROW_RESULTS, SUMS_OF_ROWS, Status
from pima.store.tables import (
    forgotten,
    installation,
    monitoring,
    prediction_scores,
    predictions,
    rejections,
    row_history,
    runs,
    tallies,
)

# ---- Forgotten persons: the marks that are kept of them, and looking them up.


def everyone_forgotten(connection: Connection) -> Forgotten:
    """All marks, with the salt that turns names into marks."""
    salt = first_row(connection, select(installation.c.forgetting_salt), "installation")[0]
    return Forgotten(salt, frozenset(connection.scalars(select(forgotten.c.mark))))


def keep_marks(connection: Connection, new: Set[str], decided_by: str, reason: str) -> None:
    """Store these marks."""
    rows = [{"mark": mark, "decided_by": decided_by, "reason": reason} for mark in sorted(new)]
    if rows:
        connection.execute(insert(forgotten), rows)


# ---- One person's rows.

_TABLES_BY_ID = {
    "queue_entries": "scoring_queue",
    "predictions": "predictions",
    "prediction_scores": "prediction_scores",
    "rejections": "rejections",
    "row_history": "row_history",
    "row_keys": "row_keys",
}
"""Other tables with rows of a patient, by `patient_id`; the keys name their counts."""
_CHANGED_BY_TRIGGERS = ("queue_entries", "row_history")
"""Those that lose rows, or get one, where the patient's own row goes: they are counted before."""


@dataclass(frozen=True, slots=True)
class Found:
    """A person's rows and their keys."""

    ids: frozenset[int] = frozenset()
    """Ids in `patients`, now or once."""
    keys: frozenset[tuple[str, str]] = frozenset()
    """Pairs of source and source key."""
    persons: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ids)


_KEY = "source = :source AND source_key = :source_key"
_PERSON = "person_key = :person"


def find_by_key(connection: Connection, source: str, source_key: str) -> Found:
    """The row that has this key in this source, or had it."""
    return find_by_ids(
        connection, _ids(connection, _KEY, {"source": source, "source_key": source_key})
    )


def find_by_persons(connection: Connection, persons: Sequence[str]) -> Found:
    """All rows of these persons; scans all rows that have keys."""
    ids = {person: _ids(connection, _PERSON, {"person": person}) for person in persons}
    found = find_by_ids(connection, sorted({each for rows in ids.values() for each in rows}))
    # A row that was corrected to another person is no longer this person's, whatever person it had
    # before. But a person with no row left is still known by the sides that such rows keep.
    known = frozenset(
        person for person in persons if ids[person] or sides_by_person(connection, person)
    )
    return Found(found.ids, found.keys, known)


def _ids(connection: Connection, condition: str, parameters: dict[str, str]) -> list[int]:
    # A row that was written while the triggers were disabled is only in patients.
    statement = (
        f"SELECT id FROM patients WHERE {condition} UNION SELECT patient_id FROM row_keys WHERE "
        f"{condition}"
    )
    return list(connection.scalars(text(f"{statement} ORDER BY 1"), parameters))


def find_by_ids(connection: Connection, ids: Sequence[int]) -> Found:
    """The rows with these ids, whether they exist, are gone, or never existed."""
    called = "SELECT source, source_key, person_key FROM"
    found = [
        row
        for listed in id_lists(ids)
        for row in connection.execute(
            text(
                f"{called} patients WHERE id IN ({listed}) UNION {called} row_keys WHERE "
                f"patient_id IN ({listed})"
            )
        )
    ]
    keys = frozenset(
        (source, source_key) for source, source_key, _ in found if source_key is not None
    )
    return Found(
        frozenset(ids), keys, frozenset(person for _, _, person in found if person is not None)
    )


_EVER_CALLED = text(f"""
    SELECT * FROM (
        SELECT id, source, source_key, person_key FROM patients
        UNION ALL SELECT patient_id, source, source_key, person_key FROM row_keys
        UNION ALL SELECT 0, source, source_key, NULL FROM source_rejections
        UNION ALL SELECT 0, NULL, NULL, substr(side_key, {len(PERSON) + 1}) FROM row_keys
            WHERE side_key LIKE '{PERSON}%') AS called
    WHERE coalesce(source_key, person_key) IS NOT NULL
    """).execution_options(yield_per=20_000)
"""Each key and each person that a row has or had; 0 stands for no row."""


def find_marked(connection: Connection, listed: Forgotten) -> Found:
    """All rows, keys and persons that have one of these marks; reads all names. What else such a
    row is called may be another's by now."""
    ids: set[int] = set()
    keys: set[tuple[str, str]] = set()
    persons: set[str] = set()
    for patient_id, source, source_key, person_key in connection.execute(_EVER_CALLED):
        if source_key is not None and listed.has(name_of_key(source, source_key)):
            ids.add(patient_id)
            keys.add((source, source_key))
        if person_key is not None and listed.has(name_of_person(person_key)):
            ids.add(patient_id)
            persons.add(person_key)
    return Found(frozenset(ids - {0}), frozenset(keys), frozenset(persons))


def erase_rows(connection: Connection, found: Found) -> dict[str, int]:
    """Delete all rows and count them, by the names of `ForgetResult`.

    `patients` come first: a batch that is being scored locks its queue entries, so deleting waits
    for it, and its predictions exist when predictions are deleted. A requeue locks the rows that it
    queues, so deleting waits for it, too. Raises RowsKept if a clinic's foreign key or trigger
    keeps rows.
    """
    ids = sorted(found.ids)
    there = {
        name: _count(connection, _TABLES_BY_ID[name], "patient_id", ids)
        for name in _CHANGED_BY_TRIGGERS
    }
    erased = {"rows": _take_out(connection, "patients", "id", ids)}
    erased |= {
        name: _take_out(connection, table, "patient_id", ids)
        for name, table in _TABLES_BY_ID.items()
    }
    return erased | there


def erase_source_rejections(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Delete the records that these rows of sources could not be taken in."""
    statement = text(f"DELETE FROM source_rejections WHERE {_KEY}")
    for source, source_key in keys:
        connection.execute(statement, {"source": source, "source_key": source_key})


def _take_out(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    found = _count(connection, table, column, ids)
    kept, keeper = delete_by_ids(connection, table, column, ids)
    if kept:
        raise RowsKept(table=table, rows=kept, keeper=keeper)
    return found


def _count(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    counted = f"SELECT count(*) FROM {table} WHERE {column} IN"
    return sum(connection.scalar(text(f"{counted} ({listed})")) for listed in id_lists(ids))


def delete_by_ids(
    connection: Connection, table: str, column: str, ids: Sequence[int]
) -> tuple[int, str]:
    """Delete rows, other than those that a clinic's foreign key or trigger keeps; return how many
    these are, and what keeps them."""
    keeper = "a trigger or constraint that is not pima's"
    for listed in id_lists(ids):
        keeper = database_of(connection).delete_by_ids(connection, table, column, listed) or keeper
    return _count(connection, table, column, ids), keeper


def sides_by_person(connection: Connection, person: str) -> list[int]:
    """The rows whose side of the holdout was decided by this person's key."""
    statement = text("SELECT patient_id FROM row_keys WHERE side_key = :name ORDER BY patient_id")
    return list(connection.scalars(statement, {"name": name_of_person(person)}))


def call_sides(connection: Connection, ids: Sequence[int], name: str) -> None:
    """Let this name decide these rows' side of the holdout from now on."""
    for listed in id_lists(ids):
        statement = text(f"UPDATE row_keys SET side_key = :name WHERE patient_id IN ({listed})")
        connection.execute(statement, {"name": name})


# ---- Old rows, found and deleted by ranges of the key.


@dataclass(frozen=True, slots=True)
class Old:
    """The rows of a table to delete."""

    table: Table
    is_over: ColumnElement[bool] | TextClause
    """The condition of a row that is not needed, and never will be again."""
    time: Column[datetime]
    """The column that says how old a row is."""
    cutoff: datetime

    @property
    def key(self) -> ColumnElement[int]:
        """The first column of the key, in whose order the table is read."""
        return next(iter(self.table.primary_key.columns))


def what_is_old(
    connection: Connection, cutoff: datetime, all_values: bool = False
) -> tuple[Old, ...]:
    """List the tables that old rows are deleted from, in order.

    Predictions come before rejections, because a rejection marks a deleted row's older prediction
    as superseded. Scores and values come behind them, too: they go when no prediction is left. With
    `all_values` predictions that count, or may come to count, are deleted as well.
    """
    if all_values:
        predictions_are_over = NOT_CURRENT.format("predictions")
    else:
        predictions_are_over = does_not_count(connection)
    scores_are_over = WITHOUT_PREDICTION.format("prediction_scores")
    values_are_over = f"({WITHOUT_PREDICTION} OR {WITHOUT_ROW})".format("row_history")
    replaced_by = clock(connection) - LIVES_AT_LEAST
    return (
        Old(predictions, text(predictions_are_over), predictions.c.scored_at, cutoff),
        Old(prediction_scores, text(scores_are_over), prediction_scores.c.scored_at, cutoff),
        Old(rejections, text(NOT_CURRENT.format("rejections")), rejections.c.rejected_at, cutoff),
        Old(row_history, text(values_are_over), row_history.c.replaced_at, replaced_by),
        Old(runs, _are_over(connection), runs.c.heartbeat_at, cutoff),
    )


def _are_over(connection: Connection) -> ColumnElement[bool]:
    """Select the runs that health, scheduler and metrics no longer need: a later run of the job has
    succeeded, and a later tick has come. Only a pull that a scheduler started covers all sources.
    Runs of retraining stay, about one a week: they count how often the holdout was used, and
    versions and verdicts refer to them."""
    newest = text(f"""
        SELECT job, max(id) FROM runs
        WHERE job IN ('score', 'pull', 'retain')
            AND trigger <> '{DRY_RUN}' AND status = '{Status.SUCCEEDED}'
            AND (job <> 'pull' OR scheduled_for IS NOT NULL)
        GROUP BY job""")
    over = [
        f"job = '{job}' AND id < {last} AND (scheduled_for IS NULL OR scheduled_for < "
        f"({_LAST_TICK.format(job)}))"
        for job, last in connection.execute(newest)
    ]
    return and_(
        runs.c.status != Status.RUNNING,
        or_(false(), *(literal_column(f"({each})", Boolean) for each in over)),
    )


_LAST_TICK = "SELECT max(tick.scheduled_for) FROM runs tick WHERE tick.job = '{}'"


def end_of_window(connection: Connection, old: Old, after: int, rows: int) -> int | None:
    """The highest key of the next `rows` rows above `after`, or of all that are left; None if there
    are none."""
    behind = select(old.key.label("key")).where(old.key > after).order_by(old.key)
    window = behind.limit(rows).subquery()
    return connection.scalar(select(func.max(window.c.key)))


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows with keys above `after`, up to and including `last`."""

    old: Old
    after: int
    last: int

    @property
    def _condition(self) -> ColumnElement[bool]:
        old = self.old
        is_in = and_(old.key > self.after, old.key <= self.last)
        return and_(is_in, old.is_over, old.time < old.cutoff)

    def count(self, connection: Connection) -> int:
        """How many of them to delete."""
        database_of(connection).join_by_index(connection)
        counted = select(func.count()).select_from(self.old.table).where(self._condition)
        return connection.execute(counted).scalar_one()

    def read(self, connection: Connection) -> list[tuple[Any, ...]]:
        """Read the rows to delete, in the order of the key. Nothing that others do keeps one of
        them until it is deleted: a row that stayed would be moved to a second file later."""
        database_of(connection).join_by_index(connection)
        old = self.old.table
        ordered = select(old).where(self._condition).order_by(*old.primary_key.columns)
        return [tuple(row) for row in connection.execute(ordered)]

    def delete(self, connection: Connection) -> int:
        """Delete them and return how many there were."""
        return _delete_old(connection, self.old, self._condition)


@dataclass(frozen=True, slots=True)
class Moved:
    """Some rows that were moved to a file."""

    old: Old
    keys: Sequence[tuple[int, ...]]
    newest: datetime
    """The time of the newest row in the whole file."""

    def delete(self, connection: Connection) -> int:
        """Delete these rows, which were old when the file was made, whatever the cutoff is now;
        return how many."""
        old = self.old
        columns = tuple_(*old.table.primary_key.columns)
        # A restored database may give keys that are in a file to newer rows, which are in no file.
        condition = and_(columns.in_(self.keys), old.time <= self.newest, old.is_over)
        return _delete_old(connection, old, condition)


def _delete_old(connection: Connection, old: Old, condition: ColumnElement[bool]) -> int:
    if old.table is runs:
        _keep_sums(connection, condition)
        # Nights are compared only with the week before, and the report shows no night whose run is
        # gone.
        gone = select(runs.c.id).where(condition)
        for table in (tallies, monitoring):
            connection.execute(delete(table).where(table.c.run_id.in_(gone)))
    database_of(connection).join_by_index(connection)
    if old.table is row_history:
        # Whoever truncates patients deletes there, too, and would be in a deadlock with a wait.
        key = tuple(row_history.primary_key.columns)
        free = select(*key).where(condition).with_for_update(skip_locked=True).correlate(None)
        condition = tuple_(*key).in_(free)
    return connection.execute(delete(old.table).where(condition)).rowcount


def _keep_sums(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Keep the sums over deleted runs, so that the metrics' counters never decrease."""
    sums: list[ColumnElement[int]] = [
        literal_column(each).label(name)
        for name, each in zip(ROW_RESULTS, SUMS_OF_ROWS, strict=True)
    ]
    gone = select(runs.c.job, runs.c.status, func.count().label("runs"), *sums).where(
        condition, IS_REAL
    )
    for row in connection.execute(gone.group_by(runs.c.job, runs.c.status)).mappings().all():
        connection.execute(_ADD_SUMS, dict(row))


_ADD_SUMS = text(f"""
    INSERT INTO removed_runs (job, status, runs, {", ".join(ROW_RESULTS)})
    VALUES (:job, :status, :runs, {", ".join(f":{name}" for name in ROW_RESULTS)})
    ON CONFLICT (job, status) DO UPDATE
    SET {
    ", ".join(f"{name} = removed_runs.{name} + EXCLUDED.{name}" for name in ("runs", *ROW_RESULTS))
}""")
