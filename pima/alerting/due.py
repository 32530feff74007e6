"""Of what a receiver is told now: of each condition at once when it comes or has another reason, once a day while it
holds, and once when it is over; of one that comes and goes only so often; of what has happened once. Pure rules; times
come in as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pima.store.alerts import Remembered

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
MOST_TOLD_IN_AN_HOUR = 3
"""Of one condition; at the next time it is told that it flaps, and then it is quiet until it settles."""
SETTLED_AFTER = timedelta(hours=1)
"""So long a condition that flaps has to stay as it is."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that people are told of."""

    name: str
    """The same as long as it is the same condition: a reason of health's, with the source that it is about, or what has
    happened, with its number."""
    what: str
    """A sentence."""
    advice: str
    """What to do, with the command."""
    cause: str = ""
    """Why it holds, as a code, where it may hold for other reasons too."""
    happened_at: datetime | None = None
    """Of what has happened, and so is told once and never over; None of what holds."""


class Kind(StrEnum):
    """What an alert says of its condition."""

    HOLDS = "holds"
    FLAPS = "flaps"
    HAPPENED = "happened"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a receiver is to be told of a condition."""

    kind: Kind
    since: datetime
    """When it was first seen, or happened."""
    known: Remembered
    """What the receiver was told of it before."""
    what: str = ""
    advice: str = ""
    cause: str = ""

    @property
    def name(self) -> str:
        """The condition's."""
        return self.known.condition


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about a receiver's conditions."""

    alerts: list[Alert]
    noted: list[Remembered]
    """Those that flap and have turned or settled, as they are to be remembered from now on."""
    forget: list[str]
    """Those that need not be remembered."""


def due(conditions: Sequence[Condition], remembered: Sequence[Remembered], now: datetime) -> Due:
    """What a receiver is to be told, given what it was told before. What somebody else is sending is left to them."""
    known = {each.condition: each for each in remembered}
    holding = {each.name: each for each in conditions}
    of_all = {name: known.get(name) or Remembered(name, now) for name in (*holding, *known)}
    free = [(holding.get(name), each) for name, each in of_all.items() if not each.is_claimed(now)]
    alerts = [alert for condition, each in free if (alert := _alert(condition, each, now)) is not None]
    told = {alert.name for alert in alerts}
    noted = [_noted(condition, each, now) for condition, each in free if each.flapped_at and each.condition not in told]
    return Due(
        alerts=alerts,
        noted=[each for each in noted if each != known[each.condition]],
        forget=[each.condition for condition, each in free if condition is None and _is_past(each, now)],
    )


def once_taken(alert: Alert, now: datetime) -> Remembered:
    """What is remembered of a condition once the receiver has taken an alert of it."""
    if alert.kind is Kind.OVER:
        return replace(alert.known, is_open=False, flapped_at=None, claimed_until=None)
    return replace(
        alert.known,
        since=alert.since,
        told_at=now,
        is_open=alert.kind is not Kind.HAPPENED,
        cause=alert.cause,
        told_lately=(*_told_lately(alert.known, now), now),
        flapped_at=now if alert.kind is Kind.FLAPS else None,
        claimed_until=None,
    )


def _alert(condition: Condition | None, known: Remembered, now: datetime) -> Alert | None:
    if condition is None:
        return Alert(Kind.OVER, known.since, known) if _is_over(known, now) else None
    if condition.happened_at is not None:
        kind, since = (Kind.HAPPENED if known.told_at is None else None), condition.happened_at
    else:
        kind, since = _kind(condition, known, now), _since(known, now)
    return None if kind is None else Alert(kind, since, known, condition.what, condition.advice, condition.cause)


def _is_over(known: Remembered, now: datetime) -> bool:
    if known.flapped_at is not None:
        return _has_settled(None, known, now)
    return known.is_open


def _kind(condition: Condition, known: Remembered, now: datetime) -> Kind | None:
    is_a_day_ago = known.told_at is None or now - known.told_at >= A_DAY
    if known.flapped_at is not None and not _has_settled(condition, known, now):
        return Kind.FLAPS if is_a_day_ago else None
    if _has_turned(condition, known) and len(_told_lately(known, now)) >= MOST_TOLD_IN_AN_HOUR:
        return Kind.FLAPS
    return Kind.HOLDS if is_a_day_ago or _has_turned(condition, known) else None


def _noted(condition: Condition | None, known: Remembered, now: datetime) -> Remembered:
    """One that flaps, as it is seen now."""
    if _has_turned(condition, known):
        cause = known.cause if condition is None else condition.cause
        return replace(known, is_open=condition is not None, cause=cause, flapped_at=now)
    return replace(known, flapped_at=None) if _has_settled(condition, known, now) else known


def _has_turned(condition: Condition | None, known: Remembered) -> bool:
    """Whether it has come, gone or got another cause; where that was not kept, it has the same."""
    if condition is None or not known.is_open:
        return known.is_open != (condition is not None)
    return known.cause not in (None, condition.cause)


def _has_settled(condition: Condition | None, known: Remembered, now: datetime) -> bool:
    is_long = known.flapped_at is not None and now - known.flapped_at >= SETTLED_AFTER
    return is_long and not _has_turned(condition, known)


def _told_lately(known: Remembered, now: datetime) -> list[datetime]:
    return [moment for moment in known.told_lately if now - moment < AN_HOUR]


def _is_past(known: Remembered, now: datetime) -> bool:
    """Whether it makes no difference any more to what is told."""
    return not known.is_open and known.flapped_at is None and not _told_lately(known, now)


def _since(known: Remembered, now: datetime) -> datetime:
    """What has come again, after the receiver was told that it was over, began now."""
    return known.since if known.told_at is None or known.is_open else now
