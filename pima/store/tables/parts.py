"""What tables are made of."""

from typing import Any

from sqlalchemy import Column, Identity, MetaData, Table

from pima.store.types import Id, database_now

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


def identity() -> Column[int]:
    """An id that the database draws and never gives out a second time."""
    return Column("id", Id, Identity(always=False), primary_key=True)


def now() -> dict[str, Any]:
    """What a column is made with that has the time of the statement."""
    return {"nullable": False, "server_default": database_now()}
