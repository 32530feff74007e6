"""The URL of a PostgreSQL server: what may stand in it, where it leads, and whether the server must prove who it is."""

from collections.abc import Mapping
from ipaddress import ip_address
from itertools import zip_longest

from sqlalchemy.engine import URL

from pima.errors import WrongConfiguration
from pima.store.urls import EXPECTED_OPTIONS, redacted


def require_sound_url(url: URL, text: str) -> None:
    """Raises WrongConfiguration where the URL was not read as it was meant, or has options that libpq does not know."""
    # A part of the password would be taken for the host, the database or an option, and be shown.
    if text.count("@") > 1 or "@" in (url.database or ""):
        expected = "%40 for an @ and %2F for a / in a name or password"
        raise WrongConfiguration(what="the database URL has an @ in an unexpected place", expected=expected)
    if url.query and not _libpq_options().keys() >= url.query.keys():
        raise WrongConfiguration(what="the database URL has an unknown option", expected=EXPECTED_OPTIONS)


_PLACES = (
    "service",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "options",
    "target_session_attrs",
    "client_encoding",
)


def place(url: URL) -> Mapping[str, str]:
    """Whatever decides what a name means there, of the URL and of the environment where that is silent; no secret.

    The role does, too: its rights, and the schemas that it looks in.
    """
    said = {"host": url.host, "port": str(url.port or ""), "dbname": url.database, "user": url.username}
    given = _libpq_options() | {name: value for name, value in said.items() if value} | _asked(url)
    return {name: given[name] for name in _PLACES if given.get(name)}


def require_verified_tls(url: URL) -> None:
    """Patients' data go to a server that has proved who it is, or to this very machine."""
    asked = _asked(url)
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


def _asked(url: URL) -> dict[str, str]:
    return {name: ",".join([value] if isinstance(value, str) else value) for name, value in url.query.items()}


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
