"""Translation of a driver's error into one of pima's, by class, SQLSTATE and names. After a session
has begun, the error's text is dropped, since its DETAIL line can hold the row."""

import re

from psycopg import DataError, InterfaceError, OperationalError
from psycopg.errors import ConnectionTimeout
from sqlalchemy.engine import URL

from pima.errors import (
    DatabaseAway,
    DatabaseBusy,
    DatabaseFailed,
    DatabaseFull,
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
"""The meaning of SQLSTATEs by their beginning, the longest first."""
# The server function that refuses SET TRANSACTION READ WRITE on a standby.
_REFUSES_A_SETTING = "call_bool_check_hook"
_ON_A_STANDBY = (
    "the server is a standby, which takes no writes until it is promoted (the primary's address is "
    "needed, or both with target_session_attrs=read-write)"
)
_AWAY = ("08", "53", "57P")
_UNUSABLE = ("28", "3D", "3F")
_A_USABLE_ONE = (
    "a server, role and database that are there, a schema in its search_path, and rights on them"
)


def translated(error: BaseException | None, url: URL) -> PimaError:
    """Translate psycopg's error into one of pima's."""
    state = getattr(error, "sqlstate", None)
    diagnostics = getattr(error, "diag", None)
    what = f"{type(error).__name__} (SQLSTATE {state or 'none'})"
    if state is None:
        return _translate_libpq(error, what, url)
    # A function that raises errors may put a row's values into the fields for names.
    is_servers = getattr(diagnostics, "source_function", None) != _RAISED_BY_A_FUNCTION
    names = ("table_name", "column_name", "constraint_name") if is_servers else ()
    what = " ".join([what, *filter(None, (getattr(diagnostics, name, None) for name in names))])
    if (
        why := next((why for begins, why in _BUSY.items() if state.startswith(begins)), None)
    ) is not None:
        return DatabaseBusy(what=f"{why}; {what}")
    if state == "0A000" and getattr(diagnostics, "source_function", None) == _REFUSES_A_SETTING:
        return DatabaseAway(what=f"{_ON_A_STANDBY}: {redacted(url)}")
    if state == "53100":
        return DatabaseFull(what=what)
    if state.startswith(_AWAY):
        return DatabaseAway(what=what)
    if state == "42501":
        return RightMissing(
            role=url.username or "of this session", what=_refused_object(diagnostics)
        )
    if state.startswith(_UNUSABLE):
        return DatabaseUnusable(what=what, expected=_A_USABLE_ONE, url=redacted(url))
    return DatabaseFailed(what=what)


_CONTESTED = {
    "40001": "another transaction has changed some, and this one can't go on beside it",
    "40P01": "this and another transaction waited for each other",
    "55P03": "another transaction holds some",
}
# Constraints that two transactions may violate together for a moment; any other violation is
# permanent.
_OURS = {
    "pk_patients",
    "ix_patients_source_source_key",
    "pk_row_keys",
    "uq_row_keys_source_source_key",
    "pk_scoring_queue",
}


def contested(error: BaseException | None) -> str | None:
    """Say what another transaction does to the same rows; None for any other error."""
    state = str(getattr(error, "sqlstate", None))
    if state == "23505" and getattr(getattr(error, "diag", None), "constraint_name", None) in _OURS:
        return "another transaction has just written one of the same id or key"
    return _CONTESTED.get(state)


# The server's own sentence, if its messages are in English. A trigger may raise the same SQLSTATE
# with its own words, but from another function of the server.
_DENIED_BY = ("aclcheck_error", "nextval_internal", "do_setval")
_DENIED = re.compile(
    r"permission denied for ((?:materialized |foreign )?(?:table|view|sequence|schema|function) .+)"
)


def _refused_object(diagnostics: object) -> str:
    is_servers = getattr(diagnostics, "source_function", None) in _DENIED_BY
    found = _DENIED.fullmatch(str(getattr(diagnostics, "message_primary", None)))
    if found and is_servers:
        return f"the {found[1]}"
    return "something that the server's log names"


# Messages before a session, without an SQLSTATE, that waiting does not cure. If the server's
# messages are in another language, the connection is tried again.
_FOR_GOOD = re.compile(
    "no pg_hba.conf entry|pg_hba.conf rejects|authentication failed|no password supplied|does not "
    "exist"
    "|no such (database|user)|not permitted to log in|permission denied for database|SSL was "
    "required"
    "|certificate verify failed|server certificate for|root certificate|is not currently "
    "accepting connections"
    '|value:? "|definition of service'
)
_AN_OPTIONS_VALUE = re.compile(r'value:? ".*?"')


def _translate_libpq(error: BaseException | None, what: str, url: URL) -> PimaError:
    """Translate an error from before the session, from after the connection broke, or of the driver
    itself."""
    if isinstance(error, DataError):
        what = (
            "Python has no such value, such as a time of 24:00 or an interval of a million years; "
            "leave it out"
        )
        return DatabaseFailed(what=f"{what} by a view")
    if not isinstance(error, OperationalError | InterfaceError):
        return DatabaseFailed(what=what)
    text = " ".join(str(error).split())
    # Before the session begins, no message can hold a row's values.
    is_early = (
        error.pgconn is not None or isinstance(error, ConnectionTimeout) or "resolve host" in text
    )
    said = (
        _AN_OPTIONS_VALUE.sub("value", text)
        if is_early
        else f"{type(error).__name__} without an SQLSTATE"
    )
    if is_early and _FOR_GOOD.search(text):
        return DatabaseUnusable(what=said, expected=_A_USABLE_ONE, url=redacted(url))
    return DatabaseAway(what=f"{said}: {redacted(url)}")
