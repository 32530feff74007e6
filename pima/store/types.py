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


class Key(Text):
    """What a row or a person is called elsewhere; it sorts by its bytes."""


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


class in_words(FunctionElement[bool]):  # noqa: N801
    """A condition or a default that the tables set, by the name that the databases' `Words` have for it."""

    inherit_cache = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@compiles(Id)
def _id(_type: Id, compiler: TypeCompiler, **_: Any) -> str:
    return compiler.process(database_of_dialect(compiler.dialect).types.id)


@compiles(Real)
def _real(_type: Real, compiler: TypeCompiler, **_: Any) -> str:
    return compiler.process(database_of_dialect(compiler.dialect).types.real)


@compiles(Key)
def _key(_type: Key, compiler: TypeCompiler, **_: Any) -> str:
    return compiler.process(database_of_dialect(compiler.dialect).types.key)


@compiles(database_now)
def _now(_element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    # In parentheses, since SQLite takes an expression as a column's default only so.
    return f"({database_of_dialect(compiler.dialect).words.now})"


@compiles(in_words)
def _in_words(element: in_words, compiler: SQLCompiler, **_: Any) -> str:
    condition: str = getattr(database_of_dialect(compiler.dialect).words, element.name)
    return condition
