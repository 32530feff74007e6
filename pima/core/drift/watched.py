"""A figure of a night beside what is usual, and when it alarms."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

ALERTING_NIGHTS, LAST_NIGHTS = 3, 5
"""So many of the last so many nights must be beyond the limit: one odd night alarms nobody."""


class State(StrEnum):
    """What is said of a figure."""

    USUAL = "usual"
    ALERT = "alert"
    INSUFFICIENT_DATA = "insufficient_data"
    """Rows so few, pooled over the last nights, that any value may be luck."""
    NO_REFERENCE = "no_reference"
    """There is nothing to compare with: the version's reference could not be read."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A row of `monitoring`; each field is the column of its name."""

    feature: str
    """Empty where the figure is about all rows."""
    figure: str
    value: float | None
    rows: int
    """That the value rests on."""
    reference: float | None = None
    """The training rows' value, or what is usual."""
    allowed: float | None = None
    """How far from the reference the value may lie."""
    state: str = State.USUAL
    low: float | None = None
    """The 95 % interval, of figures that estimate something."""
    high: float | None = None

    @property
    def name(self) -> str:
        """Figure and feature in one."""
        return f"{self.figure} {self.feature}".strip()

    @property
    def is_beyond(self) -> bool:
        """Whether it lies farther from the reference than allowed, tonight."""
        if self.value is None or self.allowed is None:
            return False
        return abs(self.value - (self.reference or 0.0)) > self.allowed


def alerts(is_beyond: bool, name: str, nights_before: Sequence[Collection[str]]) -> bool:
    """Whether `ALERTING_NIGHTS` of the last `LAST_NIGHTS` were beyond the limit, tonight included; of the nights
    before, newest first, the names of what was beyond."""
    before = sum(name in night for night in nights_before[: LAST_NIGHTS - 1])
    return is_beyond + before >= ALERTING_NIGHTS
