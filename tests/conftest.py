"""What tests ask for by name: SQLite files, a PostgreSQL, and model versions, all real, the
versions trained once."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.support.alert_receiver import AlertReceiver, alert_receiver
from tests.support.clinic import Clinic, clinic_at
from tests.support.databases import (
    Copied,
    Database,
    Make,
    Originals,
    administration,
    on_server,
    postgresql_from,
    postgresql_server,
    server_version,
    sqlite_from,
    with_database,
)
from tests.support.servers import server_of
from tests.support.trained import (
    install_declared,
    install_shipped,
    load_shipped,
    make_schema,
    share_fits,
    train_declared,
    train_shipped,
    trained_once,
)

pytest_plugins = ["tests.support.session"]


@pytest.fixture(scope="session")
def at_length(request: pytest.FixtureRequest) -> bool:
    """Whether a campaign repeats what it is about as often as it claims to, or just often enough to
    show it."""
    return bool(request.config.getoption("at_length"))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server whose role may create databases."""
    with _server() as url:
        if server_version(url) < 15:
            # As later ones have it; a test that wants it open says so.
            template = with_database(url, "template1")
            on_server(template, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            administration(template).dispose()
        yield url
        administration(url).dispose()


def _server() -> AbstractContextManager[str]:
    if named := os.environ.get("PIMA_TEST_DATABASE_URL"):
        return nullcontext(named)
    if programs := os.environ.get("PIMA_TEST_POSTGRESQL"):
        return server_of(Path(programs))
    # Hundreds of databases are made and dropped, and no test pulls the plug: a killed process loses
    # nothing by it.
    return postgresql_server("fsync = off")


@pytest.fixture(scope="session")
def sqlite_originals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Originals]:
    with ExitStack() as until_the_end:
        yield Originals(
            lambda: sqlite_from(None, tmp_path_factory.mktemp("original")), until_the_end
        )


@pytest.fixture(scope="session")
def postgresql_originals(server: str) -> Iterator[Originals]:
    with ExitStack() as until_the_end:
        yield Originals(lambda: postgresql_from(server, "template1"), until_the_end)


@pytest.fixture
def sqlite(sqlite_originals: Originals, tmp_path: Path) -> Iterator[Database]:
    yield from sqlite_from(Path(sqlite_originals.name(make_schema)), tmp_path)


@pytest.fixture
def postgresql(server: str, postgresql_originals: Originals) -> Iterator[Database]:
    yield from postgresql_from(server, postgresql_originals.name(make_schema))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated database of either kind: each test that asks for it runs on both."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ran_before(database: Database) -> Database:
    """Both jobs have run by hand once, so that nothing is owed to a new job."""
    for job in ("score", "retrain"):
        database.execute(
            "INSERT INTO runs (job, trigger, attempt, status, counts, host)"
            f" VALUES ('{job}', 'manual', 1, 'succeeded', '{{}}', 'here')"
        )
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind without any schema."""
    if request.param == "sqlite":
        yield from sqlite_from(None, tmp_path)
    else:
        yield from postgresql_from(request.getfixturevalue("server"), "template1")


@pytest.fixture(params=["sqlite", "postgresql"])
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copied]:
    """Called with a function and its further arguments, gives a database of either kind as the
    function makes it of an empty one: made by the first test that asks for it, and copied for
    each."""
    originals: Originals = request.getfixturevalue(f"{request.param}_originals")
    with ExitStack() as at_the_end:

        def copy(make: Make, *arguments: Any) -> Database:
            name = originals.name(make, *arguments)
            if request.param == "sqlite":
                found = contextmanager(sqlite_from)(Path(name), tmp_path)
            else:
                found = contextmanager(postgresql_from)(request.getfixturevalue("server"), name)
            return at_the_end.enter_context(found)

        yield copy


@pytest.fixture
def history(copied: Copied) -> Database:
    """A database of either kind with the shipped rows."""
    return copied(load_shipped)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with model versions 1 to 3, made by real retrainings on a growing history."""
    return trained_once(tmp_path_factory, "trained", train_shipped)


@pytest.fixture(scope="session")
def trained_on_declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the declaration of `tests.support.declared`, made by its `configuration` in the
    file's folder."""
    return trained_once(tmp_path_factory, "trained-on-declared", train_declared)


@pytest.fixture
def declared_database(copied: Copied, trained_on_declared: Path) -> Database:
    """A database of either kind with the tests' own declaration, and versions that were trained on
    it."""
    return copied(install_declared, trained_on_declared)


@pytest.fixture
def scored_database(copied: Copied, trained: Path) -> Database:
    """A database of either kind with the trained versions, version 1 being champion."""
    return copied(install_shipped, trained)


@pytest.fixture
def equal_fits_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For tests whose matter is what becomes of a fit: a retraining in this process takes the same
    fit of another test.

    `models reproduce` still fits anew.
    """
    share_fits(tmp_path_factory, monkeypatch, own_repeated=True)


@pytest.fixture
def each_fit_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise, and of equal fits of its own a test has but one: where its matter is that they are
    asked for alike, or what else is asked of them."""
    share_fits(tmp_path_factory, monkeypatch, own_repeated=False)


@pytest.fixture
def without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about no report: a retraining goes on without, as where the extra is not installed.
    To draw one takes a quarter of its time."""
    monkeypatch.setitem(sys.modules, "pima.report.page", None)


@pytest.fixture
def sqlite_clinic(tmp_path: Path) -> Iterator[Clinic]:
    """A clinic's own SQLite file with an empty table of visits."""
    yield from clinic_at("sqlite", f"sqlite:///{tmp_path / 'clinic.db'}", tmp_path)


@pytest.fixture
def postgresql_clinic(server: str, tmp_path: Path) -> Iterator[Clinic]:
    """The same in a PostgreSQL database of its own."""
    for database in postgresql_from(server, "template1"):
        yield from clinic_at("postgresql", database.url, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def clinic(request: pytest.FixtureRequest) -> Clinic:
    """Each test that asks for it runs with both."""
    found: Clinic = request.getfixturevalue(f"{request.param}_clinic")
    return found


@pytest.fixture
def own_clinic(database: Database, tmp_path: Path) -> Iterator[Clinic]:
    """The table of visits in pima's own database, of whichever kind."""
    yield from clinic_at(database.kind, database.url, tmp_path)


@pytest.fixture
def listener() -> Iterator[AlertReceiver]:
    """Somebody whom alerts are sent to."""
    with alert_receiver() as found:
        yield found


@pytest.fixture
def receiver(listener: AlertReceiver) -> tuple[str, list[str]]:
    """The address of the same one, and what it was asked for there."""
    return f"http://127.0.0.1:{listener.port}", listener.pinged
