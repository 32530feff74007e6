"""Rows on their way into `patients`: staged in a temporary table of the session, compared there,
merged by key.

Files and sources use the same statements. A file is taken in whole, in one transaction. Rows of a
source that have not changed are left out, and the rest is taken in by ranges of keys, each in its
own transaction.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from operator import add
from typing import Any, Literal

import pandas as pd
from sqlalchemy import Connection, CursorResult, bindparam, func, insert, select, text

from pima.core.declared.columns import kind_of, of_kind
from pima.errors import DatabaseUnusable
from pima.store.database import database_of
from pima.store.engine import any_differs, column, listed, redacted
from pima.store.rows.contested import hold
from pima.store.rows.erasing import delete_by_ids
from pima.store.tables import loads

Match = Literal["id", "source_key"] | None
"""How a staged row is matched with one of ours; None if every row is a new patient."""
VANISHED = "vanished"
"""Stands as the reason of a staged key that `patients` has and its source no longer does."""
_TIMES = ("known_at", "moment")
"""The kinds of columns that are staged as milliseconds since 1970."""
IS_SOUND = "s.reason IS NULL"
IS_REJECTED = f"s.reason IS NOT NULL AND s.reason <> '{VANISHED}'"


@dataclass(frozen=True, slots=True)
class OutcomesChanged:
    """How many outcomes of staged rows differ from ours."""

    inserted: int = 0
    """On new rows."""
    arrived: int = 0
    """On rows that had none."""
    corrected: int = 0
    cleared: int = 0
    """No longer in the source."""

    def __add__(self, other: "OutcomesChanged") -> "OutcomesChanged":
        """Add the counts of two ranges."""
        return OutcomesChanged(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class Taken:
    """How many staged rows had which result."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    outcomes: OutcomesChanged = OutcomesChanged()
    """The changes of outcomes; for a file only the inserted ones are counted."""
    undeletable: int = 0
    """Vanished rows that a clinic's foreign key or trigger keeps."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Staged keys above `after`, up to and including `last`."""

    after: str
    last: str
    rows: int
    """Rows to take in as the source has them."""
    outcomes: int
    """How many of them have an outcome."""
    vanished: int
    """Rows to delete."""


@dataclass(frozen=True, slots=True)
class RowsSoFar:
    """The rows of `patients` that existed at a moment, without using a clock. A few of them may
    count as newer, but a newer row never counts as one of them."""

    version: int
    """The row version that was drawn last: a row that is added or changed later has a higher
    one."""
    writer: int
    """The number of the oldest transaction that was then writing to `patients`: its rows may have a
    version already, and are not committed yet."""


def rows_so_far(connection: Connection) -> RowsSoFar:
    """The rows that exist now."""
    database = database_of(connection)
    # In this order: a transaction that begins to write between the two draws a higher version.
    version = connection.scalar(text(f"SELECT coalesce(({database.last_version}), 0)"))
    return RowsSoFar(version, connection.scalar(text(database.first_writer)))


class Staging:
    """The staging table of a session, for any of its transactions."""

    def __init__(
        self,
        connection: Connection,
        columns: Sequence[str],
        match: Match,
        source: str = "",
    ) -> None:
        """`columns` are the columns of `patients` to bring in, without `id`; `source` is the source
        of all rows."""
        self._connection = connection
        self._database = database_of(connection)
        # Named with its schema, so that no other table of this name is filled or dropped.
        self._table = (
            f"{self._database.temporary_schema}.pima_staging{'_' if source else ''}{source}"
        )
        self._session: object = None
        self._source = source
        self._match = match
        # The key that matches rows is never updated.
        named = {"source", "source_key"} if match == "source_key" else set()
        self._new_columns = (
            tuple(dict.fromkeys(("source", "source_key", *columns))) if source else tuple(columns)
        )
        self._columns = tuple(
            name for name in columns if name not in named and kind_of(name) not in _TIMES
        )
        self._has_labelled_at = "labelled_at" in columns
        self._moments = [name for name in columns if kind_of(name) == "moment"]
        same = {
            "id": "p.id = s.id",
            "source_key": "p.source = s.source AND p.source_key = s.source_key",
            None: "false",
        }
        self._same = same[match]

    @property
    def _tables(self) -> tuple[str, ...]:
        """The temporary tables. What is appended comes into the last one."""
        return (self._table,)

    def make(self) -> None:
        """Make an empty table; it lasts until the session ends or `drop` is called."""
        key = self._database.key
        numbers = ("line", "id", "known", "outcome", "labelled_at", *of_kind("moment"))
        kinds = dict.fromkeys(numbers, self._database.id)
        named = f"{key} DEFAULT '{self._source}'" if self._source else key
        kinds |= {
            "source": named,
            "source_key": key,
            "person_key": key,
            "reason": "TEXT",
            "field": "TEXT",
        }
        features = (name for name in self._new_columns if kind_of(name) == "feature")
        kinds |= {column(name): self._database.real for name in features}
        self.drop()
        # No constraints: the queries below find what would break them, with the line number.
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        for table in self._tables:
            self._execute(f"CREATE TEMPORARY TABLE {table} ({columns})")
        self._session = self._database.session_id(self._connection)

    def require_session(self) -> None:
        """Raises DatabaseUnusable if this transaction belongs to another session, which lacks the
        table: some pools give each transaction any free session, as PgBouncer does with pool_mode =
        transaction."""
        if self._database.session_id(self._connection) != self._session:
            raise self._shared("two transactions of a pull came to two sessions of the server")

    def require_unshared(self, other: Connection) -> None:
        """Raises DatabaseUnusable if a pool gave another connection the table's session. It is
        called before rows are staged: they would stay in that session, which this connection may
        never get again."""
        if self._session is not None and self._database.session_id(other) == self._session:
            raise self._shared("two connections of a pull came to one session of the server")

    def _shared(self, what: str) -> DatabaseUnusable:
        expected = (
            "one session for as long as it works: the server's own port, or a pool by session"
        )
        return DatabaseUnusable(
            what=what, expected=expected, url=redacted(self._connection.engine.url)
        )

    def drop(self) -> None:
        """Drop what was made: a connection pool gives this session to other users."""
        for table in self._tables:
            self._execute(f"DROP TABLE IF EXISTS {table}")

    def append(self, block: pd.DataFrame, index: Literal["line", "source_key"]) -> None:
        """Add the rows of a block; its index becomes the column `index`."""
        if not len(block):
            return
        frame = block.rename_axis(index).reset_index()
        if "reason" in frame:
            for name in ("reason", "field"):
                frame[name] = frame[name].where(frame["reason"] != "", None)
        self._database.append_frame(self._connection, self._tables[-1], frame)

    def take(self, within: KeyRange | None = None, so_far: RowsSoFar | None = None) -> Taken:
        """Take rows in, and delete the vanished ones among the rows `so_far`.

        Unchanged rows are not touched. A row that was deleted and comes again under its key gets
        its old id. Raises RowsContested if another transaction holds one.
        """
        if within is not None:
            self._database.join_by_index(self._connection)
        rows = f"{self._table} s WHERE {IS_SOUND} AND {of_range(within)}"
        if within is None:
            total, outcomes = self._one(f"SELECT count(*), count(s.outcome) FROM {rows}")
        else:
            total = within.rows
            outcomes = within.outcomes
        known = self._mark_known(within) if self._may_be_in("patients", within) else 0
        changed = (
            self._outcomes_changed(within)
            if known and within is not None
            else OutcomesChanged(outcomes)
        )
        if self._match != "id":
            self._database.draw_ids_above_given(self._connection)
        # First, while no row that others may want is locked: it may wait for others that insert the
        # same keys.
        inserted = self._insert(within) if known < total else 0
        if self._match == "id" and inserted:
            self._database.draw_ids_above_given(self._connection)
        changeable = self._columns or self._moments
        updated = self._update(within) if known and changeable else 0
        gone = self._gone(within, so_far) if within is not None and so_far is not None else []
        kept, _ = delete_by_ids(self._connection, "patients", "id", gone)
        return Taken(inserted, updated, total - inserted - updated, len(gone) - kept, changed, kept)

    def _mark_known(self, within: KeyRange | None, which: str = IS_SOUND) -> int:
        """Record which of our rows each staged row is: a clinic's trigger may round values as they
        are inserted."""
        return self._execute(
            f"UPDATE {self._table} AS s SET known = p.id FROM patients p WHERE {which} AND "
            f"{self._same} AND {of_range(within)}",
            within,
        )

    def _may_be_in(self, table: str, within: KeyRange | None) -> bool:
        """Whether a table has keys of the source in a range: that is faster than looking up each
        key, and before the first pull there are none."""
        if within is None:
            return self._match is not None
        keys = f"SELECT 1 FROM {table} s WHERE source = :source AND {of_range(within)}"
        return bool(self._one(f"SELECT EXISTS ({keys})", within)[0])

    def _outcomes_changed(self, within: KeyRange) -> OutcomesChanged:
        if "outcome" not in self._columns:
            return OutcomesChanged()
        compared = f"{self._table} s LEFT JOIN patients p ON p.id = s.known"
        statement = f"SELECT {OUTCOMES} FROM {compared} WHERE {IS_SOUND} AND {of_range(within)}"
        return OutcomesChanged(*self._one(statement, within))

    def _insert(self, within: KeyRange | None) -> int:
        names = listed(self._new_columns)
        staged = ", ".join(map(self._staged, self._new_columns))
        old_id = (
            "(SELECT k.patient_id FROM row_keys k WHERE k.source = s.source AND k.source_key = "
            "s.source_key)"
        )
        new_id = self._database.next_id
        if self._match == "id":
            new_id = "s.id"
        elif self._match == "source_key" and self._may_be_in("row_keys", within):
            new_id = f"coalesce({old_id}, {new_id})"
        # Ids follow the file's order, or the order of the keys.
        order = "s.line" if within is None else "s.source_key"
        with self._database.inserting(self._connection):
            return self._execute(
                f"""
                INSERT INTO patients (id, {names}) SELECT {new_id}, {staged}
                FROM {self._table} s WHERE {IS_SOUND} AND known IS NULL AND {of_range(within)}
                    ORDER BY {order}""",
                within,
            )

    def _update(self, within: KeyRange | None) -> int:
        these = f"{IS_SOUND} AND {of_range(within)}"
        differ_here = (
            f"{self._table} s JOIN patients p ON p.id = s.known WHERE {these} AND "
            f"({self._differs('p')})"
        )
        hold(self._connection, differ_here, "NO KEY UPDATE", range_parameters(within))
        values = [f"{column(name)} = {column(name, 's')}" for name in self._columns]
        values += [f"{name} = {self._staged(name)}" for name in self._moments]
        if self._has_labelled_at:
            # If the source gives no time, an unchanged outcome keeps its time, and the triggers
            # stamp any other.
            known = "CASE WHEN patients.outcome = s.outcome THEN patients.labelled_at END"
            values.append(f"labelled_at = coalesce({self._staged('labelled_at')}, {known})")
        update = f"""
            UPDATE patients SET {", ".join(values)} FROM {self._table} s
            WHERE patients.id = s.known AND {these} AND ({self._differs("patients")})"""
        # Unchanged rows are not updated, so that their `updated_at` stays true.
        updated = self._execute(update, within)
        if self._has_labelled_at and updated:
            # A changed outcome with the old outcome's time was stamped with the time of the write:
            # set its time again.
            self._execute(update, within)
        return updated

    def _differs(self, ours: str) -> str:
        differs = any_differs(self._columns, ours, self._database.differs, "s") or "false"
        if self._has_labelled_at:
            at = self._database.milliseconds.format(f"{ours}.labelled_at")
            differs += f" OR coalesce({at} <> s.labelled_at, s.labelled_at IS NOT NULL)"
        for name in self._moments:
            at = self._database.milliseconds.format(f"{ours}.{name}")
            known = f"CASE WHEN {ours}.{name} IS NOT NULL THEN {at} END"
            differs += f" OR {known} {self._database.differs} s.{name}"
        return differs

    def _staged(self, name: str) -> str:
        """A staged value as `patients` has it."""
        if kind_of(name) in _TIMES:
            return self._database.moment_of_milliseconds.format(f"s.{name}")
        return column(name, "s")

    def _gone(self, within: KeyRange, so_far: RowsSoFar) -> list[int]:
        """Lock the vanished rows, and return the ids of those that were here before the source was
        read."""
        if not within.vanished:
            return []
        which = f"s.reason = '{VANISHED}'"
        self._mark_known(within, which)
        found = (
            f"{self._table} s JOIN patients p ON p.id = s.known WHERE {which} AND "
            f"{of_range(within)}"
        )
        hold(self._connection, found, "UPDATE", range_parameters(within))
        # A row that was added to the source and here since the source was read has not vanished.
        came_since = f"""
            SELECT 1 FROM row_keys k
            WHERE k.patient_id = p.id AND NOT ({self._database.came_before_writer})"""
        return self._numbers(
            f"SELECT p.id FROM {found} AND p.version <= :version AND NOT EXISTS ({came_since})",
            within,
            version=so_far.version,
            writer=so_far.writer,
        )

    def _ask(
        self, statement: str, within: KeyRange | None = None, **others: object
    ) -> CursorResult[*tuple[Any, ...]]:
        parameters = {"source": self._source, **range_parameters(within), **others}
        return self._connection.execute(text(statement), parameters)

    def _execute(self, statement: str, within: KeyRange | None = None, **others: object) -> int:
        return self._ask(statement, within, **others).rowcount

    def _one(
        self, statement: str, within: KeyRange | None = None, **others: object
    ) -> tuple[Any, ...]:
        return tuple(self._ask(statement, within, **others).one())

    def _numbers(
        self, statement: str, within: KeyRange | None = None, **others: object
    ) -> list[int]:
        return list(self._ask(statement, within, **others).scalars())


class StagedFile(Staging):
    """The rows of a file, by line."""

    def lines_repeated(self) -> list[int]:
        """Lines whose id, or source and key, an earlier line of the file has already."""
        called = "source, source_key" if self._match == "source_key" else "id"
        return self._numbers(f"""
            SELECT line FROM (SELECT line, row_number() OVER (PARTITION BY {called}
                ORDER BY line) AS nth
                              FROM {self._table}) AS numbered
            WHERE nth > 1 ORDER BY line""")

    def lines_unknown(self) -> list[int]:
        """Lines whose patient is not in the database."""
        ours = f"SELECT p.id FROM patients p WHERE {self._same}"
        return self._numbers(
            f"SELECT line FROM {self._table} s WHERE ({ours}) IS NULL ORDER BY line"
        )

    def persons_of_sources(self, sources: Sequence[str]) -> list[tuple[int, str, str]]:
        """Line, source and person of each line with a person, if its row has, or had, a key in one
        of these sources."""
        statement = text(f"""
            SELECT s.line, coalesce(p.source, k.source), s.person_key
            FROM {self._table} s LEFT JOIN patients p ON p.id = s.id LEFT JOIN row_keys k
                ON k.patient_id = s.id
            WHERE s.person_key IS NOT NULL AND coalesce(p.source, k.source) IN :sources
                ORDER BY s.line""")
        statement = statement.bindparams(bindparam("sources", expanding=True))
        found = self._connection.execute(statement, {"sources": list(sources)})
        return [(line, source, person) for line, source, person in found]

    def drop_lines(self, lines: Sequence[int]) -> None:
        """Delete lines from the staging table, some of which may never have been staged."""
        if lines:
            # The table has no index: a DELETE of its own for each of 40,000 lines would read all of
            # it as often.
            self.append(pd.DataFrame({"reason": "bad", "field": ""}, index=lines), "line")
            bad = f"SELECT line FROM {self._table} WHERE reason IS NOT NULL"
            self._execute(f"DELETE FROM {self._table} WHERE line IN ({bad})")

    def give_keys_back(self) -> int:
        """Give rows that came again by id alone the key they had, if the file has it; return how
        many."""
        return self._execute(f"""
            UPDATE patients SET source = k.source, source_key = k.source_key
            FROM row_keys k JOIN {self._table} s ON s.source = k.source
                AND s.source_key = k.source_key
            WHERE patients.id = k.patient_id AND patients.source IS NULL""")

    def keep_known(self) -> None:
        """Keep the file's known patients from being deleted until the transaction ends. Raises
        RowsContested."""
        hold(self._connection, f"{self._table} s JOIN patients p ON {self._same}", "KEY SHARE")


OUTCOMES = """count(*) FILTER (WHERE p.id IS NULL AND s.outcome IS NOT NULL),
    count(*) FILTER (WHERE p.id IS NOT NULL AND p.outcome IS NULL AND s.outcome IS NOT NULL),
    count(*) FILTER (WHERE p.outcome <> s.outcome),
    count(*) FILTER (WHERE p.outcome IS NOT NULL AND s.outcome IS NULL)"""


def of_range(within: KeyRange | None, of: str = "s") -> str:
    """The condition that a row of this alias is in a range of keys; true for every row if there is
    no range."""
    return "TRUE" if within is None else f"{of}.source_key > :after AND {of}.source_key <= :last"


def range_parameters(within: KeyRange | None) -> dict[str, object]:
    """The parameters of that condition."""
    return {} if within is None else {"after": within.after, "last": within.last}


def earlier_load(connection: Connection, sha256: str) -> datetime | None:
    """When rows from a file with these bytes were first loaded; None if never."""
    with_rows = (loads.c.sha256 == sha256) & (loads.c.rows > 0)
    return connection.scalar(select(func.min(loads.c.loaded_at)).where(with_rows))


def record_load(connection: Connection, sha256: str, file_name: str, rows: int) -> None:
    """Record a loaded file."""
    connection.execute(insert(loads).values(sha256=sha256, file_name=file_name, rows=rows))
