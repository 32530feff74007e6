"""What a source's server knows and the driver does not: types of its own, and times beyond all years of Python.

One such time is no reason to read none of the others.
"""

from datetime import UTC, date, datetime
from typing import Any

from psycopg import Connection, DataError, adapters
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

_UNKNOWN = 0
"""In the place of a type's number."""
TOO_EARLY = "-infinity"
"""Stands for what is before all times of Python; a text, since it is none of them."""
_END = datetime.max.replace(tzinfo=UTC)
_TOO_LATE = {"date": _END.date(), "timestamp": _END.replace(tzinfo=None), "timestamptz": _END}
"""By type: stands for what is after all of them."""


def take_all_values(connection: Connection[Any]) -> None:
    """Let this connection read times of all years, and enumerations and the like as their texts."""
    connection.adapters.register_loader(_UNKNOWN, OfAnotherType)
    for name, too_late in _TOO_LATE.items():
        for written in (Format.TEXT, Format.BINARY):
            usual = adapters.get_loader(adapters.types[name].oid, written)
            connection.adapters.register_loader(name, _loader(usual, too_late, written))


class OfAnotherType(Loader):
    """Binary, a type that is a text to its server is one: an enumeration, or citext. Others stay bytes."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str | bytes:
        """A text, where it is one."""
        found = bytes(data)
        try:
            return found if b"\0" in found else found.decode()
        except UnicodeDecodeError:
            return found


def _loader(usual: Any, too_late: date, written: Format) -> type[Loader]:
    class AllTimes(Loader):
        format = written

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = usual(oid, context).load

        def load(self, data: Buffer) -> Any:
            try:
                return self._load(data)
            except DataError:
                return TOO_EARLY if _is_early(bytes(data)) else too_late

    def _is_early(data: bytes) -> bool:
        # Binary it is a number of microseconds or days from the year 2000 on.
        return data[0] > 127 if written is Format.BINARY else data.startswith(b"-") or data.endswith(b"BC")

    return AllTimes
