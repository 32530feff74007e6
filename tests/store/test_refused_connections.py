"""A connection that is refused is named for what it is: on a real server that asks for passwords,
and without one."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.errors import (
    TRY_AGAIN_LATER,
    WRONG,
    DatabaseAway,
    DatabaseUnusable,
    PimaError,
    RightMissing,
    SourceUnusable,
)
from pima.intake.sources.source_engine import make_source_engine, reading_source
from pima.settings.sections import DatabaseSettings
from pima.store.postgresql.errors import translated
from pima.store.urls import make_engine
from tests.image.loopback_postgresql import Server, postgresql_on_loopback
from tests.support.databases import Database, insert_patients
from tests.support.told_errors import PASSWORD, VALUE, asking, error_of, everything_told_by


@pytest.fixture(scope="module")
def asking_for_passwords() -> Iterator[Server]:
    """A server with a role doctor, and databases that it may not enter."""
    with postgresql_on_loopback() as server:
        for statement in (
            f"CREATE ROLE doctor LOGIN PASSWORD '{PASSWORD}'",
            f"CREATE ROLE nurse NOLOGIN PASSWORD '{PASSWORD}'",
            f"CREATE ROLE crowd LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0",
            "CREATE DATABASE closed",
            "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
            "CREATE DATABASE resting WITH ALLOW_CONNECTIONS false",
        ):
            server.psql("-c", statement)
        yield server


@pytest.mark.parametrize(
    ("who", "database", "kind", "named"),
    [
        ("doctor:CANARY-wrong", "postgres", DatabaseUnusable, "password authentication failed"),
        ("doctor", "postgres", DatabaseUnusable, "no password supplied"),
        ("nurse:CANARY", "postgres", DatabaseUnusable, "not permitted to log in"),
        ("doctor:CANARY", "nowhere", DatabaseUnusable, "does not exist"),
        ("doctor:CANARY", "closed", DatabaseUnusable, "permission denied for database"),
        ("doctor:CANARY", "postgres?sslmode=require", DatabaseUnusable, "SSL was required"),
        ("doctor:CANARY", "resting", DatabaseUnusable, "not currently accepting connections"),
        ("crowd:CANARY", "postgres", DatabaseAway, "too many connections"),
    ],
)
def test_what_a_server_refuses_is_told_in_its_words(
    asking_for_passwords: Server, who: str, database: str, kind: type[PimaError], named: str
) -> None:
    error = error_of(asking(f"postgresql://{who}@127.0.0.1:{asking_for_passwords.port}/{database}"))
    assert type(error) is kind
    assert error.exit_code == (WRONG if kind is DatabaseUnusable else TRY_AGAIN_LATER)
    assert named in str(error)
    assert f"127.0.0.1:{asking_for_passwords.port}/{database.partition('?')[0]}" in str(error)
    assert "CANARY" not in everything_told_by(error)


def test_of_a_source_its_own_variable_is_named(asking_for_passwords: Server) -> None:
    place = f"127.0.0.1:{asking_for_passwords.port}/nowhere"
    engine = make_source_engine(
        "clinic", f"postgresql://doctor:{PASSWORD}@{place}", DatabaseSettings()
    )

    def read() -> None:
        with reading_source(engine, "clinic") as connection:
            connection.execute(text("SELECT 1"))

    error = error_of(read)
    assert (type(error), "does not exist" in str(error)) == (SourceUnusable, True)
    assert f"PIMA_SOURCE__CLINIC__URL is postgresql+psycopg://doctor:***@{place}" in str(error)
    for of_our_own_database in ("DATABASE_URL", "jobs.migrate"):
        assert of_our_own_database not in str(error)
    assert "CANARY" not in everything_told_by(error)


def test_the_right_password_is_taken(asking_for_passwords: Server) -> None:
    asking(f"postgresql://doctor:{PASSWORD}@127.0.0.1:{asking_for_passwords.port}/postgres")()


@contextmanager
def _hanging_up() -> Iterator[int]:
    """A port that takes each connection and ends it at its first word."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


def test_what_keeps_from_a_server_is_told_apart(tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket() as silent, _hanging_up() as port:
        taken.bind(
            ("127.0.0.1", 0)
        )  # bound and not listening: nobody answers, and nobody else gets it
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for place, named in (
            (f"127.0.0.1:{taken.getsockname()[1]}/db", "Connection refused"),
            (f"127.0.0.1:{silent.getsockname()[1]}/db", "timeout expired"),
            ("no-such-host.invalid/db?sslmode=verify-full", "failed to resolve host"),
            (f"/db?host={tmp_path}", "No such file or directory"),
            (f"127.0.0.1:{port}/db?sslmode=disable", "closed the connection unexpectedly"),
        ):
            error = error_of(
                asking(f"postgresql://doctor:{PASSWORD}@{place}", connect_timeout_seconds=2)
            )
            assert type(error) is DatabaseAway
            assert error.exit_code == TRY_AGAIN_LATER
            assert named in str(error)
            assert place.partition("?")[0] in str(error)
            assert PASSWORD not in everything_told_by(error)


def test_what_the_driver_says_of_a_session_is_not_told() -> None:
    url = make_url(f"postgresql+psycopg://doctor:{PASSWORD}@192.0.2.1/db")
    error = translated(psycopg.OperationalError(f"{VALUE}, which no release has said yet"), url)
    assert type(error) is DatabaseAway
    assert "doctor:***@192.0.2.1/db" in str(error)
    assert VALUE not in everything_told_by(error)


# ---- rights


@pytest.fixture
def without_rights(postgresql: Database) -> Iterator[Database]:
    """The database as a role sees it that may do nothing."""
    role = f"{postgresql.value('SELECT current_database()')}_guest"
    insert_patients(postgresql, 1, glucose=float(VALUE))
    postgresql.execute(f"CREATE ROLE {role} LOGIN")
    engine = make_engine(postgresql.url.replace("postgres:@", f"{role}:@"), DatabaseSettings())
    yield Database("postgresql", str(engine.url), engine)
    engine.dispose()
    postgresql.execute(f"DROP ROLE {role}")


NAMED = {
    "SELECT * FROM patients": "the table patients",
    "INSERT INTO predictions DEFAULT VALUES": "the table predictions",
    "SELECT * FROM current_predictions": "the view current_predictions",
    "SELECT nextval('patients_id_seq')": "the sequence patients_id_seq",
}


def test_a_missing_right_is_named_with_the_role_and_those_that_are_enough(
    without_rights: Database,
) -> None:
    for statement, named in NAMED.items():
        error = error_of(lambda statement=statement: without_rights.execute(statement))
        assert type(error) is RightMissing
        assert (error.exit_code, error.code) == (WRONG, "right_missing")
        for said in (
            named,
            f"The role {without_rights.engine.url.username} lacks",
            "pima_scheduler for scheduler, health and alert",
            "pima_operator for status",
            "42501",
        ):
            assert said in str(error)


def test_somebodys_own_words_under_the_same_sqlstate_are_not_told(postgresql: Database) -> None:
    for raised in (f"permission denied for table {VALUE}", f"no entry for {VALUE}"):
        throw = f"DO $$ BEGIN RAISE EXCEPTION '{raised}' USING ERRCODE = '42501'; END $$"
        error = error_of(lambda throw=throw: postgresql.execute(throw))
        assert type(error) is RightMissing
        assert VALUE not in everything_told_by(error).replace(raised, "")
        assert "server's log" in str(error)
