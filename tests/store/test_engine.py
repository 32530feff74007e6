"""Transactions, time limits, and what becomes of a driver's error: its class and exit code, and
none of its text."""

import socket
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from pima.errors import (
    FAILED,
    TRY_AGAIN_LATER,
    WRONG,
    DatabaseAway,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseFailed,
    DatabaseFull,
    DatabaseUnusable,
    PimaError,
    RightMissing,
    WrongConfiguration,
)
from pima.settings.sections import DatabaseSettings
from pima.store.engine import reading, redacted, writing
from pima.store.rows.arrivals import Staging
from pima.store.urls import make_engine, parse_url
from tests.support.databases import Database, insert_patients
from tests.support.shipped import FEATURE_NAMES
from tests.support.told_errors import PASSWORD, VALUE, ask, asking, error_of, everything_told_by


@pytest.fixture
def serving(server: str) -> Iterator[Engine]:
    """The server's own database, for tests that write nothing."""
    engine = make_engine(server, DatabaseSettings())
    yield engine
    engine.dispose()


def test_a_statement_that_is_repeated_is_not_prepared(postgresql: Database) -> None:
    """A pool that gives each transaction another server session would not find it there."""
    for transaction in (writing, reading):
        with transaction(postgresql.engine) as connection:
            for n in range(20):
                connection.execute(text("SELECT count(*) FROM patients WHERE id = :id"), {"id": n})
            assert (
                connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
                == 0
            )


# ---- URLs


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///a.db", "sqlite+pysqlite"),
        ("sqlite+pysqlite:////srv/a.db", "sqlite+pysqlite"),
        (" sqlite:///a.db\n", "sqlite+pysqlite"),
        ("postgres://u:p@host/db", "postgresql+psycopg"),
        ("postgresql://u:p@host:5432/db", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p%40x@host/db?sslmode=require", "postgresql+psycopg"),
    ],
)
def test_a_url_is_read_with_its_driver_named(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


@pytest.mark.parametrize(
    "given",
    [
        "CANARY",
        "CANARY.db",
        "://CANARY",
        "CANARY://host/db",
        "postgresql+asyncpg://u:CANARY@host/db",
        "sqlite+aiosqlite:///CANARY.db",
        "postgresql://u:CANARY@host:99999/db",
        "postgresql://u:CANARY@host:0/db",
        "postgresql://u:CANARY@[::1/db",
        "postgresql://u:CANARY@host:5432:5432/db",
        "sqlite:///",
    ],
)
def test_what_is_no_url_of_ours_is_refused_without_repeating_it(given: str) -> None:
    error = error_of(lambda: parse_url(given))
    assert isinstance(error, WrongConfiguration)
    assert error.exit_code == WRONG
    assert "postgresql+psycopg://" in str(error)  # what was expected
    assert ("port is wrong" in str(error)) == ("host:99999" in given or "host:0" in given)
    told = everything_told_by(error)
    assert "CANARY" not in told.replace(repr(given), "")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("postgresql://u:p@/db", True),
        ("postgresql://u:p@/db?host=/var/run/postgresql", True),
        ("postgresql://u:p@localhost/db", True),
        ("postgresql://u:p@127.0.0.1:5433/db", True),
        ("postgresql://u:p@[::1]/db", True),
        ("postgresql://u:p@db.example.org/db?sslmode=verify-full", True),
        ("postgresql://u:p@db.example.org/db", False),
        ("postgresql://u:p@10.0.0.5/db?sslmode=disable", False),
        ("postgresql://u:p@db.example.org/db?sslmode=require", False),
        ("postgresql://u:p@db.example.org/db?sslmode=verify-ca", False),
        ("postgresql://u:p@/db?host=localhost,db.example.org", False),
        ("postgresql://u:p@localhost/db?host=db.example.org", False),
        ("postgresql://u:p@localhost/db?hostaddr=192.0.2.2", False),
        ("postgresql:///db?host=LOCALHOST", True),
        ("postgresql:///db?host=127.0.0.1:5432", True),
        ("postgresql:///db?host=192.0.2.9:5432", False),
        ("postgresql://u:p@localhost/db?service=clinic", False),
        ("postgresql://u:p@db.example.org/db?service=clinic&sslmode=verify-full", True),
    ],
)
def test_a_server_elsewhere_must_prove_who_it_is_or_be_allowed_not_to(
    url: str, allowed: bool
) -> None:
    make_engine(url, DatabaseSettings(allow_unverified_tls=True)).dispose()
    if allowed:
        make_engine(url, DatabaseSettings()).dispose()
        return
    error = error_of(lambda: make_engine(url, DatabaseSettings()))
    assert isinstance(error, WrongConfiguration)
    assert "sslmode=verify-full" in str(error)
    assert ":p@" not in str(error)


# ---- every SQLSTATE


@pytest.mark.parametrize(
    ("kind", "exit_code", "states"),
    [
        (
            DatabaseBusy,
            TRY_AGAIN_LATER,
            ["40001", "40003", "40P01", "55P03", "57014", "25P03", "25P04", "72000"],
        ),
        (DatabaseAway, TRY_AGAIN_LATER, ["08000", "08006", "53300", "57P01", "57P02", "57P03"]),
        (DatabaseFull, FAILED, ["53100"]),
        (DatabaseUnusable, WRONG, ["28000", "28P01", "3D000", "3F000"]),
        (RightMissing, WRONG, ["42501"]),
        (
            DatabaseFailed,
            FAILED,
            ["22003", "22P02", "23502", "23505", "23514", "42601", "42703", "42P01", "P0001"],
        ),
        (DatabaseFailed, FAILED, ["58030", "XX000", "XX001"]),
    ],
)
def test_each_sqlstate_becomes_its_class(
    serving: Engine, kind: type[PimaError], exit_code: int, states: list[str]
) -> None:
    for state in states:
        throw = (
            f"DO $$ BEGIN RAISE EXCEPTION 'row {VALUE}' USING ERRCODE = '{state}', DETAIL = 'has "
            f"{VALUE}'; END $$"
        )
        error = error_of(lambda statement=throw: ask(serving, statement))
        assert type(error) is kind
        assert error.exit_code == exit_code
        assert state in str(error)
        assert VALUE not in everything_told_by(error)


@pytest.mark.time_limit
def test_a_statement_that_takes_too_long_ends_as_busy(server: str) -> None:
    engine = make_engine(server, DatabaseSettings(statement_timeout_seconds=1))
    error = error_of(lambda: ask(engine, "SELECT pg_sleep(60)"))
    engine.dispose()
    assert isinstance(error, DatabaseBusy)
    assert "57014" in str(error)


def test_a_session_that_is_ended_in_a_transaction_is_away_and_its_work_undone(
    postgresql: Database,
) -> None:
    def work() -> None:
        with writing(postgresql.engine) as connection:
            connection.execute(text("INSERT INTO patients (glucose) VALUES (100)"))
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            postgresql.execute("SELECT pg_terminate_backend(:pid, 60000)", {"pid": pid})
            connection.execute(text("INSERT INTO patients (glucose) VALUES (101)"))

    error = error_of(work)
    assert isinstance(error, DatabaseAway)
    assert error.exit_code == TRY_AGAIN_LATER
    assert postgresql.value("SELECT count(*) FROM patients") == 0


def test_an_engine_outlives_the_sessions_that_it_lost(server: str, serving: Engine) -> None:
    engine = make_engine(server, DatabaseSettings())
    with reading(engine) as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    ask(serving, f"SELECT pg_terminate_backend({pid}, 60000)")
    ask(engine)
    engine.dispose()


# ---- errors of SQLite


@pytest.mark.judge
def test_a_file_that_another_writes_is_busy_to_writers_only(sqlite: Database) -> None:
    impatient = make_engine(sqlite.url, DatabaseSettings(lock_timeout_seconds=0))

    def write() -> None:
        with writing(impatient):
            pass

    with writing(sqlite.engine):  # has the lock from its start, before any statement
        error = error_of(write)
        ask(impatient, "SELECT count(*) FROM patients")
    write()
    impatient.dispose()
    assert isinstance(error, DatabaseBusy)
    assert error.exit_code == TRY_AGAIN_LATER
    assert "SQLITE_BUSY" in str(error)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("INSERT INTO patients (outcome) VALUES (2)", "SQLITE_CONSTRAINT"),
        ("INSERT INTO patients (glucose) VALUES ('text')", "SQLITE_CONSTRAINT"),
        (
            "INSERT INTO loads (sha256, file_name, rows) VALUES ('a', NULL, 1)",
            "SQLITE_CONSTRAINT of loads.file_name",
        ),
        (
            (
                "INSERT INTO leases (name, owner, fence, expires_at) VALUES ('a', 'b', 1, 'c'), ('a', "
                "'b', 1, 'c')"
            ),
            "SQLITE_CONSTRAINT of leases.name",
        ),
        ("SELECT * FROM nowhere", "SQLITE_ERROR"),
    ],
)
def test_what_sqlite_refuses_has_failed(sqlite: Database, statement: str, name: str) -> None:
    error = error_of(lambda: sqlite.execute(statement))
    assert type(error) is DatabaseFailed
    assert error.exit_code == FAILED
    assert name in str(error)


def test_a_damaged_sqlite_file_is_told_from_one_that_is_none(sqlite: Database) -> None:
    path = Path(sqlite.engine.url.database or "")
    sqlite.engine.dispose()
    sound = path.read_bytes()
    path.write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
    error = error_of(lambda: sqlite.execute("INSERT INTO patients (glucose) VALUES (100)"))
    assert type(error) is DatabaseDamaged
    assert error.exit_code == FAILED
    sqlite.engine.dispose()
    path.write_bytes(b"\xff" * len(sound))
    error = error_of(lambda: sqlite.execute("INSERT INTO patients (glucose) VALUES (100)"))
    assert type(error) is DatabaseUnusable
    assert "restore a backup" in str(error)


# ---- no value of a patient


@pytest.mark.judge
def test_no_value_of_a_row_is_told_by_an_error(database: Database) -> None:
    insert_patients(database, 1, first_id=1)
    for statement in (
        "INSERT INTO patients (id, glucose, outcome) VALUES (5, {}, 2)",
        "INSERT INTO patients (id, glucose) VALUES (1, {})",
        "INSERT INTO patients (id, glucose) VALUES (0, {})",
        "INSERT INTO patients (id, glucose) VALUES (5, '{}x')",
        "INSERT INTO patients (id, outcome) VALUES (5, '{}')",
        "INSERT INTO patients (id, glucose, outcome) VALUES (5, :value, 2)",
        "UPDATE patients SET glucose = {}, outcome = 3",
        "UPDATE patients SET glucose = {}, id = 7",
        "SELECT {} FROM nowhere",
    ):
        filled = statement.format(VALUE)
        parameters = {"value": float(VALUE)} if ":value" in statement else None
        error = error_of(
            lambda filled=filled, parameters=parameters: database.execute(filled, parameters)
        )
        assert type(error) is DatabaseFailed, statement
        assert VALUE not in everything_told_by(error), statement


def test_an_error_while_a_file_is_copied_in_is_translated_too(postgresql: Database) -> None:
    def load() -> None:
        with writing(postgresql.engine) as connection:
            staging = Staging(connection, FEATURE_NAMES, None)
            staging.make()
            staging.append(pd.DataFrame({"source_key": [f"{VALUE}\0"]}, dtype=object), "line")

    error = error_of(load)
    assert type(error) is DatabaseFailed
    assert VALUE not in everything_told_by(error)


# ---- transactions


class Stop(BaseException):
    """Not an Exception, as a signal's is not."""


@pytest.mark.parametrize("error", [ValueError, Stop, KeyboardInterrupt])
def test_a_transaction_that_is_left_by_an_error_is_undone(
    database: Database, error: type[BaseException]
) -> None:
    def work() -> None:
        with writing(database.engine) as connection:
            connection.execute(text("INSERT INTO patients (glucose) VALUES (100)"))
            raise error

    with pytest.raises(error):
        work()
    assert database.value("SELECT count(*) FROM patients") == 0
    with writing(database.engine) as connection:
        connection.execute(text("INSERT INTO patients (glucose) VALUES (100)"))
    assert database.value("SELECT count(*) FROM patients") == 1


def test_every_postgresql_transaction_has_its_limits_and_leaves_none_behind(server: str) -> None:
    limits = {
        "statement_timeout": "17s",
        "lock_timeout": "7s",
        "idle_in_transaction_session_timeout": "23s",
    }
    settings = DatabaseSettings(
        statement_timeout_seconds=17, lock_timeout_seconds=7, idle_in_transaction_timeout_seconds=23
    )
    engine = make_engine(server, settings)
    for transaction in (reading, writing, reading):
        with transaction(engine) as connection:
            assert {name: connection.scalar(text(f"SHOW {name}")) for name in limits} == limits
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        session = connection.connection.cursor()
        for name in limits:
            found = session.execute(
                "SELECT reset_val = setting FROM pg_settings WHERE name = %s", (name,)
            ).fetchone()
            assert found == (True,)
        session.close()
    engine.dispose()


def test_sqlite_is_opened_with_its_limits(sqlite: Database) -> None:
    engine = make_engine(sqlite.url, DatabaseSettings(lock_timeout_seconds=7))
    with reading(engine) as connection:
        assert connection.scalar(text("PRAGMA busy_timeout")) == 7000
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA journal_mode")) == "delete"
    engine.dispose()


def test_a_reader_sees_one_state_of_the_file_throughout(sqlite: Database) -> None:
    """And keeps a writer from committing only until its own end."""
    engine = make_engine(sqlite.url, DatabaseSettings(lock_timeout_seconds=0))
    insert = "INSERT INTO patients (glucose) VALUES (100)"

    def write() -> None:
        with writing(engine) as connection:
            connection.execute(text(insert))

    with reading(sqlite.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM patients")) == 0
        assert isinstance(error_of(write), DatabaseBusy)
        assert connection.scalar(text("SELECT count(*) FROM patients")) == 0
    write()
    assert sqlite.value("SELECT count(*) FROM patients") == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({}, True),
        ({"PGHOST": "192.0.2.2"}, False),
        ({"PGHOSTADDR": "192.0.2.2"}, False),
        ({"PGSERVICE": "clinic"}, False),
        ({"PGHOST": "192.0.2.2", "PGSSLMODE": "verify-full"}, True),
        ({"PGSERVICE": "clinic", "PGSSLMODE": "verify-full"}, False),
    ],
)
def test_what_the_driver_takes_from_the_environment_counts_as_the_url_does(
    environ: dict[str, str], allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with nullcontext() if allowed else pytest.raises(WrongConfiguration):
        make_engine("postgresql:///db", DatabaseSettings()).dispose()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@CANARY@host/db",
        "postgresql://u:p@CANARY/x@host/db",
        "postgresql://u:p@CANARY?x@host/db",
        "postgresql://domain/user:CANARY@host/db",
    ],
)
def test_a_password_with_a_bare_at_sign_is_refused_and_no_part_of_it_shown(url: str) -> None:
    with pytest.raises(WrongConfiguration, match="%40") as caught:
        parse_url(url)
    assert "CANARY" not in str(caught.value)


def test_a_password_with_every_sign_stays_whole() -> None:
    assert parse_url("postgresql://u:p%40%2F%3A%25@h/d").password == "p@/:%"  # noqa: S105


def test_a_path_of_sqlite_may_have_at_signs() -> None:
    assert parse_url("sqlite:////srv/a@b@c/pima.db").database == "/srv/a@b@c/pima.db"


def test_a_url_inside_a_url_is_not_shown() -> None:
    url = parse_url("postgresql:///?dbname=postgresql://u:CANARY@h/db")
    assert "CANARY" not in redacted(url)


@pytest.mark.parametrize("option", ["timeout", "cached_statements"])
def test_sqlite_options_that_are_wrong_are_wrong_configuration(tmp_path: Path, option: str) -> None:
    error = error_of(asking(f"sqlite:///{tmp_path}/a.db?{option}=CANARY"))
    assert error.exit_code == WRONG
    assert PASSWORD not in everything_told_by(error)


@pytest.mark.parametrize("options", [{"nonsense": "CANARY"}, {"sslmode": "CANARY"}])
def test_postgresql_options_that_are_wrong_are_wrong_configuration(
    server: str, options: dict[str, str]
) -> None:
    url = make_url(server).update_query_dict(options).render_as_string(hide_password=False)
    error = error_of(asking(url))
    assert error.exit_code == WRONG
    assert PASSWORD not in everything_told_by(error)


def test_a_server_that_never_answers_is_away() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://clinic:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db"
        error = error_of(asking(url, connect_timeout_seconds=2))
    assert isinstance(error, DatabaseAway)
    assert PASSWORD not in everything_told_by(error)
