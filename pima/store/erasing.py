"""Rows that leave the tables: those of one person, wherever they are, and those that are old and serve for nothing.

A prediction or a rejection serves as long as its version lives: the row is there, has that version, and its outcome is
not known. No version comes to life a second time, so that what is found to be old may be deleted later, without a lock.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Table,
    and_,
    delete,
    exists,
    false,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.elements import ColumnElement

from pima.core.identifiers import Forgotten, mark_of
from pima.errors import RowsKept
from pima.store.database import database_of
from pima.store.engine import first_row
from pima.store.queue import id_lists
from pima.store.runs import DRY_RUN, IS_REAL, ROW_RESULTS, SUMS_OF_ROWS, Status
from pima.store.tables import forgotten, installation, monitoring, patients, predictions, rejections, runs, tallies

# ---- Who was forgotten: what is kept of them, and asking whether somebody is one of them.


def everyone_forgotten(connection: Connection) -> Forgotten:
    """All marks, with the salt by which names become such."""
    salt = first_row(connection, select(installation.c.forgetting_salt), "installation")[0]
    return Forgotten(salt, frozenset(connection.execute(select(forgotten.c.mark)).scalars()))


def keep_marks(connection: Connection, known: Forgotten, names: Iterable[str], decided_by: str, reason: str) -> None:
    """Remember these names from now on."""
    new = {mark_of(name, known.salt) for name in names} - known.marks
    rows = [{"mark": mark, "decided_by": decided_by, "reason": reason} for mark in sorted(new)]
    if rows:
        connection.execute(insert(forgotten), rows)


# ---- One person's rows.

_TABLES_BY_ID = {
    "queue_entries": "scoring_queue",
    "predictions": "predictions",
    "rejections": "rejections",
    "row_keys": "row_keys",
}
"""What has rows of a patient besides `patients`, by `patient_id`, and how they are called where they are counted."""
NAMING_IDS = ("by patient_id: ", "by id: ")
"""What stands before ids in the text of an error that names patients (VersionUsedTwice, KeptIdTaken). A run may keep
the text under any code: a child's, whose parent says how it ended, or one that was given up."""


@dataclass(frozen=True, slots=True)
class Found:
    """A person's rows, and what they are called."""

    ids: frozenset[int] = frozenset()
    """In `patients`, or once in it."""
    keys: frozenset[tuple[str, str]] = frozenset()
    """Sources, and what the rows are called there."""
    persons: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ids)


_KEY = "source = :source AND source_key = :source_key"
_PERSON = "person_key = :person"


def find_by_id(connection: Connection, patient_id: int) -> Found:
    """The row with this id, be it there or gone, or never heard of."""
    return _called(connection, [patient_id])


def find_by_key(connection: Connection, source: str, source_key: str) -> Found:
    """The row that has this key in this source, or had it."""
    return _called(connection, _ids(connection, _KEY, {"source": source, "source_key": source_key}))


def find_by_persons(connection: Connection, persons: Sequence[str]) -> Found:
    """All rows of these persons: a walk over all rows that have keys."""
    ids = {person: _ids(connection, _PERSON, {"person": person}) for person in persons}
    found = _called(connection, sorted({each for rows in ids.values() for each in rows}))
    # A row that was corrected to another person's is not this one's, whatever it once was called. But who has no row
    # left is still known by the sides that such rows keep.
    known = frozenset(person for person in persons if ids[person] or sides_by_person(connection, person))
    return Found(found.ids, found.keys, known)


def _ids(connection: Connection, condition: str, parameters: dict[str, str]) -> list[int]:
    # A row that was written while the triggers were switched off is in patients alone.
    statement = f"SELECT id FROM patients WHERE {condition} UNION SELECT patient_id FROM row_keys WHERE {condition}"
    return list(connection.execute(text(f"{statement} ORDER BY 1"), parameters).scalars())


def _called(connection: Connection, ids: Sequence[int]) -> Found:
    called = "SELECT source, source_key, person_key FROM"
    found = [
        row
        for listed in id_lists(ids)
        for row in connection.execute(
            text(f"{called} patients WHERE id IN ({listed}) UNION {called} row_keys WHERE patient_id IN ({listed})")
        )
    ]
    keys = frozenset((source, source_key) for source, source_key, _ in found if source_key is not None)
    return Found(frozenset(ids), keys, frozenset(person for _, _, person in found if person is not None))


def erase_rows(connection: Connection, found: Found) -> dict[str, int]:
    """Delete all rows and count them, by the names of `ForgetResult`.

    `patients` go first: a batch that is being scored holds the entry of the queue, so that what it predicts is there
    when predictions are deleted. Raises RowsKept if a clinic's trigger does not let them go.
    """
    ids = sorted(found.ids)
    waiting = _count(connection, "scoring_queue", "patient_id", ids)  # its entries go with the rows, by the triggers
    erased = {"rows": _take_out(connection, "patients", "id", ids)}
    erased |= {name: _take_out(connection, table, "patient_id", ids) for name, table in _TABLES_BY_ID.items()}
    erased["queue_entries"] = max(waiting, erased["queue_entries"])
    return erased | {"error_lines": _hide_in_errors(connection, ids)}


def erase_source_rejections(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Forget that these rows of sources could not be taken in."""
    statement = text(f"DELETE FROM source_rejections WHERE {_KEY}")
    for source, source_key in keys:
        connection.execute(statement, {"source": source, "source_key": source_key})


def _take_out(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    deleted = _delete(connection, table, column, ids)
    if left := _count(connection, table, column, ids):
        raise RowsKept(table=table, rows=left)
    return deleted


def _count(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    counted = f"SELECT count(*) FROM {table} WHERE {column} IN"
    return sum(connection.execute(text(f"{counted} ({listed})")).scalar_one() for listed in id_lists(ids))


def _delete(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    return sum(
        connection.execute(text(f"DELETE FROM {table} WHERE {column} IN ({listed})")).rowcount
        for listed in id_lists(ids)
    )


def _hide_in_errors(connection: Connection, ids: Sequence[int]) -> int:
    named = " OR ".join(f"error_line LIKE '%{words}%'" for words in NAMING_IDS)
    found = connection.execute(text(f"SELECT id, error_line FROM runs WHERE {named}")).all()
    one_of_them = re.compile(rf"(?<![\d,])(?:{'|'.join(map(str, ids))})(?!\d)") if ids else None
    changed = 0
    for run_id, line in found:
        hidden = one_of_them.sub("(forgotten)", line) if one_of_them else line
        if hidden != line:
            values = {"line": hidden, "id": run_id}
            changed += connection.execute(text("UPDATE runs SET error_line = :line WHERE id = :id"), values).rowcount
    return changed


def sides_by_person(connection: Connection, person: str) -> list[int]:
    """The rows whose side of the holdout was decided by a person who is no longer theirs."""
    statement = text("SELECT patient_id FROM row_keys WHERE side_key = :name ORDER BY patient_id")
    return list(connection.execute(statement, {"name": f"person {person}"}).scalars())


def call_sides(connection: Connection, ids: Sequence[int], name: str) -> None:
    """Have these rows' sides decided by this name from now on."""
    for listed in id_lists(ids):
        statement = text(f"UPDATE row_keys SET side_key = :name WHERE patient_id IN ({listed})")
        connection.execute(statement, {"name": name})


# ---- Old rows, found and deleted a range of the key at a time.

JOBS = ("score", "pull", "retain")
"""Whose runs may go. Those of retraining tell how often the holdout was asked, and stand behind versions and verdicts:
one a week."""


@dataclass(frozen=True, slots=True)
class Old:
    """The rows of a table that are to go."""

    table: Table
    is_over: ColumnElement[bool]
    """It serves for nothing, and will not again."""
    time: Column[datetime]
    """What tells how old a row is."""
    cutoff: datetime

    @property
    def condition(self) -> ColumnElement[bool]:
        """Rows that are to go by today's cutoff."""
        return and_(self.is_over, self.time < self.cutoff)

    @property
    def key(self) -> ColumnElement[int]:
        """The first column of the key, by which the table is walked through."""
        return next(iter(self.table.primary_key.columns))


def what_is_old(connection: Connection, cutoff: datetime) -> dict[str, Old]:
    """List the tables that old rows are taken out of. Predictions come before rejections, which say of a deleted
    row's older prediction that it is superseded."""
    return {
        "predictions": Old(predictions, _is_dead(predictions), predictions.c.scored_at, cutoff),
        "rejections": Old(rejections, _is_dead(rejections), rejections.c.rejected_at, cutoff),
        "runs": Old(runs, _are_over(connection), runs.c.heartbeat_at, cutoff),
    }


def _is_dead(table: Table) -> ColumnElement[bool]:
    same = (patients.c.id == table.c.patient_id, patients.c.version == table.c.patient_version)
    return not_(exists().where(*same, patients.c.outcome.is_(None)))


def _are_over(connection: Connection) -> ColumnElement[bool]:
    """Runs that health, scheduler and metrics have no need of: of their job a later one has succeeded, and a later
    tick has come. Of pulls only one that a scheduler began tells of all sources."""
    newest = text(f"""
        SELECT job, max(id) FROM runs
        WHERE job IN {JOBS} AND trigger <> '{DRY_RUN}' AND status = '{Status.SUCCEEDED}'
            AND (job <> 'pull' OR scheduled_for IS NOT NULL)
        GROUP BY job""")
    over = [
        f"job = '{job}' AND id < {last} AND (scheduled_for IS NULL OR scheduled_for < ({_LAST_TICK.format(job)}))"
        for job, last in connection.execute(newest)
    ]
    return and_(runs.c.status != Status.RUNNING, or_(false(), *(literal_column(f"({each})", Boolean) for each in over)))


_LAST_TICK = "SELECT max(tick.scheduled_for) FROM runs tick WHERE tick.job = '{}'"


def end_of_window(connection: Connection, old: Old, after: int, rows: int) -> int | None:
    """The key up to which there are so many rows behind `after`, or all that there are; None if there are none."""
    behind = select(old.key).where(old.key > after).order_by(old.key)
    found = connection.scalar(behind.offset(rows - 1).limit(1))
    return connection.scalar(select(func.max(old.key)).where(old.key > after)) if found is None else found


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows whose keys lie behind one number and up to another."""

    old: Old
    after: int
    last: int

    @property
    def _condition(self) -> ColumnElement[bool]:
        return and_(self.old.key > self.after, self.old.key <= self.last, self.old.condition)

    def count(self, connection: Connection) -> int:
        """How many of them are to go."""
        database_of(connection).join_by_index(connection)
        counted = select(func.count()).select_from(self.old.table).where(self._condition)
        return int(connection.execute(counted).scalar_one())

    def read(self, connection: Connection) -> list[tuple[Any, ...]]:
        """Read the rows that are to go, in the order of the key."""
        database_of(connection).join_by_index(connection)
        ordered = select(self.old.table).where(self._condition).order_by(*self.old.table.primary_key.columns)
        return [tuple(row) for row in connection.execute(ordered)]

    def delete(self, connection: Connection) -> int:
        """Have them gone; how many there were."""
        return _delete_old(connection, self.old, self._condition)


@dataclass(frozen=True, slots=True)
class Moved:
    """Some rows of a file."""

    keys: Sequence[tuple[int, ...]]
    newest: datetime
    """The time of the newest row of all in the file."""


def delete_rows(connection: Connection, old: Old, moved: Moved) -> int:
    """Have these rows gone: they were old when the file was made, whatever the cutoff is now; how many there were."""
    columns = tuple_(*old.table.primary_key.columns)
    # A database that was restored gives keys out again that a file has: to rows that are newer, and in no file.
    return _delete_old(connection, old, and_(columns.in_(moved.keys), old.time <= moved.newest, old.is_over))


def _delete_old(connection: Connection, old: Old, condition: ColumnElement[bool]) -> int:
    if old.table is runs:
        _keep_sums(connection, condition)
        # Nights are compared with the week before, and the report shows no night older than its run.
        gone = select(runs.c.id).where(condition)
        for table in (tallies, monitoring):
            connection.execute(delete(table).where(table.c.run_id.in_(gone)))
    database_of(connection).join_by_index(connection)
    return connection.execute(delete(old.table).where(condition)).rowcount


def _keep_sums(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Keep the sums that metrics count on, whatever runs are gone."""
    sums: list[ColumnElement[int]] = [
        literal_column(each).label(name) for name, each in zip(ROW_RESULTS, SUMS_OF_ROWS, strict=True)
    ]
    gone = select(runs.c.job, runs.c.status, func.count().label("runs"), *sums).where(condition, IS_REAL)
    for row in connection.execute(gone.group_by(runs.c.job, runs.c.status)).mappings().all():
        connection.execute(_ADD_SUMS, dict(row))


_ADD_SUMS = text(f"""
    INSERT INTO removed_runs (job, status, runs, {", ".join(ROW_RESULTS)})
    VALUES (:job, :status, :runs, {", ".join(f":{name}" for name in ROW_RESULTS)})
    ON CONFLICT (job, status) DO UPDATE
    SET {", ".join(f"{name} = removed_runs.{name} + EXCLUDED.{name}" for name in ("runs", *ROW_RESULTS))}""")
