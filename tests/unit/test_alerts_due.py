"""Which receiver is told of what, and when: once a day and condition, and once when it is over."""

from datetime import UTC, datetime, timedelta

import pytest

from pima.alerting.due import Condition, Kind, due
from pima.alerting.telling import receivers
from pima.settings import AlertsSettings
from pima.store.alerts import Remembered

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOLDS = Condition("score_failed", "the last run failed", "look")
HAPPENED = Condition("champion_changed:7", "version 2 is the champion", "look", NOW - 3 * HOUR)


def _known(
    told: timedelta | None, *, is_open: bool = True, claimed: timedelta | None = None, name: str = HOLDS.name
) -> Remembered:
    """Of a condition that was first seen two days ago and told of so long ago; claimed until then from now."""
    told_at = None if told is None else NOW - told
    return Remembered(name, NOW - 48 * HOUR, told_at, is_open, None if claimed is None else NOW + claimed)


@pytest.mark.parametrize(
    ("known", "since"),
    [
        pytest.param(None, NOW, id="never seen"),
        pytest.param(_known(None, is_open=False), NOW - 48 * HOUR, id="seen, and not taken yet"),
        pytest.param(_known(24 * HOUR), NOW - 48 * HOUR, id="told a day ago"),
        pytest.param(_known(24 * HOUR, claimed=-HOUR), NOW - 48 * HOUR, id="claimed by somebody who is gone"),
        pytest.param(_known(30 * HOUR, is_open=False), NOW, id="was over, and came again"),
        pytest.param(_known(23 * HOUR), None, id="told today"),
        pytest.param(_known(2 * HOUR, is_open=False), None, id="was over, and came again on the same day"),
        pytest.param(_known(24 * HOUR, claimed=HOUR), None, id="claimed"),
    ],
)
def test_what_holds_is_told_once_a_day(known: Remembered | None, since: datetime | None) -> None:
    found = due([HOLDS], [known] if known else [], NOW)
    assert [(each.kind, each.since) for each in found.alerts] == ([(Kind.HOLDS, since)] if since else [])
    assert found.forget == []


@pytest.mark.parametrize(
    ("known", "over", "forgotten"),
    [
        pytest.param(_known(23 * HOUR), True, False, id="told today"),
        pytest.param(_known(90 * HOUR), True, False, id="told long ago"),
        pytest.param(_known(23 * HOUR, claimed=HOUR), False, False, id="claimed"),
        pytest.param(_known(23 * HOUR, is_open=False), False, False, id="over today"),
        pytest.param(_known(24 * HOUR, is_open=False), False, True, id="over, and told a day ago"),
        pytest.param(_known(None, is_open=False), False, True, id="over before it was taken"),
        pytest.param(_known(None, is_open=False, claimed=HOUR), False, False, id="claimed and not taken"),
    ],
)
def test_what_is_over_is_told_once_to_whoever_was_told_that_it_held(
    known: Remembered, over: bool, forgotten: bool
) -> None:
    found = due([], [known], NOW)
    assert [each.kind for each in found.alerts] == ([Kind.OVER] if over else [])
    assert found.forget == ([HOLDS.name] if forgotten else [])


def test_what_has_happened_is_told_once_and_is_never_over() -> None:
    (told,) = due([HAPPENED], [], NOW).alerts
    assert (told.kind, told.since) == (Kind.HAPPENED, HAPPENED.happened_at)
    known = _known(100 * HOUR, is_open=False, name=HAPPENED.name)
    assert due([HAPPENED], [known], NOW).alerts == []
    assert due([], [known], NOW).alerts == []
    assert due([], [known], NOW).forget == [HAPPENED.name]


def test_receivers_stand_a_line_each() -> None:
    urls = "\n# the one on call\n  json://a\r\n\nmailtos://b:c@example.org \n"
    assert receivers(AlertsSettings(urls)) == ["json://a", "mailtos://b:c@example.org"]
    assert receivers(AlertsSettings()) == []
