"""The statements that read a source, with any names of tables and columns."""

from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, CursorResult, Date, DateTime, Dialect, Engine, literal

from pima.core.declared.source import Source
from pima.errors import SourceUnusable
from pima.intake.sources.source_engine import known_database, reading_source

_ALIAS = "pima_source"
_BEFORE_ALL_TIMES = {"postgresql": "-infinity", "mysql": "0000-00-00", "mariadb": "0000-00-00"}
"""The default that a column of times may have in a dialect for a time that is not known; it is
below every time."""


def select(dialect: Dialect, source: Source, columns: Sequence[str], condition: str = "") -> str:
    """A SELECT of the columns for all rows, or for those that meet a condition, in any order."""
    statement = _select(dialect, source, columns)
    if condition:
        statement += f" WHERE {condition}"
    return statement


def is_changed_since(dialect: Dialect, source: Source, bound: date | str) -> str:
    """The condition that a row's time of change is at or after `bound`, or is missing or no
    date."""
    column = _column(dialect, source.changed_since)
    condition = f"{column} >= {_moment(dialect, bound)} OR {column} IS NULL"
    if isinstance(bound, str):  # an empty text is below every day, and so is a number in SQLite
        condition += f" OR {column} NOT LIKE '____-__-__%'"
    elif before_all := _BEFORE_ALL_TIMES.get(dialect.name):
        condition += f" OR {column} = '{before_all}'"
    return condition


def _moment(dialect: Dialect, bound: date | str) -> str:
    if isinstance(bound, str):  # a day in digits
        return f"'{bound}'"
    kind = DateTime(timezone=bound.tzinfo is not None) if isinstance(bound, datetime) else Date()
    return str(
        literal(bound, kind).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    )


def highest_change(engine: Engine, source: Source) -> object:
    """The highest time of change, as the driver returns it. Raises SourceAway, SourceUnusable."""
    with reading_source(engine, source.name) as connection:
        highest = f"max({_column(engine.dialect, source.changed_since)})"
        found = ask(connection, f"SELECT {highest} FROM {_rows(engine.dialect, source)}").scalar()
    # PostgreSQL's value if no row has ever changed.
    return None if found == "-infinity" else found


def column_names(connection: Connection, source: Source) -> tuple[str, ...]:
    """The names of all the source's columns, in their order, without reading a row."""
    with closing(
        ask(connection, f"{everything(connection.dialect, source)} WHERE 1 = 0")
    ) as result:
        return tuple(column[0] for column in result.cursor.description)


def everything(dialect: Dialect, source: Source) -> str:
    """A SELECT of all columns."""
    return f"SELECT {_ALIAS}.* FROM {_rows(dialect, source)}"


def unreadable_columns(engine: Engine, source: Source, columns: Sequence[str]) -> list[str]:
    """The columns that can't be read, found by selecting each alone without reading a row. Raises
    SourceAway."""
    return [column for column in dict.fromkeys(columns) if not _is_readable(engine, source, column)]


def _is_readable(engine: Engine, source: Source, column: str) -> bool:
    try:
        with reading_source(engine, source.name) as connection:
            ask(connection, f"{_select(engine.dialect, source, [column])} WHERE 1 = 0").close()
    except SourceUnusable:
        return False
    return True


def ask(connection: Connection, statement: str, rows: int = 1) -> CursorResult[Any]:
    """Send a statement unchanged: a colon or a percent sign is no parameter. Keep at most `rows`
    rows in memory."""
    options = {"no_parameters": True, "stream_results": True, "max_row_buffer": rows}
    return connection.exec_driver_sql(statement, execution_options=options)


def blocks_of(
    connection: Connection, statement: str, rows: int
) -> Generator[Sequence[tuple[Any, ...]]]:
    """Read a statement's result, `rows` rows at a time, by the driver's own cursor if pima knows
    the database."""
    database = known_database(connection.engine)
    cursor: Any = (
        ask(connection, statement, rows) if database is None else database.stream(connection)
    )
    with closing(cursor):
        if database is not None:
            cursor.execute(statement)
        while block := cursor.fetchmany(rows):
            yield block


def columns_of_blocks(
    connection: Connection, statement: str, rows: int, exact: int = 0
) -> Generator[Sequence[pd.Series]]:
    """Read a statement's result column by column; decimals of the first `exact` columns never
    become floats."""
    database = known_database(connection.engine)
    if database is not None:
        yield from database.read_columns(connection, statement, rows, exact)
        return
    with closing(blocks_of(connection, statement, rows)) as blocks:
        for block in blocks:
            yield [pd.Series(values, dtype=object) for values in zip(*block, strict=True)]


def _select(dialect: Dialect, source: Source, columns: Sequence[str]) -> str:
    listed = [_column(dialect, column) for column in columns]
    if (
        dialect.name == "postgresql"
        and source.key_types == ("uuid",)
        and columns[0] == source.keys[0]
    ):
        # The server writes a UUID as text faster than Python makes an object of it; a NULL stays
        # NULL.
        listed[0] = f"CAST({listed[0]} AS TEXT)"
    return f"SELECT {', '.join(listed)} FROM {_rows(dialect, source)}"


def _rows(dialect: Dialect, source: Source) -> str:
    # The line breaks end a comment at the query's end.
    query = source.query.strip().rstrip(";")
    rows = (
        f"(\n{query}\n)"
        if query
        else ".".join(_quoted(dialect, part) for part in source.table_parts)
    )
    return f"{rows} {_ALIAS}"


def _column(dialect: Dialect, name: str) -> str:
    # With its table, since SQLite reads an unknown name in quotes as a text.
    return f"{_ALIAS}.{_quoted(dialect, name)}"


def _quoted(dialect: Dialect, name: str) -> str:
    """Quote a name. SQLAlchemy's own function would double percent signs for drivers that read
    parameters."""
    first = dialect.identifier_preparer.initial_quote
    last = dialect.identifier_preparer.final_quote
    return f"{first}{name.replace(last, last * 2)}{last}"
