"""A connection that is refused is named for what it is: on a real server that asks for passwords, and without one."""

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
from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine
from pima.store.postgresql.errors import translated
from pima.store.source_engine import make_source_engine, reading_source
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
        ("doctor:CANARY-wrong", "postgres", DatabaseUnusable, "failed authentication"),
        ("doctor", "postgres", DatabaseUnusable, "failed authentication"),
        # The server does not tell who is there.
        ("nobody:CANARY", "postgres", DatabaseUnusable, "failed authentication"),
        ("nurse:CANARY", "postgres", DatabaseUnusable, "may not log in"),
        ("doctor:CANARY", "nowhere", DatabaseUnusable, "no such database"),
        ("doctor:CANARY", "closed", DatabaseUnusable, "may not connect to this database"),
        ("doctor:CANARY", "postgres?sslmode=require", DatabaseUnusable, "TLS"),
        ("doctor:CANARY", "resting", DatabaseUnusable, "ALLOW_CONNECTIONS"),
        ("crowd:CANARY", "postgres", DatabaseAway, "takes no more connections"),
    ],
)
def test_what_a_server_refuses_is_named(
    asking_for_passwords: Server, who: str, database: str, kind: type[PimaError], named: str
) -> None:
    error = error_of(asking(f"postgresql://{who}@127.0.0.1:{asking_for_passwords.port}/{database}"))
    assert type(error) is kind
    assert error.exit_code == (WRONG if kind is DatabaseUnusable else TRY_AGAIN_LATER)
    assert named in str(error)
    assert f"127.0.0.1:{asking_for_passwords.port}/{database.partition('?')[0]}" in str(error)
    told = everything_told_by(error)
    assert "CANARY" not in told
    assert "SQLSTATE none" not in told
    assert "FATAL" not in told  # nothing of the driver's text


@pytest.mark.parametrize(
    ("who", "database", "named"),
    [
        ("doctor:CANARY-wrong", "postgres", "failed authentication"),
        ("doctor:CANARY", "nowhere", "no such database"),
        ("nurse:CANARY", "postgres", "may not log in"),
    ],
)
def test_of_a_source_its_own_variable_is_named(
    asking_for_passwords: Server, who: str, database: str, named: str
) -> None:
    place = f"127.0.0.1:{asking_for_passwords.port}/{database}"
    engine = make_source_engine("clinic", f"postgresql://{who}@{place}", DatabaseSettings())

    def read() -> None:
        with reading_source(engine, "clinic") as connection:
            connection.execute(text("SELECT 1"))

    error = error_of(read)
    assert (type(error), named in str(error)) == (SourceUnusable, True)
    assert f"PIMA_SOURCE__CLINIC__URL is postgresql+psycopg://{who.partition(':')[0]}:***@{place}" in str(error)
    for of_our_own_database in ("DATABASE_URL", "jobs.migrate"):
        assert of_our_own_database not in str(error)
    assert "CANARY" not in everything_told_by(error)


def test_the_right_password_is_taken(asking_for_passwords: Server) -> None:
    asking(f"postgresql://doctor:{PASSWORD}@127.0.0.1:{asking_for_passwords.port}/postgres")()


def test_a_role_that_is_not_there_is_named(asking_for_passwords: Server) -> None:
    folder, port = asking_for_passwords.folder, asking_for_passwords.port
    error = error_of(asking(f"postgresql://nobody@/postgres?host={folder}&port={port}"))
    assert isinstance(error, DatabaseUnusable)
    assert "no such role" in str(error)


def test_where_pg_hba_has_no_entry_it_is_named(asking_for_passwords: Server) -> None:
    rules = asking_for_passwords.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all doctor 127.0.0.1/32 reject\n{before}")
    asking_for_passwords.psql("-c", "SELECT pg_reload_conf()")
    url = f"postgresql://doctor:{PASSWORD}@127.0.0.1:{asking_for_passwords.port}/postgres"
    try:
        error = error_of(asking(url))
    finally:
        rules.write_text(before)
        asking_for_passwords.psql("-c", "SELECT pg_reload_conf()")
    assert isinstance(error, DatabaseUnusable)
    assert "pg_hba.conf" in str(error)


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
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else gets it
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for place, named in (
            (f"127.0.0.1:{taken.getsockname()[1]}/db", "connection refused"),
            (f"127.0.0.1:{silent.getsockname()[1]}/db", "no answer came"),
            ("no-such-host.invalid/db?sslmode=verify-full", "unknown host"),
            (f"/db?host={tmp_path}", "no such socket"),
            ("224.0.0.1/db?sslmode=verify-full", "no way to its host"),  # TCP goes to no multicast address
            (f"127.0.0.1:{port}/db?sslmode=disable", "broke the connection off"),
        ):
            error = error_of(asking(f"postgresql://doctor:{PASSWORD}@{place}", connect_timeout_seconds=2))
            assert type(error) is DatabaseAway
            assert error.exit_code == TRY_AGAIN_LATER
            assert named in str(error)
            assert place.partition("?")[0] in str(error)
            assert PASSWORD not in everything_told_by(error)


@pytest.mark.parametrize(
    "words", ["connection to server at 192.0.2.1 failed: No route to host", "CANARY, which no release has said yet"]
)
def test_whatever_the_driver_says_the_address_is_told(words: str) -> None:
    error = translated(
        psycopg.OperationalError(words), make_url(f"postgresql+psycopg://doctor:{PASSWORD}@192.0.2.1/db")
    )
    assert type(error) is DatabaseAway
    assert "doctor:***@192.0.2.1/db" in str(error)
    assert ("no route" in str(error)) == ("route" in words)
    assert "CANARY" not in everything_told_by(error)


# ---- rights ---------------------------------------------------------------------------------------------------------


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


def test_a_missing_right_is_named_with_the_role_and_those_that_are_enough(without_rights: Database) -> None:
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
