"""Our rows of a source: reading them in the order of its keys, and taking in what has changed there."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from pima.core.mapping import SourceRows
from pima.store.columns import any_differs, assigned, column, listed
from pima.store.database import database_of
from pima.store.measurements import as_measurements
from pima.store.types import Id, Key, Real


def rows_after(connection: Connection, source: str, names: Sequence[str], after: str, rows: int) -> SourceRows:
    """At most so many rows of a source with these features, by their keys, which come after this one."""
    mark = database_of(connection).words.parameter
    return _rows(connection, names, f"source_key > {mark} ORDER BY source_key LIMIT {mark}", (source, after, rows))


def rows_of(connection: Connection, source: str, names: Sequence[str], keys: Sequence[str]) -> SourceRows:
    """Those of its rows with these features that have one of the keys, in order."""
    database = database_of(connection)
    condition = f"source_key {database.words.is_one_of} ORDER BY source_key"
    return _rows(connection, names, condition, (source, database.list_of_texts(keys)))


def count_rows(connection: Connection, source: str) -> int:
    """How many there are of a source."""
    statement = text("SELECT count(*) FROM patients WHERE source = :source AND source_key IS NOT NULL")
    counted: int = connection.execute(statement, {"source": source}).scalar_one()
    return counted


def _rows(connection: Connection, names: Sequence[str], condition: str, parameters: tuple[Any, ...]) -> SourceRows:
    database = database_of(connection)
    with closing(database.cursor(connection)) as cursor:
        cursor.execute(
            f"""SELECT source_key, person_key, coalesce(outcome, -1), {listed(names)} FROM patients
            WHERE source = {database.words.parameter} AND {condition}""",
            parameters,
        )
        found = cursor.fetchall()
    if not found:
        return SourceRows.none(len(names))
    keys, persons, outcomes, *measured = zip(*found, strict=True)
    return SourceRows(
        list(keys),
        list(persons),
        np.array(outcomes, np.int8),
        as_measurements(measured, len(found)),
        np.zeros(len(found), bool),
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a block of changes."""

    inserted: int
    updated: int
    deleted: int


class Changes:
    """A block of changes of one source on its way into `patients`, in the caller's transaction."""

    def __init__(self, connection: Connection, source: str, columns: Sequence[str]) -> None:
        """The columns are those that the source brings: person_key first, where it has it, then numbers."""
        self._connection, self._source, self._columns = connection, source, tuple(columns)
        self._database = database_of(connection)
        self._staging = f"{self._database.words.temporary_schema}.pima_source_staging"

    def take(self, new: Sequence[Sequence[Any]], changed: Sequence[Sequence[Any]], vanished: Sequence[str]) -> Taken:
        """Bring rows (key, and then the columns) in, and delete those that are no longer there.

        A row that is as it should be already is not touched; one that was deleted and is there again has its old id.
        """
        self._database.join_by_index(self._connection)
        updated = inserted = deleted = 0
        if changed:
            self._stage(self._columns, changed)
            updated = self._update()
        if new:
            self._stage(self._columns, new)
            inserted = self._insert()
        if vanished:
            self._stage((), [(key,) for key in vanished])
            deleted = self._delete()
        self._execute(f"DROP TABLE IF EXISTS {self._staging}")
        return Taken(inserted, updated, deleted)

    def _stage(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        key, real, number = (kind.compile(self._connection.dialect) for kind in (Key(), Real(), Id()))
        types = {"person_key": key, "outcome": number}
        others = "".join(f", {column(name)} {types.get(name, real)}" for name in columns)
        self._execute(f"DROP TABLE IF EXISTS {self._staging}")
        self._execute(f"CREATE TEMPORARY TABLE {self._staging} (source_key {key}{others})")
        names = ("source_key", *map(column, columns))
        texts = 1 + columns.count("person_key")
        self._database.append_rows(self._connection, self._staging, names, rows, texts)

    def _update(self) -> int:
        differ = any_differs(self._columns, "patients", self._database.words.differs, "s")
        return self._execute(f"""
            UPDATE patients SET {assigned(self._columns, "s")} FROM {self._staging} s
            WHERE patients.source = :source AND patients.source_key = s.source_key AND ({differ})""")

    def _insert(self) -> int:
        columns, staged = listed(self._columns), listed(self._columns, "s")
        same = "{0}.source = :source AND {0}.source_key = s.source_key"
        old_id = f"(SELECT k.patient_id FROM row_keys k WHERE {same.format('k')})"
        return self._execute(f"""
            INSERT INTO patients (id, source, source_key, {columns})
            SELECT coalesce({old_id}, {self._database.words.next_id}), :source, s.source_key, {staged}
            FROM {self._staging} s
            WHERE NOT EXISTS (SELECT 1 FROM patients p WHERE {same.format("p")})
            ORDER BY s.source_key""")

    def _delete(self) -> int:
        return self._execute(f"""
            DELETE FROM patients
            WHERE source = :source AND source_key IN (SELECT source_key FROM {self._staging})""")

    def _execute(self, statement: str) -> int:
        return self._connection.execute(text(statement), {"source": self._source}).rowcount
