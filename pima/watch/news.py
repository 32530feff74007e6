"""News for a receiver: a condition that begins or changes its cause, that holds for another day, or
is over, each in a message of its own.

A condition that people have acknowledged has no daily reminder. After some messages of a day about
one condition, the next one waits, and says how the condition is then. An event is reported once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pima.errors.places import with_places
from pima.store.service.alerts import Remembered
from pima.watch.alert_sending import Message
from pima.watch.health import Condition

A_DAY = timedelta(days=1)
_DAILY = timedelta(hours=23)
"""After it a condition is reported again. A message is recorded after it was sent, so a cron job
that looks once a day would find the last one a little less than a day old, and tell every second
day."""
AT_ONCE = 3
"""Messages of a day about one condition that don't wait. A source that was away for ten minutes of
every twenty caused 144 messages a day."""
BETWEEN_OTHERS = timedelta(hours=6)
"""How long each further one waits after the one before: so a day has six at most."""


class News(StrEnum):
    """The news about a condition."""

    HOLDS = "holds"
    HAPPENED = "happened"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Alert:
    """News of a condition for a receiver."""

    kind: News
    since: datetime
    """When the condition was first seen, or the event happened."""
    known: Remembered
    """The state last reported to the receiver."""
    condition: Condition | None
    """None if it is not there now."""
    messages: int
    """How many there are of it in a day, with this one."""

    @property
    def name(self) -> str:
        """The condition's name."""
        return self.known.condition

    @property
    def cause(self) -> str:
        """Why it holds, as a code."""
        return "" if self.condition is None else self.condition.cause


@dataclass(frozen=True, slots=True)
class Pending:
    """The alerts that are due to a receiver, and the conditions that need not be remembered."""

    alerts: list[Alert]
    forget: list[str]


def pending(
    conditions: Sequence[Condition],
    remembered: Sequence[Remembered],
    now: datetime,
    acknowledged: Collection[str] = (),
) -> Pending:
    """Find what to report to a receiver, given what was reported before. Alerts that another
    process is sending are left to it, and of acknowledged conditions nobody is reminded."""
    known = {each.condition: each for each in remembered}
    holding = {each.name: each for each in conditions}
    # What can't be seen now may hold.
    names = [*holding] if any(each.hides_others for each in conditions) else [*holding, *known]
    found = Pending([], [])
    for name in dict.fromkeys(names):
        condition = holding.get(name)
        before = known.get(name) or Remembered(name, now)
        if before.is_claimed(now):
            continue
        alert = _alert(condition, before, now, reminds=name not in acknowledged)
        if alert is not None:
            found.alerts.append(alert)
        elif condition is None and not before.is_open and not _told_lately(before, now):
            # It no longer makes a difference.
            found.forget.append(name)
    return found


def once_taken(alert: Alert, now: datetime) -> Remembered:
    """The new stored state of a condition after the receiver has accepted an alert of it."""
    return replace(
        alert.known,
        since=alert.since,
        told_at=now,
        is_open=alert.kind is not News.HAPPENED and alert.condition is not None,
        cause=alert.cause,
        told_lately=(*_told_lately(alert.known, now), now),
        claimed_until=None,
    )


def _alert(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> Alert | None:
    kind = _kind(condition, known, now, reminds=reminds)
    if kind is None:
        return None
    messages = len(_told_lately(known, now)) + 1
    since = known.since
    if not known.is_open and known.told_at is not None and messages <= AT_ONCE:
        # It comes again after it was reported as over.
        since = now
    if condition is not None and condition.happened_at is not None:
        since = condition.happened_at
    return Alert(kind, since, known, condition, messages)


def _kind(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> News | None:
    if condition is not None and condition.happened_at is not None:
        return News.HAPPENED if known.told_at is None else None
    lately = _told_lately(known, now)
    if len(lately) >= AT_ONCE and now - lately[-1] < BETWEEN_OTHERS:
        return None
    if condition is None:
        return News.OVER if known.is_open else None
    has_turned = not known.is_open or known.cause != condition.cause
    is_a_day_ago = known.told_at is not None and now - known.told_at >= _DAILY
    return News.HOLDS if has_turned or (reminds and is_a_day_ago) else None


def _told_lately(known: Remembered, now: datetime) -> list[datetime]:
    return [moment for moment in known.told_lately if now - moment < A_DAY]


_COLOURS = {News.HOLDS: "failure", News.HAPPENED: "info", News.OVER: "success"}
_NEXT_WAITS = (
    "\nThere have been {} messages about it in a day. The next one comes in six hours at the "
    "earliest, and says how it is then."
)


def message(alert: Alert, service: str) -> Message:
    """Make the message: the condition, the service, since when, what to do, and where the page of
    codes has it."""
    moment = f"{alert.since:%Y-%m-%d %H:%M} UTC"
    body = f"It was seen since {moment}, and is over now."
    if alert.condition is not None:
        since = f"At {moment}" if alert.kind is News.HAPPENED else f"Seen since {moment}"
        what = alert.condition.what
        sentence = f"{what[:1].upper()}{what[1:]}".rstrip(".")
        page = f"docs/reference/errors.md#{alert.condition.code}"
        more = f"{alert.condition.advice}.\nMore: {page}"
        advice = with_places(f"{more}\nWords: docs/understand/words.md")
        body = f"{sentence}.\n{since}.\nWhat to do: {advice}"
    if alert.messages >= AT_ONCE:
        body += _NEXT_WAITS.format(alert.messages)
    is_over = " is over" if alert.kind is News.OVER else ""
    return Message(f"{service}: {alert.name}{is_over}", body, _COLOURS[alert.kind])
