"""The connection to a source: any database that SQLAlchemy supports, read in one transaction and
never written.

As for pima's own database, errors report the driver's class, code and names, never its text, which
can hold a row.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from pima.errors import (
    DatabaseAway,
    DatabaseBusy,
    PimaError,
    RightMissing,
    SourceAway,
    SourceUnusable,
    WrongConfiguration,
)
from pima.settings.reading import url_variable
from pima.settings.sections import DatabaseSettings
from pima.store.database import Database
from pima.store.urls import any_url, database_at, make_engine, with_driver

_A_URL = "a URL of SQLAlchemy's, such as postgresql+psycopg://user:password@host:5432/database"


def make_source_engine(name: str, url_text: str, settings: DatabaseSettings) -> Engine:
    """Make an engine for a source's URL, without connecting. Raises WrongConfiguration, which never
    repeats the URL."""
    try:
        url = any_url(url_text)
    except (ArgumentError, ValueError):
        what = f"the URL of the source {name} can't be read as one"
        raise WrongConfiguration(what=what, expected=_A_URL) from None
    known = with_driver(url)
    if known is None:
        return _of_another_kind(name, url)
    try:
        engine = make_engine(url_text, settings)
    except WrongConfiguration as error:
        what = f"the source {name}: {error.facts['what']}"
        raise WrongConfiguration(what=what, expected=error.facts["expected"]) from None
    return engine.execution_options(pima_writes=False, **database_at(known).snapshot)


def _of_another_kind(name: str, url: URL) -> Engine:
    # Opened for writing, a file would lock other readers out, and a missing file would be created.
    options = {"connect_args": {"read_only": True}} if _file_of_another_kind(url) else {}
    try:
        return create_engine(url, hide_parameters=True, **options)
    except NoSuchModuleError:
        what = (
            f"the source {name} is in a database for which no dialect is installed: "
            f"{url.drivername}"
        )
        raise WrongConfiguration(
            what=what, expected="the Python package that has it, or another URL"
        ) from None
    except ImportError as error:
        what = (
            f"the source {name} needs a driver that is not installed: "
            f"{error.name or url.drivername}"
        )
        raise WrongConfiguration(
            what=what, expected=f"the Python package {error.name or 'of it'}"
        ) from None
    except (ArgumentError, TypeError, ValueError):
        what = f"the URL of the source {name} has options that its dialect does not know"
        raise WrongConfiguration(what=what, expected=_A_URL) from None


def _file_of_another_kind(url: URL) -> Path | None:
    """The file that a URL names if it is a local DuckDB file; None for other databases and for
    DuckDB's services."""
    if url.get_backend_name() != "duckdb" or not url.database or ":" in url.database:
        return None
    return Path(url.database)


_SECRET = re.compile(
    r"(?i:\w*(?:pass|pwd|secret|token|credential|(?:api|access|private|client|ssl)_?key)\w*)"
)
# For an ODBC connection string, in which a value may be in braces.
_SECRETS_VALUE = re.compile(_SECRET.pattern + r"\s*=\s*(?:\{(?:[^}]|\}\})*\}|[^;&]*)")


def source_place(url: URL) -> str:
    """The parts of a source's URL that decide which rows a table's name means, without secrets."""
    known = with_driver(url)
    if known is not None and database_at(known).is_a_file:
        return str(Path(known.database or "").resolve())
    url = known or url
    said = {
        name: _SECRETS_VALUE.sub("", str(value))
        for name, value in url.query.items()
        if not _SECRET.fullmatch(name)
    }
    return str(url.set(query=said)._replace(password=None))


@contextmanager
def reading_source(engine: Engine, name: str) -> Iterator[Connection]:
    """A transaction that only reads, and sees the state at its beginning if the database supports
    that.

    Raises SourceAway or SourceUnusable.
    """
    database = known_database(engine)
    _require_file(engine, name)
    try:
        with engine.begin() as connection:
            if database is not None:
                database.without_time_limit(connection)
            yield connection
    except DBAPIError as error:
        raise _translated(name, error, error.orig, engine) from None
    except Exception as error:
        # The driver's own cursor raises errors that SQLAlchemy does not wrap.
        if not isinstance(error, engine.dialect.loaded_dbapi.Error):
            raise
        raise _translated(name, error, error, engine) from None


def known_database(engine: Engine) -> Database | None:
    """The engine's database if pima could use its kind itself; else None."""
    url = with_driver(engine.url)
    return None if url is None else database_at(url)


def _require_file(engine: Engine, name: str) -> None:
    database = known_database(engine)
    file = Path(engine.url.database or "") if database is not None and database.is_a_file else None
    file = file or _file_of_another_kind(engine.url)
    # Path.exists raises for a name that is too long.
    if file is not None and not os.path.exists(file):  # noqa: PTH110
        expected = f"in {url_variable(name)} the path of a file that is there"
        raise SourceUnusable(source=name, what="there is no such file", expected=expected)


def _translated(
    name: str, error: Exception, cause: BaseException | None, engine: Engine
) -> PimaError:
    database = known_database(engine)
    if database is None:
        return _of_unknown(name, error, cause, engine.dialect.name)
    found = database.translated(cause, engine.url)
    what = found.facts.get("what", found.code)
    if isinstance(found, DatabaseAway | DatabaseBusy):
        return SourceAway(source=name, what=what)
    if isinstance(found, RightMissing):
        what = f"the role {found.facts['role']} lacks a right on {what}"
    expected = found.facts.get("expected", _READABLE)
    if "url" in found.facts:
        expected = f"{expected}. {url_variable(name)} is {found.facts['url']}"
    return SourceUnusable(source=name, what=what, expected=expected)


_READABLE = "a table, view or SELECT that is there, with the right to read it"


# MySQL's errors that may pass: too many connections, a shutdown, a lock timeout, a deadlock, a
# query or connection that was killed or took too long, a changed table, lost packets.
_PASSING = {
    1040,
    1053,
    1129,
    1158,
    1159,
    1160,
    1161,
    1203,
    1205,
    1213,
    1226,
    1317,
    1412,
    1927,
    1969,
    3024,
}
_OF_THE_CLIENT = range(2000, 3000)


def _of_unknown(
    name: str, error: Exception, cause: BaseException | None, dialect: str
) -> PimaError:
    what = type(cause or error).__name__
    is_away = isinstance(error, OperationalError)
    if dialect in ("mysql", "mariadb"):
        # Their drivers also report missing rights and unknown columns as operational errors.
        number = getattr(cause, "errno", None) or next(iter(getattr(cause, "args", ())), None)
        if isinstance(number, int):
            what = f"{what} {number}"
            is_away = number in _PASSING or number in _OF_THE_CLIENT
    if is_away or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return SourceAway(source=name, what=what)
    return SourceUnusable(
        source=name, what=what, expected=f"{_READABLE}, at the URL in {url_variable(name)}"
    )
