"""What tables are made of."""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Identity,
    MetaData,
    Table,
    Text,
)

from pima.store.types import Id, Timestamp, database_now

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def table(name: str, *parts: Any) -> Table:
    """One of `metadata`."""
    return Table(name, metadata, *parts)


def decided(name: str, *parts: Any) -> Table:
    """What was decided since when, by whom and why; append-only, the highest number counts."""
    return table(
        name,
        Column("number", Id, primary_key=True, autoincrement=False),
        *parts,
        Column("since", Timestamp, **now()),
        Column("decided_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        CheckConstraint("number > 0", name="number"),
    )


def identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True)


def now() -> dict[str, Any]:
    """What a column is made with that has the time of the statement."""
    return {"nullable": False, "server_default": database_now()}
