"""Which receiver is told of what, and when: of a condition that comes or has another reason at
once, of one that holds once a day, of one that is over once, and of one that comes and goes only so
often."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pima.settings.sections import AlertsSettings
from pima.store.service.alerts import Remembered
from pima.watch.alerts import receivers
from pima.watch.health import Condition
from pima.watch.news import News, once_taken, pending

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
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
) -> Remembered:
    """Of a condition that was first seen two days ago and told of so long ago; claimed until then
    from now."""
    told_at = None if told is None else NOW - told
    until = None if claimed is None else NOW + claimed
    lately = () if told_at is None else (told_at,)
    return Remembered(name, NOW - 48 * HOUR, told_at, is_open, until, HOLDS.cause, lately)


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
        pytest.param(_known(30 * HOUR, is_open=False), NOW, id="was over, and came again"),
        pytest.param(_known(23 * HOUR - MINUTE), None, id="told today"),
        pytest.param(_known(MINUTE, is_open=False), NOW, id="was over, and came again at once"),
        pytest.param(
            replace(_known(23 * HOUR), cause="other"),
            NOW - 48 * HOUR,
            id="told today of another cause",
        ),
        pytest.param(_known(24 * HOUR, claimed=HOUR), None, id="claimed"),
    ],
)
def test_what_holds_is_told_once_a_day(known: Remembered | None, since: datetime | None) -> None:
    found = pending([HOLDS], [known] if known else [], NOW)
    assert [(each.kind, each.since) for each in found.alerts] == (
        [(News.HOLDS, since)] if since else []
    )
    assert found.forget == []


@pytest.mark.parametrize(
    ("known", "over", "forgotten"),
    [
        pytest.param(_known(23 * HOUR), True, False, id="told today"),
        pytest.param(_known(90 * HOUR), True, False, id="told long ago"),
        pytest.param(_known(23 * HOUR, claimed=HOUR), False, False, id="claimed"),
        pytest.param(
            _known(DAY - MINUTE, is_open=False), False, False, id="over, and told within the day"
        ),
        pytest.param(_known(DAY, is_open=False), False, True, id="over, and told a day ago"),
        pytest.param(_known(None, is_open=False), False, True, id="over before it was taken"),
        pytest.param(
            _known(None, is_open=False, claimed=HOUR), False, False, id="claimed and not taken"
        ),
    ],
)
def test_what_is_over_is_told_once_to_whoever_was_told_that_it_held(
    known: Remembered, over: bool, forgotten: bool
) -> None:
    found = pending([], [known], NOW)
    assert [each.kind for each in found.alerts] == ([News.OVER] if over else [])
    assert found.forget == ([HOLDS.name] if forgotten else [])


def test_what_has_happened_is_told_once_and_is_never_over() -> None:
    (told,) = pending([HAPPENED], [], NOW).alerts
    assert (told.kind, told.since) == (News.HAPPENED, HAPPENED.happened_at)
    known = _known(100 * HOUR, is_open=False, name=HAPPENED.name)
    assert pending([HAPPENED], [known], NOW).alerts == []
    assert pending([], [known], NOW).alerts == []
    assert pending([], [known], NOW).forget == [HAPPENED.name]


class Receiver:
    """What one receiver hears who takes everything, in minutes from NOW."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.remembered: dict[str, Remembered] = {}

    def look(self, minute: int, *conditions: Condition) -> None:
        now = NOW + minute * MINUTE
        found = pending(conditions, list(self.remembered.values()), now)
        self.heard += [(minute, f"{each.kind} {each.cause}".strip()) for each in found.alerts]
        kept = [once_taken(each, now) for each in found.alerts]
        self.remembered |= {each.condition: each for each in kept}
        for name in found.forget:
            del self.remembered[name]

    def look_every_minute(self, first: int, last: int, *conditions: Condition) -> None:
        for minute in range(first, last + 1):
            self.look(minute, *conditions)

    def come_and_go(self, minutes_on: int, minutes_off: int, until: int) -> None:
        """It begins at once."""
        for minute in range(until):
            self.look(minute, *[HOLDS] * (minute % (minutes_on + minutes_off) < minutes_on))

    def hears_at_most(self, span_minutes: int) -> int:
        """The most messages in any span of so many minutes."""
        moments = [minute for minute, _ in self.heard]
        return max(
            sum(first <= each < first + span_minutes for each in moments) for first in moments
        )


A_DAY = 24 * 60
DAILY = 23 * 60
"""How often what holds is told, so that a look a day finds it due."""
AT_ONCE = list(enumerate(["holds source_away", "over", "holds source_away"]))
SIX_HOURS = 6 * 60


def test_what_comes_and_goes_and_then_holds_is_told_daily_and_once_when_it_is_over() -> None:
    receiver = Receiver()
    receiver.come_and_go(1, 1, 300)
    receiver.look_every_minute(300, 1500, HOLDS)
    receiver.look_every_minute(1501, 1510)
    assert receiver.heard == [*AT_ONCE, (2 + DAILY, "holds source_away"), (1501, "over")]


@pytest.mark.parametrize("last", [2, 299])
def test_what_came_and_went_and_stays_away_is_told_to_be_over_six_hours_later(last: int) -> None:
    receiver = Receiver()
    receiver.come_and_go(1, 1, last + 1)
    receiver.look_every_minute(last + 1, 3000)
    assert receiver.heard == [*AT_ONCE, (2 + SIX_HOURS, "over")]


def test_causes_that_take_turns_are_told_no_more_often() -> None:
    receiver = Receiver()
    for minute in range(SIX_HOURS + 4):
        receiver.look(minute, OTHERWISE if minute % 2 else HOLDS)
    causes = ("holds source_away", "holds source_unusable", "holds source_away")
    # At the minute of an even number the last that was told is there again.
    assert receiver.heard == [*enumerate(causes), (3 + SIX_HOURS, "holds source_unusable")]


@pytest.mark.parametrize("minutes", [1, 10, 45, 180, 300])
def test_what_comes_and_goes_for_days_is_told_six_times_a_day_at_most_and_the_end_is_told(
    minutes: int,
) -> None:
    days = 6
    receiver = Receiver()
    receiver.come_and_go(minutes, minutes, days * A_DAY)
    said = [said.split()[0] for _, said in receiver.heard]
    assert said[:3] == ["holds", "over", "holds"]
    assert receiver.hears_at_most(A_DAY) <= 6
    # As it was when it was told.
    assert all(
        said == ("over" if minute // minutes % 2 else "holds source_away")
        for minute, said in receiver.heard
    )
    receiver.look_every_minute(days * A_DAY, (days + 2) * A_DAY)
    assert receiver.heard[-1][1] == "over"


@pytest.mark.parametrize("seed", range(20))
def test_however_it_comes_and_goes_few_messages_tell_it_and_the_last_one_is_right(
    seed: int,
) -> None:
    draw, receiver, minute, is_there = random.Random(seed), Receiver(), 0, False  # noqa: S311
    mean_minutes = draw.choice([5, 20, 60, 200])
    while minute < 4 * A_DAY:
        is_there = not is_there
        until = minute + 5 + int(draw.expovariate(1 / mean_minutes))
        found = draw.choice([HOLDS, HOLDS, OTHERWISE])
        while minute < until:
            receiver.look(minute, *[found] * is_there)
            minute += 5
    assert receiver.hears_at_most(60) <= 3
    assert receiver.hears_at_most(A_DAY) <= 6
    for last, found in ((2, [HOLDS]), (4, [])):
        for later in range(minute, minute + 2 * A_DAY, 5):
            receiver.look(later, *found)
        minute += 2 * A_DAY
        assert receiver.heard[-1][1] == ("over" if not found else "holds source_away"), last
    pairs = zip(receiver.heard, receiver.heard[1:], strict=False)
    assert not any(said == after == "over" for (_, said), (_, after) in pairs)


def test_receivers_stand_a_line_each() -> None:
    urls = "\n# the one on call\n  json://a\r\n\nmailtos://b:c@example.org \n"
    assert receivers(AlertsSettings(urls)) == ["json://a", "mailtos://b:c@example.org"]
    assert receivers(AlertsSettings()) == []
