"""News for a receiver: a condition that begins or changes its cause, that holds for another
day, or is over, each in a message of its own.

Of what people have acknowledged there is no daily reminder. Where that would be too many messages,
one says that the condition flaps; then it is reported once a day until it settles. An event is
reported once.
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
AN_HOUR = timedelta(hours=1)
_DAILY = timedelta(hours=23)
"""After it a condition is reported again. A message is recorded after it was sent, so a cron job
that looks once a day would find the last one a little less than a day old, and tell every second
day."""
MOST_TOLD = {AN_HOUR: 3, A_DAY: 6}
"""Messages about one condition; the next one says that it flaps. A source that was away for ten
minutes of every twenty caused 144 messages a day."""


class News(StrEnum):
    """The news about a condition."""

    HOLDS = "holds"
    FLAPS = "flaps"
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
    """The alerts that are due to a receiver, and the changes in the stored conditions."""

    alerts: list[Alert]
    noted: list[Remembered]
    """New states of flapping conditions that have changed or settled."""
    forget: list[str]
    """Conditions that need not be remembered."""


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
    found = Pending([], [], [])
    for name in dict.fromkeys(names):
        condition = holding.get(name)
        before = known.get(name) or Remembered(name, now)
        if before.is_claimed(now):
            continue
        alert = _alert(condition, before, now, reminds=name not in acknowledged)
        if alert is not None:
            found.alerts.append(alert)
        elif before.flapped_at is not None:
            noted = _noted(condition, before, now)
            if noted != before:
                found.noted.append(noted)
        elif condition is None and not before.is_open and not _told_within(A_DAY, before, now):
            # It no longer makes a difference.
            found.forget.append(name)
    return found


def once_taken(alert: Alert, now: datetime) -> Remembered:
    """The new stored state of a condition after the receiver has accepted an alert of it."""
    flaps = alert.kind is News.FLAPS
    # While it flaps, the daily messages don't let it forget how often it came.
    lately = alert.known.told_lately if flaps else _told_within(A_DAY, alert.known, now)
    return replace(
        alert.known,
        since=alert.since,
        told_at=now,
        is_open=alert.kind is not News.HAPPENED and alert.condition is not None,
        cause=alert.cause,
        told_lately=(*lately, now),
        flapped_at=now if flaps else None,
        claimed_until=None,
    )


def _alert(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> Alert | None:
    kind = _kind(condition, known, now, reminds=reminds)
    if kind is None:
        return None
    since = known.since
    if condition is not None and not known.is_open and known.told_at is not None:
        # It comes again after it was reported as over.
        since = now
    if condition is not None and condition.happened_at is not None:
        since = condition.happened_at
    return Alert(kind, since, known, condition)


def _kind(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> News | None:
    is_a_day_ago = known.told_at is None or (reminds and now - known.told_at >= _DAILY)
    if condition is not None and condition.happened_at is not None:
        return News.HAPPENED if known.told_at is None else None
    if known.flapped_at is not None and not _has_settled(condition, known, now):
        return News.FLAPS if is_a_day_ago and condition is not None else None
    has_turned = _has_turned(condition, known)
    if has_turned and any(
        len(_told_within(span, known, now)) >= most for span, most in MOST_TOLD.items()
    ):
        return News.FLAPS
    if condition is None:
        return News.OVER if has_turned or known.flapped_at is not None else None
    return News.HOLDS if has_turned or is_a_day_ago else None


def _noted(condition: Condition | None, known: Remembered, now: datetime) -> Remembered:
    """The new stored state of a flapping condition as it is seen now."""
    if _has_turned(condition, known):
        cause = known.cause if condition is None else condition.cause
        return replace(known, is_open=condition is not None, cause=cause, flapped_at=now)
    return replace(known, flapped_at=None) if _has_settled(condition, known, now) else known


def _has_turned(condition: Condition | None, known: Remembered) -> bool:
    """Whether a condition came, went or changed its cause; a cause that was not stored counts as
    the same."""
    if condition is None or not known.is_open:
        return known.is_open != (condition is not None)
    return known.cause not in (None, condition.cause)


def _has_settled(condition: Condition | None, known: Remembered, now: datetime) -> bool:
    # One that comes and goes every few hours would seem settled each time after one hour.
    quiet = AN_HOUR if len(known.told_lately) < MOST_TOLD[A_DAY] else _DAILY
    is_long = known.flapped_at is not None and now - known.flapped_at >= quiet
    return is_long and not _has_turned(condition, known)


def _told_within(span: timedelta, known: Remembered, now: datetime) -> list[datetime]:
    return [moment for moment in known.told_lately if now - moment < span]


_COLOURS = {
    News.HOLDS: "failure",
    News.FLAPS: "failure",
    News.HAPPENED: "info",
    News.OVER: "success",
}
_COMES_AND_GOES = (
    "\nIt comes and goes: you hear of it again when it has been over for an hour (for a day, after "
    "six messages in a day), or in a day."
)
_SAYS = {News.FLAPS: " comes and goes", News.OVER: " is over"}


def message(alert: Alert, service: str) -> Message:
    """Make the message: the condition, the service, since when, and what to do."""
    moment = f"{alert.since:%Y-%m-%d %H:%M} UTC"
    body = f"It was seen since {moment}, and is over now."
    if alert.condition is not None:
        since = f"At {moment}" if alert.kind is News.HAPPENED else f"Seen since {moment}"
        what = alert.condition.what
        sentence = f"{what[:1].upper()}{what[1:]}".rstrip(".")
        advice = with_places(alert.condition.advice)
        body = f"{sentence}.\n{since}.\nWhat to do: {advice}."
    if alert.kind is News.FLAPS:
        body += _COMES_AND_GOES
    return Message(
        f"{service}: {alert.name}{_SAYS.get(alert.kind, '')}", body, _COLOURS[alert.kind]
    )
