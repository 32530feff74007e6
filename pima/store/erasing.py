"""Finding a person's rows, and taking them out of each table that has something of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pima.errors import RowsKept
from pima.store.database import database_of
from pima.store.id_lists import id_lists

TABLES_BY_ID = ("scoring_queue", "predictions", "rejections", "row_keys")
"""What has rows of a patient besides `patients`, by `patient_id`."""
NAMING_IDS = ("by patient_id: ", "by id: ")
"""What stands before ids in the text of an error that names patients (VersionUsedTwice, KeptIdTaken). A run may keep
the text under any code: a child's, whose parent says how it ended, or one that was given up."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a person's rows are, and are called."""

    ids: frozenset[int] = frozenset()
    """In `patients`, or once in it."""
    keys: frozenset[tuple[str, str]] = frozenset()
    """Sources, and what the rows are called there."""
    persons: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ids)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows were deleted."""

    patients: int = 0
    by_table: dict[str, int] = field(default_factory=dict)
    """Of `TABLES_BY_ID`."""
    error_lines: int = 0
    """Of runs, in which an id was made unreadable."""

    def __bool__(self) -> bool:
        return any((self.patients, *self.by_table.values(), self.error_lines))


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
    keys, persons = set[tuple[str, str]](), set[str]()
    for table, column in (("patients", "id"), ("row_keys", "patient_id")):
        for listed in id_lists(ids):
            statement = f"SELECT source, source_key, person_key FROM {table} WHERE {column} IN ({listed})"
            for source, source_key, person in connection.execute(text(statement)):
                keys |= {(source, source_key)} if source_key is not None else set()
                persons |= {person} if person is not None else set()
    return Found(frozenset(ids), frozenset(keys), frozenset(persons))


def erase_rows(connection: Connection, found: Found) -> Erased:
    """Delete all rows, `patients` first: a batch that is being scored holds the entry of the queue, so that what it
    predicts is there when predictions are deleted. Raises RowsKept where something of a clinic's does not let them
    go."""
    ids = sorted(found.ids)
    connection.execute(text(database_of(connection).words.constraints_at_once))
    waiting = _count(connection, "scoring_queue", "patient_id", ids)  # its entries go with the rows, by the triggers
    patients = _take_out(connection, "patients", "id", ids)
    if again := _called_so(connection, found):
        raise RowsKept(table="patients", rows=again)
    by_table = {table: _take_out(connection, table, "patient_id", ids) for table in TABLES_BY_ID}
    by_table["scoring_queue"] = max(waiting, by_table["scoring_queue"])
    return Erased(patients, by_table, _hide_in_errors(connection, ids))


def erase_source_rejections(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Forget that these rows of sources could not be taken in."""
    statement = text(f"DELETE FROM source_rejections WHERE {_KEY}")
    for source, source_key in keys:
        connection.execute(statement, {"source": source, "source_key": source_key})


def _take_out(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    there = _count(connection, table, column, ids)
    try:
        deleted = _delete(connection, table, column, ids)
    except DBAPIError as error:
        if database_of(connection).is_refusal(error.orig):
            raise RowsKept(table=table, rows=there) from None
        raise
    if left := _count(connection, table, column, ids):
        raise RowsKept(table=table, rows=left)
    return deleted


def _called_so(connection: Connection, found: Found) -> int:
    """Rows of patients that have the person's names, under whatever ids."""
    persons = [{"person": person} for person in found.persons]
    keys = [{"source": source, "source_key": key} for source, key in found.keys]
    asked = [(_PERSON, each) for each in persons] + [(_KEY, each) for each in keys]
    statements = ((text(f"SELECT id FROM patients WHERE {where}"), names) for where, names in asked)
    return len({each for asking, names in statements for each in connection.execute(asking, names).scalars()})


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
    """From now on these rows' sides are decided by this name."""
    for listed in id_lists(ids):
        statement = text(f"UPDATE row_keys SET side_key = :name WHERE patient_id IN ({listed})")
        connection.execute(statement, {"name": name})
