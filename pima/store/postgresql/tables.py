"""The tables' types in PostgreSQL's words."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Double, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from pima.store.database import Types


def _stored_moment(moment: datetime) -> datetime:
    return moment


def _stored_document(document: Any) -> Any:
    return document


TYPES = Types(
    id=BigInteger(),
    real=Double(),
    key=Text(collation="C"),
    timestamp=DateTime(timezone=True),
    json=JSONB(),
    stored_moment=_stored_moment,
    stored_document=_stored_document,
)


def finish_tables(tables: Iterable[Table]) -> None:
    """Index the rows that an index is for."""
    for table in tables:
        for index in table.indexes:
            index.kwargs["postgresql_where"] = index.info.get("where")
