"""The URL of a database: which are taken, and how one is shown."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pima.errors import DatabaseUnusable, WrongConfiguration
from pima.store.database import database_at, with_driver

EXPECTED_URL = "sqlite:///path/to/file.db or postgresql+psycopg://user:password@host:5432/database"
EXPECTED_OPTIONS = "for PostgreSQL options that libpq knows, for SQLite none"


def parse_url(text: str) -> URL:
    """The URL, checked and with its driver named; raises WrongConfiguration, which never repeats the text."""
    url = _read(text)
    database_at(url).require_sound_url(url, text)
    return url


def _read(text: str) -> URL:
    try:
        url = make_url(text.strip())
        port_is_sound = url.port is None or 0 < url.port < 65536
    except (ArgumentError, ValueError):
        raise WrongConfiguration(what="the database URL can't be read as one", expected=EXPECTED_URL) from None
    if not port_is_sound:
        what = "the database URL's port is wrong: it has to be from 1 to 65535"
        raise WrongConfiguration(what=what, expected=EXPECTED_URL)
    known = with_driver(url)
    if known is None:
        raise WrongConfiguration(what="the database URL names no database that is known here", expected=EXPECTED_URL)
    return known


def redacted(url: URL) -> str:
    """The URL for people: without password, and of the options only those that say where the database is."""
    shown = {name: value for name, value in url.query.items() if name in ("host", "port", "user")}
    return url.set(query=shown).render_as_string(hide_password=True)


def require_file(url: URL) -> None:
    """Raises DatabaseUnusable where connecting would make a new file, which is for migrate to do."""
    if database_at(url).is_a_file and not Path(url.database or "").exists():
        expected = "a file that is there, or a new one, made by python -m jobs.migrate"
        raise DatabaseUnusable(what="there is no such file", expected=expected, url=redacted(url))


def is_empty_default_file(url: URL, default_url: str) -> bool:
    """Whether this is the embedded default database and nothing is in it yet."""
    path = Path(url.database or "")
    return url == _read(default_url) and (not path.exists() or path.stat().st_size == 0)
