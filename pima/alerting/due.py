"""Of what a receiver is told now: of each condition once a day while it holds, and once when it is over; of what has
happened once. Pure rules; times come in as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pima.store.alerts import Remembered

A_DAY = timedelta(days=1)


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
    happened_at: datetime | None = None
    """Of what has happened, and so is told once and never over; None of what holds."""


class Kind(StrEnum):
    """What an alert says of its condition."""

    HOLDS = "holds"
    HAPPENED = "happened"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a receiver is to be told of a condition."""

    name: str
    kind: Kind
    since: datetime
    """When it was first seen, or happened."""
    what: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about a receiver's conditions."""

    alerts: list[Alert]
    forget: list[str]
    """Those that need not be remembered."""


def due(conditions: Sequence[Condition], remembered: Sequence[Remembered], now: datetime) -> Due:
    """What a receiver is to be told, given what it was told before. What somebody else is sending is left to them."""
    known = {each.condition: each for each in remembered}
    holding = {condition.name for condition in conditions}
    gone = [each for each in remembered if each.condition not in holding and not each.is_claimed(now)]
    told = [condition for condition in conditions if _is_told(condition, known.get(condition.name), now)]
    over = [Alert(each.condition, Kind.OVER, each.since) for each in gone if each.is_open]
    return Due(
        alerts=[*(_alert(condition, known.get(condition.name), now) for condition in told), *over],
        forget=[each.condition for each in gone if not each.is_open and _is_a_day_ago(each, now)],
    )


def _is_told(condition: Condition, known: Remembered | None, now: datetime) -> bool:
    if known is None:
        return True
    if known.is_claimed(now) or (condition.happened_at and known.told_at):
        return False
    return _is_a_day_ago(known, now)


def _is_a_day_ago(known: Remembered, now: datetime) -> bool:
    """Whether the receiver was last told so long ago, or never; of what comes and goes it is told once a day, too."""
    return known.told_at is None or now - known.told_at >= A_DAY


def _alert(condition: Condition, known: Remembered | None, now: datetime) -> Alert:
    if condition.happened_at is not None:
        return Alert(condition.name, Kind.HAPPENED, condition.happened_at, condition.what, condition.advice)
    return Alert(condition.name, Kind.HOLDS, _since(known, now), condition.what, condition.advice)


def _since(known: Remembered | None, now: datetime) -> datetime:
    """What has come again, after the receiver was told that it was over, began now."""
    if known is None or (known.told_at is not None and not known.is_open):
        return now
    return known.since
