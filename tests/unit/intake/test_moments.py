"""When an outcome became known, or was waited for from: what drivers give for it, as milliseconds."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pima.intake.moments import moments

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 5, 8, 30, tzinfo=UTC), "2026-01-05T08:30Z"),
        (datetime(2026, 1, 5, 8, 30, tzinfo=timezone(timedelta(hours=-5))), "2026-01-05T13:30Z"),
        (datetime(2026, 1, 5, 8, 30), "2026-01-05T07:30Z"),  # noqa: DTZ001
        (datetime(2026, 5, 5, 8, 30), "2026-05-05T06:30Z"),  # noqa: DTZ001
        (date(2026, 1, 5), "2026-01-05T22:59:59.999Z"),
        (date(1900, 1, 2), "1900-01-02T22:59:59.999Z"),
        # Of 25 hours, and of 23.
        (date(2025, 10, 26), "2025-10-26T22:59:59.998Z"),
        (date(2026, 3, 29), "2026-03-29T21:59:59.997Z"),
        # The hour that there is twice, the first time; and the one that there is not.
        (datetime(2025, 10, 26, 2, 30), "2025-10-26T00:30Z"),  # noqa: DTZ001
        (datetime(2026, 3, 29, 2, 30), "2026-03-29T01:30Z"),  # noqa: DTZ001
        ("2026-01-05", "2026-01-05T22:59:59.999Z"),
        (" 2026-01-05 08:30:00.5 ", "2026-01-05T07:30:00.5Z"),
        ("2026-01-05T08:30:00Z", "2026-01-05T08:30Z"),
        ("2026-01-05T08:30:00+05:30", "2026-01-05T03:00Z"),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_one_moment(value: object, expected: str) -> None:
    found = moments([value], ZURICH, NOW)
    assert found.milliseconds.tolist() == [_ms(expected)]
    assert (found.unreadable.any(), found.to_come.any(), found.wrong_type) == (False, False, None)


NO_TIMES = (
    "yesterday",
    "05.01.2026",
    "2026-13-01",
    "2026-01-00",
    "1700000000",
    "45991",
    "1899-12-31T23:59:59Z",
    date(1900, 1, 1),
)


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_is_no_time_or_before_1900_is_told(value: object) -> None:
    found = moments([value, "2026-01-05T00:00Z"], ZURICH, NOW)
    assert found.unreadable.tolist() == [True, False]
    assert found.milliseconds.fillna(0).tolist() == [0, _ms("2026-01-05T00:00Z")]


@pytest.mark.parametrize(
    "value", [None, "", "  ", "0000-00-00", " 0000-00-00 00:00:00 ", "0000-00-00 00:00:00.000000"]
)
def test_what_is_not_said_is_not_known(value: object) -> None:
    found = moments([value], ZURICH, NOW)
    assert found.milliseconds.isna().all()
    assert (found.unreadable.any(), found.to_come.any()) == (False, False)


def test_the_first_and_the_last_moment_that_there_are_stop_nothing() -> None:
    ends: list[Any] = [
        date.min,
        date.max,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    found = moments(ends, ZoneInfo("Asia/Tokyo"), NOW)
    assert found.unreadable.tolist() == [True, False, True, False]
    assert found.to_come.tolist() == [False, True, False, True]


def test_what_is_to_come_is_told_to_the_millisecond() -> None:
    column = [NOW, NOW + timedelta(milliseconds=1), date(2026, 6, 1), date(2026, 6, 2)]
    found = moments(column, ZURICH, NOW)
    assert found.to_come.tolist() == [False, True, False, True]
    assert found.is_today.tolist() == [False, False, True, False]


@pytest.mark.parametrize("value", [7, 1.5, True, b"2026-01-05"])
def test_another_type_is_named(value: object) -> None:
    assert moments([None, value], ZURICH, NOW).wrong_type == type(value).__name__
