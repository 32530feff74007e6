"""The tables' types in SQLite's words. STRICT tables know INTEGER, REAL, TEXT and BLOB only."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import REAL, Integer, Table, Text

from pima.store.database import Types


def _stored_moment(moment: datetime) -> str:
    """ISO 8601 with milliseconds and a Z, which sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stored_document(document: Any) -> str:
    return json.dumps(document, sort_keys=True)


TYPES = Types(
    id=Integer(),
    real=REAL(),
    key=Text(),
    timestamp=Text(),
    json=Text(),
    stored_moment=_stored_moment,
    stored_document=_stored_document,
)


def finish_tables(tables: Iterable[Table]) -> None:
    """Make them strict, never give out an id twice, and index the rows that an index is for."""
    for table in tables:
        table.kwargs["sqlite_strict"] = True
        table.kwargs["sqlite_autoincrement"] = any(column.identity is not None for column in table.columns)
        for index in table.indexes:
            index.kwargs["sqlite_where"] = index.info.get("where")
