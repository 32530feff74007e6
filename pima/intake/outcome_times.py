"""When outcomes became known, as a source's column of times or days says it, in milliseconds.

What has no zone is read in the source's own one, a day as its beginning.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pima.core.mapping import NO_MOMENT, Moments

_READABLE = {datetime, date, str, NoneType}
_UNREADABLE = NO_MOMENT + 1


def moments(column: Sequence[Any], zone: ZoneInfo, now: datetime) -> Moments:
    """Of a column as the driver gives it; what is after `now` lies in the future."""
    others = set(map(type, column)) - _READABLE
    if others:
        nothing, none = np.full(len(column), NO_MOMENT), np.zeros(len(column), bool)
        return Moments(nothing, none, none, min(kind.__name__ for kind in others))
    # Few days stand in many rows.
    known = {value: _milliseconds(value, zone) for value in set(column)}
    read = np.array([known[value] for value in column], dtype=np.int64)
    unreadable, to_come = read == _UNREADABLE, read > _since_1970(now)
    return Moments(np.where(unreadable, NO_MOMENT, read), unreadable, to_come)


def _milliseconds(value: datetime | date | str | None, zone: ZoneInfo) -> int:
    if value is None or (isinstance(value, str) and not value.strip()):
        return NO_MOMENT
    try:
        found = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        moment = found if isinstance(found, datetime) else datetime.combine(found, time())
        return _since_1970(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):  # no time, or none without its zone
        return _UNREADABLE


def _since_1970(moment: datetime) -> int:
    return (moment - _1970) // timedelta(milliseconds=1)


_1970 = datetime(1970, 1, 1, tzinfo=UTC)
