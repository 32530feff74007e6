"""News of conditions: one that begins or changes its cause, that holds for another day, or is over,
each in a message of its own. An event is reported once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pima.errors.places import with_places
from pima.store.service.alerts import Sent
from pima.watch.alert_sending import Message
from pima.watch.health import Condition

_DAILY = timedelta(hours=23)
"""After it a condition is reported again. A message is recorded after it was sent, so a cron job
that looks once a day would find the last one a little less than a day old, and tell every second
day."""


class News(StrEnum):
    """The news about a condition."""

    HOLDS = "holds"
    HAPPENED = "happened"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Alert:
    """News of a condition."""

    kind: News
    name: str
    """The condition's name."""
    since: datetime
    """When the condition was first seen, or the event happened."""
    condition: Condition | None
    """None if it is not there now."""


def pending(
    conditions: Sequence[Condition], sent: Sequence[Sent], now: datetime
) -> tuple[list[Alert], list[str]]:
    """Find what to report, given what was reported before, and the names that need not be
    remembered. Alerts that another process is sending are left to it."""
    before = {each.condition: each for each in sent}
    holding = {each.name: each for each in conditions}
    alerts = [
        Alert(kind, name, condition.happened_at or _since(before.get(name), now), condition)
        for name, condition in holding.items()
        if (kind := _kind(condition, before.get(name), now)) is not None
    ]
    if any(each.hides_others for each in conditions):
        # What can't be seen now may hold.
        return alerts, []
    gone = [each for each in sent if each.condition not in holding and not each.is_claimed(now)]
    alerts += [Alert(News.OVER, each.condition, each.since, None) for each in gone if each.is_open]
    return alerts, [each.condition for each in gone if not each.is_open]


def _since(sent: Sent | None, now: datetime) -> datetime:
    return now if sent is None else sent.since


def _kind(condition: Condition, sent: Sent | None, now: datetime) -> News | None:
    if sent is not None and sent.is_claimed(now):
        return None
    sent_at = None if sent is None else sent.sent_at
    if condition.happened_at is not None:
        return News.HAPPENED if sent_at is None else None
    if sent is None or sent_at is None or sent.cause != condition.cause:
        return News.HOLDS
    return News.HOLDS if now - sent_at >= _DAILY else None


_COLOURS = {News.HOLDS: "failure", News.HAPPENED: "info", News.OVER: "success"}


def message(alert: Alert, service: str) -> Message:
    """Make the message: the condition, the service, since when, what to do, and where the page of
    codes has it."""
    moment = f"{alert.since:%Y-%m-%d %H:%M} UTC"
    title = f"{service}: {alert.name}"
    if alert.condition is None:
        body = f"It was seen since {moment}, and is over now."
        return Message(f"{title} is over", body, _COLOURS[alert.kind])
    since = f"At {moment}" if alert.kind is News.HAPPENED else f"Seen since {moment}"
    what = alert.condition.what
    sentence = f"{what[:1].upper()}{what[1:]}".rstrip(".")
    code = alert.name.partition(":")[0]
    more = f"{alert.condition.advice}.\nMore: docs/reference/errors.md#{code}"
    advice = with_places(f"{more}\nWords: docs/understand/words.md")
    return Message(title, f"{sentence}.\n{since}.\nWhat to do: {advice}", _COLOURS[alert.kind])
