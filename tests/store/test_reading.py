"""Rows that are read column by column are those that the driver itself would give, whatever stands
in them; and what is added so is there."""

from contextlib import closing
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pima.core.rows.cells import Column, objects_of
from pima.store.database import database_of
from pima.store.engine import reading, writing
from tests.support.databases import Database

NASTY = {
    "int2": ["0", "1", "-1", "32767", "-32768"],
    "int4": ["0", "7", "-7", "2147483647", "-2147483648"],
    "int8": [
        "0",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
    ],
    "float4": ["0.1", "-0", "NaN", "-Infinity", "1e-45", "3.4e38"],
    "float8": ["0.1", "-0", "NaN", "Infinity", "5e-324", "1.7976931348623157e308"],
    "numeric": [
        *(
            "0",
            "0.00",
            "0.1",
            "-0.1",
            "17",
            "100000000",
            "31.50",
            "0.0001",
            "0.00001",
            "9999.9999",
            "-100000000",
        ),
        *(
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "1234567890123456",
            "12345678901234567.89",
        ),
        *(
            "0.1234567890123456789",
            "1e22",
            "1e23",
            "1e24",
            "1e400",
            "-1e400",
            "1e-22",
            "1e-23",
            "1e-400",
        ),
        # In two roundings either becomes another float.
        *("999999999999.9021", "-999999999999.9035", "0.000000000000000000000002"),
        *(
            "NaN",
            "Infinity",
            "-Infinity",
            "100000000000000000000.0000000000000000000001",
            "1e-20",
            "3e20",
        ),
    ],
    "numeric(5,2)": ["31.5", "-0.01", "999.99", "0", "NaN"],
    "boolean": ["true", "false"],
    "text": ["", " ", "None", "\\N", "a\tb\nc", "ü", "Zu\u0308rich", "\U0001f600", "x" * 5000],
    "char(4)": ["M", ""],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    "date": ["2024-02-29", "0001-01-01", "9999-12-31"],
    "timestamptz": ["2024-02-29 12:00:00.123456+02", "1900-01-01 00:00:00+00"],
    "bytea": ["\\x00ff", ""],
    "int4[]": ["{1,NULL}", "{}"],
    "jsonb": ["null", '{"a": [1.5]}'],
    "enumerated": ["a", "ü"],
}


def _read(connection: Connection, statement: str, rows: int = 10_000) -> list[list[Column]]:
    return list(database_of(connection).read_columns(connection, statement, rows, 0))


def _by_the_driver(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with closing(database_of(connection).cursor(connection)) as cursor:
        cursor.execute(statement)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _same(one: Any, other: Any) -> bool:
    """As they are written, since neither is a NaN the same as itself nor 0.0 another than -0.0."""
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("kind", NASTY)
def test_every_value_of_every_kind_is_as_the_driver_gives_it(
    postgresql: Database, kind: str
) -> None:
    postgresql.execute("CREATE TYPE enumerated AS ENUM ('a', 'ü')")
    values = ", ".join(f"({n}, CAST('{value}' AS {kind}))" for n, value in enumerate(NASTY[kind]))
    statement = (
        f"SELECT v, 7, v, NULL::{kind} FROM (VALUES {values}, (-1, NULL)) AS t (n, v) ORDER BY n"
    )
    with reading(postgresql.engine) as connection:
        expected = _by_the_driver(connection, statement)
        (block,) = _read(connection, statement)
        (exact,) = database_of(connection).read_columns(connection, statement, 10_000, 1)
    for column, values_ in zip(block, zip(*expected, strict=True), strict=True):
        assert (
            column.isna().tolist() == [value is None for value in values_] or column.dtype == object
        )
        # A decimal becomes the float that Python makes of it; where it is a key, it stays one.
        made = [float(v) if isinstance(v, Decimal) else v for v in values_]
        assert all(map(_same, objects_of(column), made))
    assert all(map(_same, objects_of(exact[0]), next(zip(*expected, strict=True))))
    assert (block[0].dtype != object) == (
        kind.startswith(("int", "float", "numeric")) and "[" not in kind
    )


def test_decimals_are_the_floats_that_are_nearest(postgresql: Database) -> None:
    statement = """
        SELECT round((random() * 10 ^ (n % 20))::numeric, n % 23) * (CASE WHEN n % 2 = 0 THEN 1
            ELSE -1 END) AS v
        FROM generate_series(1, 20000) n"""
    postgresql.execute(f"CREATE TABLE drawn AS {statement}")
    with reading(postgresql.engine) as connection:
        ((column,),) = _read(connection, "SELECT v FROM drawn", 20_000)
        ((exact,),) = database_of(connection).read_columns(
            connection, "SELECT v FROM drawn", 20_000, 1
        )
    assert column.tolist() == list(map(float, exact.tolist()))


@pytest.mark.parametrize("rows", [1, 7, 10, 11])
def test_blocks_of_every_size_hold_every_row_once(database: Database, rows: int) -> None:
    numbers = " UNION ALL ".join(f"SELECT {n} AS n, '100 % {n}' AS word" for n in range(10))
    with reading(database.engine) as connection:
        blocks = _read(connection, f"SELECT n, word FROM ({numbers}) AS numbers ORDER BY n", rows)
        assert [len(block[0]) for block in blocks] == [
            min(rows, 10 - first) for first in range(0, 10, rows)
        ]
        assert list(chain(*(objects_of(block[0]) for block in blocks))) == list(range(10))
        assert list(chain(*(objects_of(block[1]) for block in blocks))) == [
            f"100 % {n}" for n in range(10)
        ]
        assert _read(connection, "SELECT 1 AS n WHERE 1 = 0") == []
        assert _by_the_driver(connection, "SELECT 2") == [(2,)]  # the connection goes on


def test_what_goes_wrong_amid_the_rows_is_told_as_what_it_is(postgresql: Database) -> None:
    statement = "SELECT 1 / (150000 - n) FROM generate_series(1, 200000) n"
    with (
        pytest.raises(Exception, match="division by zero") as raised,
        postgresql.engine.begin() as connection,
    ):
        _read(connection, statement)
    assert type(raised.value).__name__ == "DivisionByZero" or isinstance(raised.value, DBAPIError)
    assert postgresql.value("SELECT 1") == 1


def test_what_is_left_of_rows_that_nobody_wants_is_not_waited_for(postgresql: Database) -> None:
    statement = "SELECT 7 FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    with pytest.raises(KeyError), postgresql.engine.begin() as connection:
        _first_of(connection, statement)
    assert postgresql.value("SELECT 1") == 1


def _first_of(connection: Connection, statement: str) -> None:
    with closing(database_of(connection).read_columns(connection, statement, 10, 0)) as blocks:
        assert list(objects_of(next(blocks)[0])) == [7] * 10
        raise KeyError


def test_what_is_added_by_columns_is_there(database: Database) -> None:
    texts = ["None", "\\N", "a\tb\nc\r\\", None, "", "ü", "\U0001f600", "x" * 200]
    values = np.array([0.1, np.nan, np.inf, 5e-324, 1.7976931348623157e308, -1.5, np.nan, 7.0])
    whole = np.array([0, 1, -1, 2**63 - 1, -(2**63), 7, 8, 9])
    frame = pd.DataFrame({"a": texts, "c": texts[::-1]}, dtype=object)
    frame["b"], frame["d"] = values, pd.arrays.IntegerArray(whole, np.arange(8) % 3 == 0)
    with writing(database.engine) as connection:
        own = database_of(connection)
        connection.execute(
            text(
                "CREATE TEMPORARY TABLE added (a TEXT, b DOUBLE PRECISION, c TEXT, d BIGINT, n "
                "INTEGER)"
            )
        )
        for rows in (1, 8):
            database_of(connection).append_frame(
                connection, f"{own.temporary_schema}.added", frame[:rows]
            )
        found = _by_the_driver(connection, "SELECT a, c, b, d FROM added")
    columns = [
        frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame
    ]
    columns[3] = [None if value is None else int(value) for value in columns[3]]
    expected = list(zip(*columns, strict=True))
    assert sorted(map(repr, found)) == sorted(map(repr, [expected[0], *expected]))
