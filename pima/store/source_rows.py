"""Our rows of a source: reading them in the order of its keys, and taking in what has changed there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from pima.core.cells import NO_OUTCOME, Column, numbers
from pima.core.mapping import NO_MOMENT, SourceRows
from pima.core.validation import Measurements
from pima.errors import RowsContested, SchemaDiffers
from pima.store.columns import any_differs, assigned, column, listed
from pima.store.database import Id, Key, Real, database_of
from pima.store.rows_so_far import RowsSoFar


@dataclass(frozen=True, slots=True)
class OurColumns:
    """What is read of the rows of a source."""

    source: str
    features: Sequence[str]
    has_moment: bool
    """Whether the time of the outcome is, too."""


def rows_after(connection: Connection, columns: OurColumns, after: str, rows: int) -> SourceRows:
    """At most so many rows, by their keys, which come after this one."""
    mark = database_of(connection).parameter
    return _rows(connection, columns, f"source_key > {mark} ORDER BY source_key LIMIT {mark}", (after, rows))


def rows_of(connection: Connection, columns: OurColumns, keys: Sequence[str]) -> SourceRows:
    """Those that have one of the keys, in order."""
    database = database_of(connection)
    condition = f"source_key {database.is_one_of} ORDER BY source_key"
    return _rows(connection, columns, condition, (database.list_of_texts(keys),))


def _rows(connection: Connection, columns: OurColumns, condition: str, parameters: tuple[Any, ...]) -> SourceRows:
    database = database_of(connection)
    moment = database.labelled_at_milliseconds if columns.has_moment else "NULL"
    said = [f"CAST({each} AS {Real().compile(connection.dialect)})" for each in ("outcome", moment)]
    rest = f"FROM patients WHERE source = {database.parameter} AND {condition}"
    numbers_read = (*said, *map(column, columns.features))
    (keys, persons), read = database.read_rows(
        connection, ("source_key", "person_key"), numbers_read, rest, (columns.source, *parameters)
    )
    _require_order(keys)
    values, is_null = read.values, read.is_null
    return SourceRows(
        keys,
        persons,
        np.where(is_null[:, 0], NO_OUTCOME, values[:, 0]).astype(np.int8),
        # Milliseconds are whole numbers that a float holds exactly.
        np.where(is_null[:, 1], NO_MOMENT, values[:, 1].astype(np.int64)),
        Measurements(values[:, len(said) :], is_null[:, len(said) :]),
        np.zeros(len(keys), bool),
    )


def _require_order(keys: Sequence[str]) -> None:
    """Compared in another order, rows that the source has would seem to be gone."""
    if any(first >= second for first, second in pairwise(keys)):
        what = "keys of patients do not come in the order of their characters: the collation of source_key, or the"
        raise SchemaDiffers(what=f"{what} database's encoding, is another than pima's")


def count_outcomes(connection: Connection, source: str) -> int:
    """How many rows of a source there are whose outcome is known."""
    statement = text("SELECT count(outcome) FROM patients WHERE source = :source AND source_key IS NOT NULL")
    return int(connection.execute(statement, {"source": source}).scalar_one())


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a block of changes."""

    inserted: int
    updated: int
    deleted: int


MOMENT = "moment"
"""The column of a block of changes that has the time of the outcome, in milliseconds."""


# The row of ours that has a staged one's key. As a value it is looked up for each row, and never made a join: by
# statistics from before a source's first pull, which say that it has no rows, all would be compared with all.
_OUR_ID = "(SELECT p.id FROM patients p WHERE p.source = :source AND p.source_key = s.source_key)"


class Changes:
    """A block of changes of one source on its way into `patients`, in the caller's transaction."""

    def __init__(self, connection: Connection, source: str, columns: Sequence[str]) -> None:
        """The columns are those that the source brings: person_key first, where it has it, then numbers, of which
        MOMENT is the last, where it has that."""
        self._connection, self._source, self._staged = connection, source, tuple(columns)
        self._columns = tuple(name for name in columns if name != MOMENT)
        self._has_moment = MOMENT in columns
        self._database = database_of(connection)
        self._staging = f"{self._database.temporary_schema}.pima_source_staging"

    def take(self, new: SourceRows, changed: SourceRows, vanished: Sequence[str], so_far: RowsSoFar) -> Taken:
        """Bring rows in, and delete those that are no longer there, of those that were there `so_far`.

        A row that is as it should be already is not touched; one that was deleted and is there again has its old id.
        Raises RowsContested where somebody else holds one, SchemaDiffers where a clinic's trigger changes keys.
        """
        self._database.join_by_index(self._connection)
        updated = inserted = deleted = 0
        # First, while no row is held that somebody else may want: it meets those who insert the same keys.
        if len(new):
            self._stage(self._columns_of(new))
            with self._database.waiting_a_moment(self._connection):
                inserted = self._insert()
            self._require_keys_as_they_came(inserted)
            if inserted < len(new):
                # Others have brought some in since they were compared.
                self._hold("NO KEY UPDATE")
                updated = self._update()
        if len(changed):
            self._stage(self._columns_of(changed))
            self._hold("NO KEY UPDATE")
            updated += self._update()
        if vanished:
            self._stage({"source_key": vanished})
            self._hold("UPDATE")
            deleted = self._delete(so_far)
        self._execute(f"DROP TABLE IF EXISTS {self._staging}")
        return Taken(inserted, updated, deleted)

    def _columns_of(self, rows: SourceRows) -> dict[str, Column]:
        known: dict[str, Column] = {
            "person_key": rows.persons,
            "outcome": numbers(rows.outcomes.astype(np.int64), rows.outcomes == NO_OUTCOME),
            MOMENT: numbers(rows.labelled_at, rows.labelled_at == NO_MOMENT),
        }
        measured = zip(rows.measurements.values.T, rows.measurements.is_null.T, strict=True)
        features = [name for name in self._staged if name not in known]
        known |= {name: numbers(*cells) for name, cells in zip(features, measured, strict=True)}
        return {"source_key": rows.keys} | {name: known[name] for name in self._staged}

    def _stage(self, columns: Mapping[str, Column]) -> None:
        key, real, number = (kind.compile(self._connection.dialect) for kind in (Key(), Real(), Id()))
        types = {"source_key": key, "person_key": key, "outcome": number, MOMENT: number}
        listed_ = ", ".join(f"{column(name)} {types.get(name, real)}" for name in columns)
        self._execute(f"DROP TABLE IF EXISTS {self._staging}")
        self._execute(f"CREATE TEMPORARY TABLE {self._staging} ({listed_})")
        named = {column(name): values for name, values in columns.items()}
        self._database.append_columns(self._connection, self._staging, named)

    def _hold(self, lock: str) -> None:
        rows = f"{self._found} s JOIN patients p ON p.id = s.patient_id"
        if not self._database.lock_unless_held(self._connection, rows, lock, {"source": self._source}):
            raise RowsContested(what="another transaction holds some")

    @property
    def _found(self) -> str:
        """The staged rows, each with the id of ours that has its key."""
        looked_up = f"SELECT s.*, {_OUR_ID} AS patient_id FROM {self._staging} s"
        return f"(WITH found AS MATERIALIZED ({looked_up}) SELECT * FROM found)"

    def _update(self) -> int:
        database = self._database
        assigned_, differ = assigned(self._columns, "s"), any_differs(self._columns, "patients", database.differs, "s")
        if self._has_moment:
            # Where the source does not say when, a known outcome keeps its time, and the triggers stamp another one.
            known = "CASE WHEN patients.outcome = s.outcome THEN patients.labelled_at END"
            assigned_ += f", labelled_at = coalesce({self._moment}, {known})"
            differ += f" OR {database.labelled_at_milliseconds} <> s.moment"
        update = f"""
            UPDATE patients SET {assigned_} FROM {self._found} s
            WHERE patients.id = s.patient_id AND ({differ})"""
        updated = self._execute(update)
        if self._has_moment:
            # Another outcome that came with the time of the one before has the time of the write by now.
            self._execute(update)
        return updated

    @property
    def _moment(self) -> str:
        return self._database.moment_of_milliseconds.format("s.moment")

    def _insert(self) -> int:
        columns, staged = listed(self._columns), listed(self._columns, "s")
        if self._has_moment:
            columns, staged = f"{columns}, labelled_at", f"{staged}, {self._moment}"
        old_id = "(SELECT k.patient_id FROM row_keys k WHERE k.source = :source AND k.source_key = s.source_key)"
        return self._execute(f"""
            INSERT INTO patients (id, source, source_key, {columns})
            SELECT coalesce({old_id}, {self._database.next_id}), :source, s.source_key, {staged}
            FROM {self._staging} s
            WHERE {_OUR_ID} IS NULL
            ORDER BY s.source_key""")

    def _require_keys_as_they_came(self, inserted: int) -> None:
        """The next pull would take the rows for new ones, whose keys then are somebody's already."""
        statement = f"SELECT count({_OUR_ID}) FROM {self._staging} s"
        found = self._connection.execute(text(statement), {"source": self._source}).scalar_one()
        if found < inserted:
            what = "gives rows of a source another key than they come with, by which pulls know them again"
            raise SchemaDiffers(what=f"a trigger on patients {what}")

    def _delete(self, so_far: RowsSoFar) -> int:
        # A row that somebody has brought into the source and here since the source was read has not vanished.
        came_since = f"""
            SELECT 1 FROM row_keys k
            WHERE k.patient_id = patients.id AND NOT ({self._database.came_before_writer})"""
        return self._execute(
            f"""
            DELETE FROM patients
            WHERE id IN (SELECT patient_id FROM {self._found} s) AND version <= :version
                AND NOT EXISTS ({came_since})""",
            {"version": so_far.version, "writer": so_far.writer},
        )

    def _execute(self, statement: str, parameters: Mapping[str, int] = MappingProxyType({})) -> int:
        return self._connection.execute(text(statement), {"source": self._source, **parameters}).rowcount
