"""The URL of the database: what kind it names, whether it is sound, and the engine made of it."""

import os
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pima.errors import DatabaseUnusable, WrongConfiguration
from pima.settings.sections import DatabaseSettings
from pima.store.database import IN_USE, Database
from pima.store.engine import EXPECTED_URL, redacted

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def with_driver(url: URL) -> URL | None:
    """The URL with the driver that pima uses; None if it names another driver, or a database that
    pima doesn't know."""
    name = _DRIVERS.get(url.drivername, url.drivername)
    return url.set(drivername=name) if name in _DRIVERS.values() else None


def database_at(url: URL) -> Database:
    """The database of a URL that `with_driver` returned."""
    name = url.get_backend_name()
    # Importing the other database's part of SQLAlchemy would cost every start of a job 15 ms.
    if name == "sqlite":
        from pima.store.sqlite.database import SQLite

        return IN_USE.setdefault(name, SQLite())
    from pima.store.postgresql.database import PostgreSQL

    return IN_USE.setdefault(name, PostgreSQL())


def parse_url(text: str) -> URL:
    """Parse and check a URL, and add its driver. Raises WrongConfiguration, which never repeats the
    text."""
    url = _read(text)
    database_at(url).require_sound_url(url, text)
    try:
        # As the driver will be asked: it refuses a server for a file, and several ports for one
        # server.
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    return url


def _unreadable() -> WrongConfiguration:
    return WrongConfiguration(what="the database URL can't be read as one", expected=EXPECTED_URL)


def _read(text: str) -> URL:
    try:
        url = any_url(text)
        port_is_sound = url.port is None or 0 < url.port < 65536
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    if not port_is_sound:
        what = "the database URL's port is wrong: it has to be from 1 to 65535"
        raise WrongConfiguration(what=what, expected=EXPECTED_URL)
    known = with_driver(url)
    if known is None:
        raise WrongConfiguration(
            what="the database URL names no database that is known here", expected=EXPECTED_URL
        )
    return known


def any_url(text: str) -> URL:
    """Read a URL of any dialect. Raises ArgumentError or ValueError, also for what no driver takes:
    bytes that are not UTF-8, and a NUL, at which libpq would end the name."""
    if "\0" in unquote(text.encode()):
        raise ValueError
    return make_url(text.strip())


def place_shown(url: URL) -> str:
    """The file's path, or host and database: no user and no secret."""
    file = Path(url.database or "").resolve()
    return str(file) if database_at(url).is_a_file else redacted(url).rpartition("@")[2]


def require_file(url: URL) -> None:
    """Raises DatabaseUnusable if connecting would make a new file, which only migrate may do."""
    # Path.exists raises for a name that is too long.
    if database_at(url).is_a_file and not os.path.exists(url.database or ""):  # noqa: PTH110
        expected = "a file that is there, or a new one, made by python -m jobs.migrate"
        raise DatabaseUnusable(what="there is no such file", expected=expected, url=redacted(url))


def is_empty_default_file(url: URL, default_url: str) -> bool:
    """Whether this is the embedded default database and it is still empty."""
    path = Path(url.database or "")
    return url == _read(default_url) and (not path.exists() or path.stat().st_size == 0)


def make_engine(url_text: str, settings: DatabaseSettings) -> Engine:
    """Make an engine for the URL, without connecting yet."""
    url = parse_url(url_text)
    return database_at(url).make_engine(url, settings)
