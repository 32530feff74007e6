"""When jobs are due, above all on the two days of the year when a clock is changed."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pima.errors import WrongConfiguration
from pima.runs.ticks import Schedule, next_ticks
from pima.settings.sections import ScheduleSettings

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        *(
            ("0 3 * * 1-5", "UTC"),
            ("0 3 * * someday", "UTC"),
            ("0 3 * *", "UTC"),
            ("", "UTC"),
            ("61 3 * * *", "UTC"),
        ),
        *(
            ("0 3 * * sun-mon", "UTC"),
            ("0 3 * * *", "Mars/Olympus"),
            ("0 3 * * *", "/etc/passwd"),
            ("0 3 * * *", ""),
        ),
    ],
)
def test_a_schedule_that_can_not_be_meant_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(
        WrongConfiguration, match=f"schedule '{re.escape(expression)}' in time zone '{zone}'"
    ):
        Schedule(expression, zone)


def test_the_next_ticks_of_the_default_schedule() -> None:
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert next_ticks(ScheduleSettings(), saturday) == {
        "score": datetime(2026, 11, 29, 2, 15, tzinfo=UTC),
        "retrain": datetime(2026, 11, 29, 3, tzinfo=UTC),
    }


# (zone, a nightly time that the clock jumps over or shows twice, the moment it runs)
CHANGES = [
    ("Europe/Berlin", "30 2 * * *", "2026-03-29T01:30Z"),
    ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30Z"),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T15:45Z"),  # half an hour only
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T14:45Z"),
]


@pytest.mark.parametrize(("zone", "expression", "moment"), CHANGES)
def test_a_nightly_job_runs_once_on_the_day_of_a_clock_change(
    zone: str, expression: str, moment: str
) -> None:
    schedule = Schedule(expression, zone)
    runs_at = datetime.fromisoformat(moment)
    noon = runs_at.replace(hour=12, minute=0)
    ticks = schedule.between(noon - timedelta(days=2), noon + timedelta(days=1))
    assert ticks.count(runs_at) == 1
    assert len(ticks) == 3


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        *(("*/15 * * * *", zone) for zone in ZONES),
        ("*/30 */1 * * *", ZONES[0]),
        ("0,30 0-23 * * *", ZONES[2]),
    ],
)
def test_a_rhythm_within_the_hour_goes_on_evenly_across_both_clock_changes(
    zone: str, expression: str
) -> None:
    schedule = Schedule(expression, zone)
    ticks = schedule.between(*YEAR)
    (gap,) = {later - earlier for earlier, later in pairwise(ticks)}
    assert len(ticks) == timedelta(days=365) / gap


# (zone, an hourly time, the day of a change, its ticks around the change, UTC)
HOURLY = [
    # 02:30 comes twice.
    ("Europe/Berlin", "30 * * * *", "2025-10-25", ["23:30", "00:30", "01:30", "02:30"]),
    # 02:30 is jumped over: 03:30 is its own tick, and one alone.
    ("Europe/Berlin", "30 * * * *", "2026-03-28", ["23:30", "00:30", "01:30", "02:30"]),
    # Half an hour: 01:40 comes twice; 02:10 is jumped over, and 02:40 is not.
    ("Australia/Lord_Howe", "40 * * * *", "2026-04-04", ["13:40", "14:40", "15:10", "16:10"]),
    ("Australia/Lord_Howe", "10 * * * *", "2026-10-03", ["13:40", "14:40", "16:10", "17:10"]),
    ("Australia/Lord_Howe", "40 * * * *", "2026-10-03", ["14:10", "15:10", "15:40", "16:40"]),
]


@pytest.mark.parametrize(("zone", "expression", "day", "times"), HOURLY)
def test_an_hourly_job_runs_whenever_the_clock_shows_its_time(
    zone: str, expression: str, day: str, times: list[str]
) -> None:
    first = datetime.fromisoformat(f"{day}T{times[0]}Z")
    expected = [first]
    for time in times[1:]:
        tick = datetime.fromisoformat(f"{day}T{time}Z")
        expected.append(tick if tick > first else tick + timedelta(days=1))
    schedule = Schedule(expression, zone)
    assert schedule.between(first - timedelta(seconds=1), expected[-1]) == expected
    walked = first
    for tick in expected[1:]:
        walked = schedule.next(walked) or first
        assert walked == tick


@pytest.mark.parametrize("expression", ["*/15 2 * * *", "30 0-22 * * *", "30 1-23 * * *"])
def test_where_an_hour_has_no_ticks_they_come_once(expression: str) -> None:
    schedule = Schedule(expression, "Europe/Berlin")
    change = datetime(
        2025, 10, 26, 1, tzinfo=UTC
    )  # from when on the clock shows 02:00 to 03:00 a second time
    assert schedule.between(change, change + timedelta(minutes=59)) == []


@pytest.mark.parametrize("zone", [*ZONES, "Asia/Kathmandu"])
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 3 * * sun", "15 1,2,3 * * *", "0 */2 * * *", "0 0 1 * *"]
)
def test_going_from_tick_to_tick_meets_each_tick_of_the_year_once(
    zone: str, expression: str
) -> None:
    schedule = Schedule(expression, zone)
    whole = schedule.between(*YEAR)
    met, tick = [], schedule.next(YEAR[0])
    while tick is not None and tick <= YEAR[1]:
        met.append(tick)
        tick = schedule.next(tick)
    assert met == whole
    assert len(set(whole)) == len(whole)
    if expression == "30 2 * * *":
        assert len(whole) == 365
    for index in range(0, len(whole) - 1, 1 + len(whole) // 40):
        assert schedule.newest(YEAR[0], whole[index], 1) == [whole[index]]
        assert schedule.newest(YEAR[0], whole[index + 1] - timedelta(seconds=1), 1) == [
            whole[index]
        ]


def test_the_newest_ticks_are_found_without_walking_over_all() -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    every_second = Schedule("* * * * * *", "Europe/Berlin")
    assert every_second.newest(now - timedelta(days=400), now, 3) == [
        now - timedelta(seconds=n) for n in (2, 1, 0)
    ]
    assert every_second.next(now) == now + timedelta(seconds=1)
    yearly = Schedule("0 0 1 1 *", "UTC")
    assert yearly.newest(now - timedelta(days=1000), now, 5) == [
        datetime(n, 1, 1, tzinfo=UTC) for n in (2024, 2025, 2026)
    ]
    assert yearly.newest(now - timedelta(days=5), now, 5) == []


def test_a_schedule_that_never_comes_true_again() -> None:
    assert Schedule("0 0 30 2 *", "UTC").next(YEAR[0]) is None
    assert Schedule("0 0 30 2 *", "UTC").newest(*YEAR, 1) == []
