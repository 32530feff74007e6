"""The URL of a database: which are taken, how one is shown, and whether its server has to prove who it is."""

from ipaddress import ip_address
from itertools import zip_longest
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pima.errors import WrongConfiguration

_EXPECTED_URL = "sqlite:///path/to/file.db or postgresql+psycopg://user:password@host:5432/database"


def parse_url(text: str) -> URL:
    """The URL, checked and with its driver named; raises WrongConfiguration, which never repeats the text."""
    try:
        url = make_url(text.strip())
        port_is_sound = url.port is None or 0 < url.port < 65536
    except (ArgumentError, ValueError):
        raise WrongConfiguration(what="the database URL can't be read as one", expected=_EXPECTED_URL) from None
    # A part of the password would be taken for the host, the database or an option, and be shown.
    if not url.drivername.startswith("sqlite") and (text.count("@") > 1 or "@" in (url.database or "")):
        expected = "%40 for an @ and %2F for a / in a name or password"
        raise WrongConfiguration(what="the database URL has an @ in an unexpected place", expected=expected)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite":
        url = url.set(drivername="sqlite+pysqlite")
    if url.drivername not in ("sqlite+pysqlite", "postgresql+psycopg") or not port_is_sound:
        raise WrongConfiguration(what="the database URL names no database that is known here", expected=_EXPECTED_URL)
    if url.drivername == "sqlite+pysqlite" and url.database in (None, "", ":memory:"):
        raise WrongConfiguration(what="the database URL names no file", expected=_EXPECTED_URL)
    if url.query:
        _check_options(url)
    return url


def _check_options(url: URL) -> None:
    """What stands behind the question mark: for PostgreSQL libpq's own options, for SQLite none."""
    expected = "for PostgreSQL options that libpq knows, for SQLite none"
    if url.get_backend_name() == "sqlite":
        raise WrongConfiguration(what="the database URL has options behind a question mark", expected=expected)
    if not _libpq_options().keys() >= url.query.keys():
        raise WrongConfiguration(what="the database URL has an unknown option", expected=expected)


def redacted(url: URL) -> str:
    """The URL for people: without password, and of the options only those that say where the database is."""
    shown = {name: value for name, value in url.query.items() if name in ("host", "port", "user")}
    return url.set(query=shown).render_as_string(hide_password=True)


def is_empty_default_file(url: URL, default_url: str) -> bool:
    """Whether this is the embedded default database and nothing is in it yet."""
    path = Path(url.database or "")
    is_default = url == parse_url(default_url)
    return is_default and (not path.exists() or path.stat().st_size == 0)


def require_verified_tls(url: URL) -> None:
    """Patients' data go to a server that has proved who it is, or to this very machine."""
    asked = {name: ",".join([value] if isinstance(value, str) else value) for name, value in url.query.items()}
    defaults = {name: value for name, value in _libpq_options().items() if value}
    given = defaults | ({"host": url.host} if url.host else {}) | asked
    # Where an entry has a hostaddr libpq goes there, whatever the host is called.
    entries = zip_longest(given.get("hostaddr", "").split(","), given.get("host", "").split(","), fillvalue="")
    is_here = all(_is_here(address or host) for address, host in entries)
    # A service file may name any server, and any sslmode but against the URL's own.
    is_verified = "service" not in given and (is_here or given.get("sslmode") == "verify-full")
    if is_verified or asked.get("sslmode") == "verify-full":
        return
    what = f"the server of {redacted(url)} is on another machine, and its URL does not ask it to prove who it is"
    expected = "?sslmode=verify-full in the URL, or database.allow_unverified_tls = true for a trusted network"
    raise WrongConfiguration(what=what, expected=expected)


def _libpq_options() -> dict[str, str]:
    """The driver's options and what it takes where the URL is silent: PGHOST, PGSERVICE and their like, or nothing."""
    from psycopg.pq import Conninfo

    return {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")):  # a socket's folder, or its abstract name
        return True
    name = host.lower().partition(":")[0] if host.count(":") == 1 else host.lower()  # host:port, as SQLAlchemy has it
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
