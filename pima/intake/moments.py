"""Moments as cells tell them: when an outcome became known, and from when on it was waited for.

A day is read as its last moment. So an outcome of a day comes after a prediction of the same day,
and a horizon that runs from a day ends with the last moment of another.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pima.core.outcomes.horizon import DAY_LENGTHS_MS
from pima.core.rows.mapping import Moments
from pima.store.database import EARLIEST, since_1970

_READABLE = {datetime, date, str, NoneType}
_UNREADABLE = -(2**63)
_LAST_OF_DAY = time(23, 59, 59, 999_000, fold=1)
"""The second time, where clocks go back at midnight."""


def moments(column: Sequence[Any], zone: ZoneInfo, now: datetime | None = None) -> Moments:
    """Read the times and days of a column as the driver or a file gives it; `zone` is that of those
    without one. What comes after `now` lies in the future."""
    none = np.zeros(len(column), bool)
    others = set(map(type, column)) - _READABLE
    if others:
        nothing = pd.Series([pd.NA] * len(column), dtype="Int64")
        return Moments(nothing, none, none, none, min(kind.__name__ for kind in others))
    # Many rows share few times or days.
    known = {value: _first_and_last(value, zone) for value in set(column)}
    first, last = (
        pd.Series([known[value][end] for value in column], dtype="Int64") for end in (0, 1)
    )
    unreadable = (last == _UNREADABLE).fillna(False).to_numpy(bool)
    read = last.mask(unreadable)
    if now is None:
        return Moments(read, unreadable, none, none)
    to_come = (first > since_1970(now)).fillna(False).to_numpy(bool)
    is_over = (last <= since_1970(now)).fillna(True).to_numpy(bool)
    return Moments(read, unreadable, to_come, ~to_come & ~is_over)


def says_no_time(text: str) -> bool:
    """Whether a text is blank, or MySQL's zero date, which stands for a time that is not known."""
    # Of 30,000 rows 24,145 had one: the columns of a clinic's table were made NOT NULL.
    return text.strip()[:10] in ("", "0000-00-00")


def _first_and_last(
    value: datetime | date | str | None, zone: ZoneInfo
) -> tuple[int | None, int | None]:
    if value is None or (isinstance(value, str) and says_no_time(value)):
        return None, None
    try:
        if isinstance(value, str):
            value = _time_or_day(value.strip())
        if isinstance(value, datetime):
            if not value.tzinfo:
                value = value.replace(tzinfo=zone)
            first = last = since_1970(value)
        else:
            first = since_1970(datetime.combine(value, time(), zone))
            last = since_1970(datetime.combine(value, _LAST_OF_DAY, zone))
            if last + 1 - first in DAY_LENGTHS_MS:
                last -= DAY_LENGTHS_MS.index(last + 1 - first)
    except (ValueError, OverflowError):  # no time, or one that UTC can't express
        return _UNREADABLE, _UNREADABLE
    if first < since_1970(EARLIEST):
        return _UNREADABLE, _UNREADABLE
    return first, last


def _time_or_day(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
