"""When people are told of what: of a condition that comes or has another reason at once, of one
that holds once a day, and of one that is over once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pima.settings.sections import AlertsSettings
from pima.store.service.alerts import Sent
from pima.watch.alerts import receivers
from pima.watch.health import Condition
from pima.watch.news import News, pending

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
HOLDS = Condition("score_failed", "the last run failed", "look", "source_away")
OTHERWISE = replace(HOLDS, cause="source_unusable")
HAPPENED = Condition(
    "champion_changed:7", "version 2 is the champion", "look", happened_at=NOW - 3 * HOUR
)


def _known(
    told: timedelta | None,
    *,
    is_open: bool = True,
    claimed: timedelta | None = None,
    name: str = HOLDS.name,
) -> Sent:
    """Of a condition that was first seen two days ago and told of so long ago; claimed until then
    from now."""
    told_at = None if told is None else NOW - told
    until = None if claimed is None else NOW + claimed
    return Sent(name, NOW - 48 * HOUR, told_at, is_open, until, HOLDS.cause)


@pytest.mark.parametrize(
    ("known", "since"),
    [
        pytest.param(None, NOW, id="never seen"),
        pytest.param(_known(None, is_open=False), NOW - 48 * HOUR, id="seen, and not taken yet"),
        pytest.param(
            _known(24 * HOUR - MINUTE), NOW - 48 * HOUR, id="told a day ago, at the end of the look"
        ),
        pytest.param(
            _known(24 * HOUR, claimed=-HOUR), NOW - 48 * HOUR, id="claimed by somebody who is gone"
        ),
        pytest.param(_known(23 * HOUR - MINUTE), None, id="told today"),
        pytest.param(
            replace(_known(23 * HOUR), cause="other"),
            NOW - 48 * HOUR,
            id="told today of another cause",
        ),
        pytest.param(_known(24 * HOUR, claimed=HOUR), None, id="claimed"),
    ],
)
def test_what_holds_is_told_once_a_day(known: Sent | None, since: datetime | None) -> None:
    alerts, forgotten = pending([HOLDS], [known] if known else [], NOW)
    assert [(each.kind, each.since) for each in alerts] == ([(News.HOLDS, since)] if since else [])
    assert forgotten == []


@pytest.mark.parametrize(
    ("known", "over", "forgotten"),
    [
        pytest.param(_known(23 * HOUR), True, False, id="told today"),
        pytest.param(_known(90 * HOUR), True, False, id="told long ago"),
        pytest.param(_known(23 * HOUR, claimed=HOUR), False, False, id="claimed"),
        pytest.param(_known(HOUR, is_open=False), False, True, id="happened, and told"),
        pytest.param(_known(None, is_open=False), False, True, id="over before it was taken"),
        pytest.param(
            _known(None, is_open=False, claimed=HOUR), False, False, id="claimed and not taken"
        ),
    ],
)
def test_what_is_over_is_told_once_to_whoever_was_told_that_it_held(
    known: Sent, over: bool, forgotten: bool
) -> None:
    alerts, names = pending([], [known], NOW)
    assert [each.kind for each in alerts] == ([News.OVER] if over else [])
    assert names == ([HOLDS.name] if forgotten else [])


def test_what_has_happened_is_told_once_and_is_never_over() -> None:
    (told,), _ = pending([HAPPENED], [], NOW)
    assert (told.kind, told.since) == (News.HAPPENED, HAPPENED.happened_at)
    known = _known(100 * HOUR, is_open=False, name=HAPPENED.name)
    assert pending([HAPPENED], [known], NOW) == ([], [])
    assert pending([], [known], NOW) == ([], [HAPPENED.name])


def test_receivers_stand_a_line_each() -> None:
    urls = "\n# the one on call\n  json://a\r\n\nmailtos://b:c@example.org \n"
    assert receivers(AlertsSettings(urls)) == ["json://a", "mailtos://b:c@example.org"]
    assert receivers(AlertsSettings()) == []
