"""Rows of patients that somebody asks for: one by what it is called, or all whose outcome is not known yet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from pima.store.columns import listed
from pima.store.histories import Rows
from pima.store.measurements import as_measurements


def row_by_id(connection: Connection, patient_id: int, names: Sequence[str]) -> Rows:
    """The row with this id and these features; none or one."""
    return _rows(connection, names, "id = :patient_id", {"patient_id": patient_id})


def row_by_key(connection: Connection, source: str, source_key: str, names: Sequence[str]) -> Rows:
    """The row that has this key in this source; none or one."""
    called = {"source": source, "source_key": source_key}
    return _rows(connection, names, "source = :source AND source_key = :source_key", called)


def unlabelled_rows(connection: Connection, names: Sequence[str], after: int, most: int) -> Rows:
    """Rows without an outcome whose ids come next after `after`, in their order."""
    condition = "id > :after AND outcome IS NULL ORDER BY id LIMIT :most"
    return _rows(connection, names, condition, {"after": after, "most": most})


def _rows(connection: Connection, names: Sequence[str], condition: str, parameters: dict[str, Any]) -> Rows:
    statement = text(f"SELECT id, outcome IS NULL, {listed(names)} FROM patients WHERE {condition}")
    found = [tuple(row) for row in connection.execute(statement, parameters)]
    ids, unlabelled, *measured = zip(*found, strict=True) if found else ((),) * (2 + len(names))
    measurements = as_measurements(measured, len(found))
    return Rows(np.array(ids, np.int64), np.array(unlabelled, bool), measurements)
