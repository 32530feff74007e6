"""A driver's error -> one of ours: the code's name. Its text is dropped, since it can hold a value."""

import re
import sqlite3

from sqlalchemy.engine import URL

from pima.errors import DatabaseBusy, DatabaseDamaged, DatabaseFailed, DatabaseFull, DatabaseUnusable, PimaError
from pima.store.urls import redacted

# Primary codes of https://sqlite.org/rescode.html: Python has no name for some of the extended ones.
_NAMES = {
    3: "SQLITE_PERM",
    5: "SQLITE_BUSY",
    6: "SQLITE_LOCKED",
    8: "SQLITE_READONLY",
    11: "SQLITE_CORRUPT",
    13: "SQLITE_FULL",
    14: "SQLITE_CANTOPEN",
    15: "SQLITE_PROTOCOL",
    17: "SQLITE_SCHEMA",
    19: "SQLITE_CONSTRAINT",
    23: "SQLITE_AUTH",
    26: "SQLITE_NOTADB",
}
_BUSY = {
    "SQLITE_BUSY": "a lock on the file that another process holds, for longer than the time limit",
    "SQLITE_LOCKED": "a table that is being read is to be changed",
    "SQLITE_PROTOCOL": "others come and go in the file too fast",
    "SQLITE_SCHEMA": "another process changed the tables meanwhile",
}
_IOERR_WRITE = 778
"""An extended code: where a file's size is limited, or no more than a part of a page found room."""


# SQLite's own sentences, which name columns and no values; a CHECK's has its text, and a trigger's whatever it says.
_BROKEN_BY = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)")
_COLUMNS_NAMED = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL,
}


def translated(error: BaseException | None, url: URL) -> PimaError:
    """What sqlite3's error is called here."""
    code = getattr(error, "sqlite_errorcode", None)
    name = (
        type(error).__name__
        if code is None
        else _NAMES.get(code & 0xFF, getattr(error, "sqlite_errorname", "an error"))
    )
    if code is None and "Could not decode to UTF-8" in str(error):
        return DatabaseFailed(what="a text is not UTF-8", expected="texts in UTF-8")
    if name == "SQLITE_FULL" or code == _IOERR_WRITE:
        return DatabaseFull(what=name)
    if name == "SQLITE_CORRUPT":
        return DatabaseDamaged(what=name)
    named = _BROKEN_BY.fullmatch(str(error)) if code in _COLUMNS_NAMED else None
    what = f"SQLite says {name}" + (f" of {named[1]}" if named else "")
    if name in _BUSY:
        return DatabaseBusy(what=f"{_BUSY[name]}; {what}")
    if name in ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_AUTH", "SQLITE_PERM"):
        expected = "a SQLite file that this process may read and write, in a folder where it may too"
        if name == "SQLITE_NOTADB":
            expected += "; where it was one, it is damaged: restore a backup (docs/operations.md)"
        return DatabaseUnusable(what=what, expected=expected, url=redacted(url))
    return DatabaseFailed(what=what)


def is_refusal(error: BaseException | None) -> bool:
    """A constraint, or RAISE in a trigger, which says the same."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CONSTRAINT


def contested(_error: BaseException | None) -> str | None:
    """Nothing: there is one writer at a time."""
    return None
