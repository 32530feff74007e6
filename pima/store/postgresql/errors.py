"""A driver's error -> one of ours: class, SQLSTATE and names. Its text is dropped: its DETAIL line can hold the row."""

import re

from psycopg import DataError
from sqlalchemy.engine import URL

from pima.errors import (
    DatabaseAway,
    DatabaseBusy,
    DatabaseFailed,
    DatabaseUnusable,
    PimaError,
    RightMissing,
)
from pima.store.engine import redacted

# PL/pgSQL's RAISE, in the server's source.
_RAISED_BY_A_FUNCTION = "exec_stmt_raise"
# SQLSTATE classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY = {
    "40P01": "a deadlock with another transaction",
    "40": "another transaction changed the same rows, and this one can't go on beside it",
    "55P03": "a lock that another transaction holds, for longer than the time limit",
    "57014": "a statement that took longer than its time limit, or was cancelled",
    "25P0": "a transaction that was ended, as after too long a pause",
    "72": "rows of a state that the server keeps no more",
}
"""By what an SQLSTATE begins with, the longest first."""
# What the server says by no code of its own where two sessions make, change or drop the same thing at once.
_AT_ONCE = ("simple_heap_update", "simple_heap_delete", "relation_open")
# Said of what was dropped while the catalogue was read, in no other language than this.
_GONE_MEANWHILE = "cache lookup failed for "
# What refuses SET TRANSACTION READ WRITE where a server only replays what its primary writes.
_REFUSES_A_SETTING = "call_bool_check_hook"
_ON_A_STANDBY = (
    "the server is a standby, which takes no writes until it is promoted (the primary's address is needed, or both with"
    " target_session_attrs=read-write)"
)
_AWAY = ("08", "53", "57P")
_UNUSABLE = ("28", "3D", "42501")


def translated(error: BaseException | None, url: URL) -> PimaError:
    """Make one of our errors of psycopg's."""
    state = getattr(error, "sqlstate", None)
    diagnostics = getattr(error, "diag", None)
    what = f"{type(error).__name__} (SQLSTATE {state or 'none'})"
    if state is None:
        return _translate_libpq(error, what, url)
    # Whoever wrote a function that raises may have put a row's values where names stand.
    is_servers = getattr(diagnostics, "source_function", None) != _RAISED_BY_A_FUNCTION
    names = ("table_name", "column_name", "constraint_name") if is_servers else ()
    what = " ".join([what, *filter(None, (getattr(diagnostics, name, None) for name in names))])
    if (why := _why_busy(state, diagnostics)) is not None:
        return DatabaseBusy(what=f"{why}; {what}")
    if state == "0A000" and getattr(diagnostics, "source_function", None) == _REFUSES_A_SETTING:
        return DatabaseAway(what=f"{_ON_A_STANDBY}: {redacted(url)}")
    if state.startswith(_AWAY):
        return DatabaseAway(what=what)
    if state == "42501":
        return RightMissing(role=url.username or "of this session", what=_refused_object(diagnostics))
    if state == "3F000":
        return DatabaseUnusable(what=what, expected=_A_SEARCH_PATH, url=redacted(url))
    if state.startswith(_UNUSABLE):
        return DatabaseUnusable(what=what, expected=_A_USABLE_ONE, url=redacted(url))
    return DatabaseFailed(what=what)


def _why_busy(state: str, diagnostics: object) -> str | None:
    if state == "XX000" and (
        getattr(diagnostics, "source_function", None) in _AT_ONCE
        or str(getattr(diagnostics, "message_primary", None)).startswith(_GONE_MEANWHILE)
    ):
        return "another session changed the same table, function or right"
    return next((why for begins, why in _BUSY.items() if state.startswith(begins)), None)


_CONTESTED = {
    "40001": "another transaction has changed some, and this one can't go on beside it",
    "40P01": "this and another transaction waited for each other",
    "55P03": "another transaction holds some",
}
# What two transactions may give at once; a constraint of somebody else's is broken for good.
_OURS = {
    "pk_patients",
    "ix_patients_source_source_key",
    "pk_row_keys",
    "uq_row_keys_source_source_key",
    "pk_scoring_queue",
}


def contested(error: BaseException | None) -> str | None:
    """Say what another transaction does to the same rows."""
    state = str(getattr(error, "sqlstate", None))
    if state == "23505" and getattr(getattr(error, "diag", None), "constraint_name", None) in _OURS:
        return "another transaction has just written one of the same id or key"
    return _CONTESTED.get(state)


def is_refusal(error: BaseException | None) -> bool:
    """A constraint, or an exception that a function raises, or a right that a function lacks."""
    state, diagnostics = str(getattr(error, "sqlstate", None)), getattr(error, "diag", None)
    is_raised = getattr(diagnostics, "source_function", None) == _RAISED_BY_A_FUNCTION
    is_functions = state == "42501" and getattr(diagnostics, "context", None) is not None
    return is_raised or is_functions or state.startswith("23")


# The server's own sentence, where it speaks English. A trigger may raise the same SQLSTATE with words of its own, from
# another place in the server than these.
_DENIED_BY = ("aclcheck_error", "nextval_internal", "do_setval")
_DENIED = re.compile(r"permission denied for ((?:materialized |foreign )?(?:table|view|sequence|schema|function) .+)")


def _refused_object(diagnostics: object) -> str:
    is_servers = getattr(diagnostics, "source_function", None) in _DENIED_BY
    found = _DENIED.fullmatch(str(getattr(diagnostics, "message_primary", None))) if is_servers else None
    return f"the {found[1]}" if found else "something that the server's log names"


_A_SEARCH_PATH = "a search_path of this role that leads to a schema that is there"
_A_USABLE_ONE = "a server, role and database that are there, and rights on it"
# What libpq or the server says before there is a session, without an SQLSTATE: a pattern of its fixed words,
# what they mean, and what to do about it where it does not pass by itself. Of several addresses, what a server has
# answered counts before one where nobody did.
_KNOWN: tuple[tuple[str, str, str | None], ...] = (
    (
        "no pg_hba.conf entry|pg_hba.conf rejects",
        "the server's pg_hba.conf lets nobody in as this role from here",
        "an entry for it there, or the sslmode that its entries ask for",
    ),
    (
        "authentication failed|no password supplied",
        "the server does not take this role and password (failed authentication)",
        "the password that the server knows for the role",
    ),
    (
        'database ".*" does not exist|no such database',
        "the server has no such database",
        "one that is there (CREATE DATABASE)",
    ),
    ('role ".*" does not exist|no such user', "the server has no such role", "one that is there (CREATE ROLE)"),
    ("not permitted to log in", "the role may not log in", "a role with LOGIN"),
    (
        "permission denied for database",
        "the role may not connect to this database",
        "GRANT CONNECT ON DATABASE for it",
    ),
    (
        "certificate verify failed|server certificate for|root certificate|SSL was required",
        "the server has not proved who it is by TLS",
        "sslmode and sslrootcert in the URL that fit the server's certificate",
    ),
    (
        'database ".*" is not currently accepting connections',
        "the server lets nobody into this database",
        "ALTER DATABASE ... ALLOW_CONNECTIONS true, or another database",
    ),
    ('value: "', "an option in the URL has a value that libpq does not know", "one that it knows"),
    ("does not exist", "something that the URL names does not exist", _A_USABLE_ONE),
    ("session is read-only|server is in hot standby mode", _ON_A_STANDBY, None),
    ("too many (clients|connections)|connection slots", "the server takes no more connections now", None),
    ("starting up|shutting down|recovery|not (yet )?accepting", "the server takes no connections now", None),
    ("failed to resolve host|could not translate host", "the host's name has no address (an unknown host)", None),
    ("Connection refused", "nobody listens at its host and port (connection refused)", None),
    ("Network is unreachable|No route to host", "there is no way to its host from here (no route)", None),
    ("closed the connection unexpectedly|Connection reset", "the server broke the connection off", None),
    ("No such file or directory", "there is no such socket (is the server running?)", None),
    ("timeout expired", "no answer came within database.connect_timeout_seconds", None),
)


def _translate_libpq(error: BaseException | None, what: str, url: URL) -> PimaError:
    """An error from before there was a session, from after the connection broke, or of the driver's own."""
    if isinstance(error, DataError):
        what = (
            "a value is none that Python has, such as a time of 24:00 or an interval of a million years; leave it out"
        )
        return DatabaseFailed(what=f"{what} by a view")
    # A server that speaks another language is understood by what libpq says itself, and is otherwise tried again.
    for words, known, expected in _KNOWN:
        if re.search(words, str(error)):
            if expected is not None:
                return DatabaseUnusable(what=known, expected=expected, url=redacted(url))
            return DatabaseAway(what=f"{known}: {redacted(url)}")
    if type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError"):
        return DatabaseAway(what=f"{type(error).__name__} without an SQLSTATE: {redacted(url)}")
    return DatabaseFailed(what=what)
