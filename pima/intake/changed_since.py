"""How far a source's own times of change have come, and from where on the next pull reads.

Never by our clock, which may be another than the source's. Some time before the highest value is read again: a
transaction may become visible after others that wrote a later time, and a clock without a zone is set back in autumn.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

Moment = datetime | date
Bound = Moment | str
"""From where on rows are read, as it is compared with the column: a text with texts."""

_OVERLAP = timedelta(minutes=15)
_OVERLAP_WITHOUT_ZONE = timedelta(hours=2)
_OVERLAP_OF_DAYS = timedelta(days=1)
_FARTHEST_ZONE = timedelta(hours=14)
"""By so much a clock on the wall may be ahead of UTC."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest time of change that a source has."""

    moment: Moment
    """With a zone, without one, or a day."""
    is_text: bool = False
    """Whether the column holds texts. With a T in them or without, with a zone or without, they sort by their days
    alone."""

    @property
    def kept(self) -> str:
        """As it is put down for the next pull."""
        return self.moment.isoformat()

    def is_ahead_of(self, now: datetime) -> bool:
        """Whether it lies in a future that no time zone explains: a mistake, behind which nothing would be found."""
        if _has_zone(self.moment):
            return self.moment > now + _OVERLAP
        latest = now.astimezone(UTC).replace(tzinfo=None) + _FARTHEST_ZONE
        return self.moment > (latest if isinstance(self.moment, datetime) else latest.date())

    def bound_after(self, kept: str) -> Bound | None:
        """From where on rows are read where the last pull came as far as `kept`; None where this mark is before that,
        or the column another."""
        reached = self._read(kept)
        if reached is None or self.moment < reached:
            return None
        if not isinstance(reached, datetime):
            day = reached - _OVERLAP_OF_DAYS
            return day.isoformat() if self.is_text else day
        return reached - (_OVERLAP if _has_zone(reached) else _OVERLAP_WITHOUT_ZONE)

    def _read(self, kept: str) -> Moment | None:
        kind = datetime if isinstance(self.moment, datetime) else date
        try:
            found = kind.fromisoformat(kept)
        except ValueError:
            return None
        # A day can be read as a time.
        return found if found.isoformat() == kept and _has_zone(found) == _has_zone(self.moment) else None


def mark_of(value: object) -> Mark | None:
    """Of what a driver gives for the highest value; None where it is no time."""
    if isinstance(value, date):
        return Mark(value)
    if isinstance(value, str) and _DAY.match(value):
        try:
            return Mark(date.fromisoformat(value[:10]), is_text=True)
        except ValueError:
            return None
    return None


def _has_zone(moment: Moment) -> bool:
    return isinstance(moment, datetime) and moment.tzinfo is not None
