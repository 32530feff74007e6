"""Column types that mean the same on each database, which has its own for them."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Double, LargeBinary, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler, TypeCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from pima.store.database import database_of_dialect

Bytes = LargeBinary()


class Id(BigInteger):
    """A whole number of 64 bits."""


class Real(Double[float]):
    """A floating-point number of 64 bits."""


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, which sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return database_of_dialect(dialect).types.timestamp

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else database_of_dialect(dialect).types.stored_moment(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A small JSON document: an object or a list."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return database_of_dialect(dialect).types.json

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else database_of_dialect(dialect).types.stored_document(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        return json.loads(value) if isinstance(value, str) else value


class database_now(FunctionElement[datetime]):  # noqa: N801 (reads as the SQL function that it is)
    """The database's clock at this statement, so that machines with different clocks agree."""

    type = Timestamp()
    inherit_cache = True


class id_in_range(FunctionElement[bool]):  # noqa: N801
    """The condition that the table sets a patient's id."""

    inherit_cache = True


@compiles(Id)
def _id(_type: Id, compiler: TypeCompiler, **_: Any) -> str:
    return compiler.process(database_of_dialect(compiler.dialect).types.id)


@compiles(Real)
def _real(_type: Real, compiler: TypeCompiler, **_: Any) -> str:
    return compiler.process(database_of_dialect(compiler.dialect).types.real)


@compiles(database_now)
def _now(_element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    # In parentheses, since SQLite takes an expression as a column's default only so.
    return f"({database_of_dialect(compiler.dialect).words.now})"


@compiles(id_in_range)
def _id_in_range(_element: id_in_range, compiler: SQLCompiler, **_: Any) -> str:
    return database_of_dialect(compiler.dialect).words.id_in_range
