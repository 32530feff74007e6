"""Patients as arrays: the labelled history, and every row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.history import History
from pima.core.holdout import RowKeys
from pima.core.validation import Measurements
from pima.store.columns import listed
from pima.store.database import database_of
from pima.store.measurements import as_measurements
from pima.store.tables import IS_LABELLED

_SIDE_KEY = """CASE WHEN patients.person_key IS NOT NULL THEN 'person ' || patients.person_key
    WHEN patients.source_key IS NOT NULL THEN 'source ' || patients.source || ' ' || patients.source_key
    ELSE CAST(patients.id AS TEXT) END"""
"""By what the triggers decide a row's side of the holdout when it first comes. No two kinds can meet: digits begin the
one, a source's name holds no space."""


def labelled_history(connection: Connection, names: Sequence[str]) -> History:
    """All labelled rows with these features, read once in one statement and so from one state of the database; and
    of rows that are or were there, those that were first called otherwise than by their person."""
    labelled_at = database_of(connection).labelled_at_milliseconds
    columns, tables = f"id, {listed(names, 'patients')}, outcome, {labelled_at}", "patients"
    has_keys = _has_keys(connection)
    if has_keys:
        # A tool that knows of no persons may have written the row anew, without the one that it had.
        columns += f", coalesce(k.side_key, {_SIDE_KEY}), coalesce(patients.person_key, k.person_key)"
        tables += " LEFT JOIN row_keys k ON k.patient_id = id"
    # Ordered, so that the same rows give the same arrays and the same fingerprint.
    statement = f"SELECT {columns} FROM {tables} WHERE {IS_LABELLED} ORDER BY id"
    keys = RowKeys([], []) if has_keys else None
    blocks = [_as_arrays(rows, len(names), keys) for rows in _plain_rows(connection, statement)]
    ids, values, is_null, outcomes, labelled = (
        np.concatenate(arrays) for arrays in zip(*(blocks or [_no_rows(len(names))]), strict=True)
    )
    if keys is None and _has_keys(connection):  # the first ones have come meanwhile
        return labelled_history(connection, names)
    if keys is not None:
        # Read behind the rows: of one that has been deleted meanwhile its person is there by now.
        keys.renamed.extend(_renamed(connection))
    return History(ids, Measurements(values, is_null), outcomes, labelled, keys)


def _has_keys(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT EXISTS (SELECT 1 FROM row_keys)")))


def _renamed(connection: Connection) -> Iterator[tuple[str, str]]:
    """Few, since who comes with a person is first called by it."""
    has_another_name = "person_key IS NOT NULL AND side_key <> 'person ' || person_key"
    for rows in _plain_rows(connection, f"SELECT side_key, person_key FROM row_keys WHERE {has_another_name}"):
        yield from rows


def keys_of(connection: Connection, ids: Int64Array) -> RowKeys | None:
    """What the rows with these ids were called first and whose they are, or were in the end; None where no row has ever
    had a key."""
    wanted, called = set(ids.tolist()), dict[int, tuple[str, str | None]]()
    has_keys = False
    for rows in _plain_rows(connection, "SELECT patient_id, side_key, person_key FROM row_keys"):
        has_keys = True
        called.update((row[0], row[1:]) for row in rows if row[0] in wanted)
    if not has_keys:
        return None
    each = [called.get(patient_id, (str(patient_id), None)) for patient_id in ids.tolist()]
    return RowKeys([first for first, _ in each], [person for _, person in each])


_BLOCK_ROWS = 20_000


def _plain_rows(connection: Connection, statement: str) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Blocks of the driver's own tuples: for a million rows SQLAlchemy's row objects cost more than reading them.

    A block at a time becomes arrays, so that the tuples of the whole history are never there at once.
    """
    cursor = database_of(connection).cursor(connection)
    cursor.execute(statement)
    while rows := cursor.fetchmany(_BLOCK_ROWS):
        yield rows


_Block = tuple[Int64Array, Float64Array, BoolArray, Int8Array, Int64Array]


def _no_rows(features: int) -> _Block:
    nothing = np.empty(0, np.int64)
    return nothing, np.empty((0, features)), np.empty((0, features), bool), nothing.astype(np.int8), nothing


def _as_arrays(rows: Sequence[tuple[Any, ...]], features: int, keys: RowKeys | None) -> _Block:
    """The rows' keys, where they have any, are added to those before."""
    ids, *columns = zip(*rows, strict=True)
    measured, (outcomes, labelled, *called) = columns[:features], columns[features:]
    if keys is not None:
        keys.first.extend(called[0])
        keys.persons.extend(called[1])
    arrays = as_measurements(measured, len(rows))
    return (
        np.array(ids, np.int64),
        arrays.values,
        arrays.is_null,
        np.array(outcomes, np.int8),
        np.array(labelled, np.int64),
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Some patients, as the table holds them."""

    ids: Int64Array
    """(n,)"""
    unlabelled: BoolArray
    """(n,)"""
    measurements: Measurements
    """n rows of the features that were asked for"""


def all_rows(connection: Connection, names: Sequence[str]) -> Iterator[Rows]:
    """Every patient with these features, a block at a time."""
    for rows in _plain_rows(connection, f"SELECT {_columns_of_rows(names)} FROM patients ORDER BY id"):
        yield _as_rows(rows)


def rows_above(connection: Connection, names: Sequence[str], after: int) -> Rows | None:
    """One block of them, of the lowest ids above one; None where there are none."""
    ordered = f"WHERE id > {after} ORDER BY id LIMIT {_BLOCK_ROWS}"
    statement = f"SELECT {_columns_of_rows(names)} FROM patients {ordered}"
    return next((_as_rows(rows) for rows in _plain_rows(connection, statement)), None)


def _columns_of_rows(names: Sequence[str]) -> str:
    return f"id, outcome IS NULL, {listed(names)}"


def _as_rows(rows: Sequence[tuple[Any, ...]]) -> Rows:
    ids, unlabelled, *measured = zip(*rows, strict=True)
    return Rows(np.array(ids, np.int64), np.array(unlabelled, bool), as_measurements(measured, len(rows)))
