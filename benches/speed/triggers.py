"""What the triggers on `patients` cost whoever writes there: beside it, the same table without
them."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from benches.speed.databases import MEASURED, execute, file_of, on_server, plain, series, value
from benches.speed.measure import ROUNDS, Line, Ran, ratio, run_job, side_by_side
from benches.speed.place import Place
from pima.settings.reading import SHIPPED

ROWS, CORRECTED, SINGLE, BEFORE = 200_000, 50_000, 2_500, 50
"""Rows that come, or are there; how many of them one UPDATE corrects; statements of a row each; and
how many of those a session has done before it is timed."""
COLUMNS = ", ".join(SHIPPED.names)
INSERT = f"INSERT INTO {{}} ({COLUMNS}) VALUES ({{}})"
INSERT_KEYED = (
    f"INSERT INTO {{}} ({COLUMNS}, source, source_key) SELECT {{}}, 'clinic', gen_random_uuid()"
)
INDEX_AT = "2026-03-01T08:00:00.000Z"
"""When each row's outcome began to be waited for, where rows have it; as SQLite keeps it."""
CORRECT = "UPDATE {} SET glucose = glucose + 1 WHERE id"
PEERS = {"triggers": "patients", "none": "plain"}
BESIDE = "patients / the same table without triggers"

Session = psycopg.Connection[Any]


@dataclass(frozen=True)
class Writes:
    """One way of writing."""

    limit: float
    """Of the ratio, that is wanted."""
    rows: int
    write: Callable[[Session, str], object]
    """To a table of this name, in a transaction that is open."""
    rounds: int = ROUNDS


def triggers(place: Place) -> list[Line]:
    """Corrections and arrivals of rows without outcomes, without and with keys or an index: in one
    statement, and in one each."""
    return [*_on_postgresql(place), *_on_sqlite(place)]


def _on_postgresql(place: Place) -> Iterator[Line]:
    url = _database(place)
    with psycopg.connect(plain(url)) as connection:
        few = connection.execute(f"SELECT {COLUMNS} FROM arriving LIMIT {SINGLE}").fetchall()
        with connection.cursor().copy(f"COPY arriving ({COLUMNS}) TO STDOUT") as copy:
            file = b"".join(copy)
    corrections = {
        f"one UPDATE of {CORRECTED:,} rows": Writes(4.2, CORRECTED, _correct_all),
        f"{SINGLE:,} UPDATEs of a row each": Writes(1.95, SINGLE, _correct_each, 9),
    }
    arrivals = {
        f"INSERT ... SELECT of {ROWS:,} rows": Writes(3.0, ROWS, _insert_all),
        f"COPY of {ROWS:,} rows": Writes(3.0, ROWS, partial(_copy, file)),
        f"{SINGLE:,} INSERTs of a row each": Writes(1.45, SINGLE, partial(_insert_each, few), 9),
        f"INSERT ... SELECT of {ROWS:,} rows with index_at": Writes(3.0, ROWS, _insert_all_indexed),
        f"INSERT ... SELECT of {ROWS:,} rows with keys": Writes(3.6, ROWS, _insert_all_keyed),
        f"{SINGLE:,} INSERTs of a row with a key each": Writes(
            2, SINGLE, partial(_insert_each_keyed, few), 9
        ),
    }
    for kinds, first in (
        (corrections, ()),
        (arrivals, (f"TRUNCATE {', '.join(PEERS.values())}, row_keys",)),
    ):
        for what, writes in kinds.items():
            print(f"  {what}", flush=True)
            took = side_by_side(
                {name: partial(_timed, url, table, writes.write) for name, table in PEERS.items()},
                partial(_begin_alike, url, *first),
                partial(_check, url, writes.rows + BEFORE),
                writes.rounds,
            )
            yield ratio(f"{what}, PostgreSQL: {BESIDE}", took, *PEERS, "<=", writes.limit)
    place.drop("triggers")


def _database(place: Place) -> str:
    on_server(place.uri, "CREATE DATABASE triggers")
    found = make_url(place.uri).set(drivername="postgresql+psycopg", database="triggers")
    url = found.render_as_string(hide_password=False)
    run_job("migrate", url)
    execute(
        url,
        "CREATE TABLE plain (LIKE patients INCLUDING ALL)",
        # of unstamped rows: without triggers it would have every row
        "DROP INDEX IF EXISTS plain_id_idx",
        f"CREATE TABLE arriving ({COLUMNS}) AS SELECT {MEASURED} FROM generate_series(1, {ROWS}) "
        "AS s(n)",
        *(f"INSERT INTO {table} ({COLUMNS}) SELECT * FROM arriving" for table in PEERS.values()),
        # Where they were corrected before, there is room for the next correction.
        *(f"{CORRECT.format(table)} <= {CORRECTED}" for table in PEERS.values()),
    )
    return url


def _begin_alike(url: str, *first: str) -> None:
    """As a night leaves it: the queue is empty."""
    vacuum = f"VACUUM ANALYZE scoring_queue, row_history, {', '.join(PEERS.values())}"
    execute(url, "DELETE FROM scoring_queue", *first, vacuum, "CHECKPOINT")


def _timed(url: str, table: str, write: Callable[[Session, str], object]) -> Ran:
    with _session(url, table) as session:
        began = time.perf_counter()
        with session.transaction():
            write(session, table)
        return Ran(time.perf_counter() - began)


@contextmanager
def _session(url: str, table: str) -> Iterator[Session]:
    """One that has written single rows before: a trigger may keep the plans that it made for
    those."""
    with psycopg.connect(plain(url), autocommit=True) as session:
        with session.transaction():
            for _ in range(BEFORE):
                inserted = (
                    f"INSERT INTO {table} ({COLUMNS}) SELECT * FROM arriving LIMIT 1 RETURNING id"
                )
                (patient_id,) = session.execute(inserted).fetchone() or ()
                session.execute(f"{CORRECT.format(table)} = {patient_id}")
        yield session


def _check(url: str, written: int, peer: str) -> None:
    waiting = value(url, "SELECT count(*) FROM scoring_queue")
    assert waiting == (written if PEERS[peer] == "patients" else 0), waiting


def _insert_all(session: Session, table: str) -> None:
    session.execute(f"INSERT INTO {table} ({COLUMNS}) SELECT * FROM arriving")


def _insert_all_indexed(session: Session, table: str) -> None:
    columns = f"{COLUMNS}, index_at"
    session.execute(
        f"INSERT INTO {table} ({columns}) SELECT *, TIMESTAMPTZ '{INDEX_AT}' FROM arriving"
    )


def _copy(file: bytes, session: Session, table: str) -> None:
    with session.cursor().copy(f"COPY {table} ({COLUMNS}) FROM STDIN") as copy:
        copy.write(file)


def _insert_each(rows: list[tuple[float | None, ...]], session: Session, table: str) -> None:
    _each(session, INSERT.format(table, ", ".join(["%s"] * len(SHIPPED.names))), rows)


def _insert_all_keyed(session: Session, table: str) -> None:
    session.execute(f"{INSERT_KEYED.format(table, COLUMNS)} FROM arriving")


def _insert_each_keyed(rows: list[tuple[float | None, ...]], session: Session, table: str) -> None:
    _each(session, INSERT_KEYED.format(table, ", ".join(["%s::float8"] * len(SHIPPED.names))), rows)


def _correct_all(session: Session, table: str) -> None:
    session.execute(f"{CORRECT.format(table)} <= {CORRECTED}")


def _correct_each(session: Session, table: str) -> None:
    _each(
        session,
        f"{CORRECT.format(table)} = %s",
        [(1 + n * (ROWS // SINGLE),) for n in range(SINGLE)],
    )


def _each(session: Session, statement: str, rows: Iterable[tuple[float | None, ...]]) -> None:
    cursor = session.cursor()
    for row in rows:
        cursor.execute(statement, row, prepare=True)


def _on_sqlite(place: Place) -> Iterator[Line]:
    """Each round on a file as `migrate` makes it, or with rows of which none waits."""
    empty, filled, written = (
        f"sqlite:///{place.folder / name}.db" for name in ("no_patients", "filled", "triggers")
    )
    run_job("migrate", empty)
    with sqlite3.connect(file_of(empty)) as connection:
        made = (
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'patients' AND type IN ('table', "
            "'index')"
        )
        for (statement,) in connection.execute(made).fetchall():
            if statement is not None:
                connection.execute(statement.replace("patients", "plain"))
        connection.execute("DROP INDEX IF EXISTS ix_plain_unstamped")
        rows = connection.execute(f"SELECT {MEASURED} FROM {series(empty, 1, ROWS)}").fetchall()
    shutil.copyfile(file_of(empty), file_of(filled))
    values = ", ".join("?" * len(SHIPPED.names))
    plain = INSERT.format("{}", values)
    indexed = f"INSERT INTO {{}} ({COLUMNS}, index_at) VALUES ({values}, '{INDEX_AT}')"
    for table in PEERS.values():
        _insert_many(file_of(filled), table, plain, rows)
    execute(filled, "DELETE FROM scoring_queue")
    for what, limit, begun, count, write in (
        (
            f"{ROWS:,} INSERTs in one transaction",
            3.5,
            empty,
            ROWS,
            partial(_insert_many, insert=plain, rows=rows),
        ),
        (
            f"{ROWS:,} INSERTs with index_at in one transaction",
            3.5,
            empty,
            ROWS,
            partial(_insert_many, insert=indexed, rows=rows),
        ),
        (f"one UPDATE of {CORRECTED:,} rows", 8.0, filled, CORRECTED, _correct_in_file),
    ):
        print(f"  {what}, SQLite", flush=True)
        took = side_by_side(
            {name: partial(write, file_of(written), table) for name, table in PEERS.items()},
            partial(shutil.copyfile, file_of(begun), file_of(written)),
            partial(_check, written, count),
        )
        yield ratio(f"{what}, SQLite: {BESIDE}", took, *PEERS, "<=", limit)


def _insert_many(path: Path, table: str, insert: str, rows: list[tuple[float | None, ...]]) -> Ran:
    written = insert.format(table)
    return _in_file(path, lambda connection: connection.executemany(written, rows))


def _correct_in_file(path: Path, table: str) -> Ran:
    correct = f"{CORRECT.format(table)} <= {CORRECTED}"
    return _in_file(path, lambda connection: connection.execute(correct))


def _in_file(path: Path, write: Callable[[sqlite3.Connection], object]) -> Ran:
    connection = sqlite3.connect(path)
    began = time.perf_counter()
    with connection:
        write(connection)
    took = time.perf_counter() - began
    connection.close()
    return Ran(took)
