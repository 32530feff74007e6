"""How much of a source is compared, and from which time of change on."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pima.intake.sources.extent import ChangedSince, Mark, change_mark, extent_of
from pima.store.service.sources import LastPull

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PLAIN = NOON.replace(tzinfo=None)
LAST = LastPull("as it was", NOON.isoformat(), NOON - timedelta(days=2))
NOW = NOON + timedelta(hours=1)


def test_what_has_changed_is_enough_where_all_is_as_it_was() -> None:
    assert extent_of(LAST, "as it was", NOW, Mark(NOW), asked_for_all=False) == ChangedSince(
        NOON - timedelta(minutes=15)
    )


@pytest.mark.parametrize(
    ("value", "kept", "bound"),
    [
        (NOON, "2026-03-10T12:00:00+00:00", NOON - timedelta(minutes=15)),
        (PLAIN, "2026-03-10T12:00:00", PLAIN - timedelta(hours=2)),
        (date(2026, 3, 10), "2026-03-10", date(2026, 3, 9)),
        ("2026-03-10", "2026-03-10", "2026-03-09"),
        ("2026-03-10T12:00:00Z", "2026-03-10", "2026-03-09"),
        ("2026-03-10 12:00:00.5+01:00", "2026-03-10", "2026-03-09"),
    ],
)
def test_some_time_before_the_mark_is_read_again(value: object, kept: str, bound: object) -> None:
    mark = change_mark(value)
    assert mark is not None
    later = NOON + timedelta(days=2)
    assert mark.kept(later) == kept
    assert mark.bound_after(kept, later) == bound


@pytest.mark.parametrize(
    ("mark", "kept", "bound"),
    [
        (Mark(NOW), NOON.isoformat(), NOON - timedelta(minutes=15)),
        (Mark(NOW + timedelta(days=300)), NOON.isoformat(), NOON - timedelta(minutes=15)),
        (Mark(PLAIN), "2026-03-10T00:00:00", PLAIN - timedelta(hours=14)),
        (Mark(PLAIN + timedelta(hours=10)), "2026-03-10T00:00:00", PLAIN - timedelta(hours=14)),
        (Mark(date(2026, 3, 11)), "2026-03-10", date(2026, 3, 9)),
        (Mark(date(2026, 3, 11), is_text=True), "2026-03-10", "2026-03-09"),
    ],
)
def test_what_may_be_still_to_come_where_the_source_is_hides_nothing_of_the_present(
    mark: Mark, kept: str, bound: object
) -> None:
    assert mark.kept(NOON) == kept
    assert mark.bound_after(kept, NOW) == bound
    # Our clock was ahead when that was put down.
    assert mark.bound_after(kept, NOON - timedelta(days=1)) is None


@pytest.mark.parametrize(
    "value", [7, 7.5, None, True, "", "yesterday", "10.03.2026", "2026-13-45", "20260310"]
)
def test_what_is_no_time_is_no_mark(value: object) -> None:
    assert change_mark(value) is None


@pytest.mark.parametrize("unset", [datetime(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC), date(1, 1, 1)])  # noqa: DTZ001
def test_a_source_whose_newest_change_has_no_time_is_compared_whole(unset: datetime | date) -> None:
    mark = Mark(unset)
    assert mark.bound_after(mark.kept(NOW), NOW) is None
