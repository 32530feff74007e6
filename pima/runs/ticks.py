"""Schedules of the jobs: a crontab expression in a time zone gives moments in UTC.

The expression is read on the wall clock. A schedule with fixed hours never loses a night and never
runs one twice. When the clock goes back, a time that occurs twice counts the first time. When the
clock jumps ahead, a time in the gap is moved past it by the length of the gap. A schedule for every
hour follows the clock, as cron does: a time that occurs twice is two ticks, and a time in the gap
is none. (In the repeated hour, APScheduler's own trigger returns the same moment for ever, and on
some of those days none at all.)
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from pima.errors import WrongConfiguration
from pima.settings.sections import JOBS, PULL, ScheduleSettings

_EXPECTED = (
    "five crontab fields (minute hour day month weekday), or six with seconds first: in each *, "
    "numbers, lists, ranges from low to high, and steps, within the field's limits, and weekdays "
    "by name (mon to sun), since some count them from Sunday, some from Monday; the time zone by "
    "its IANA name, such as Europe/Berlin"
)
_WEEKDAYS = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
# A clock change within a day of a moment may put a tick's wall time on the other side of it.
_A_DAY = timedelta(days=1)
_TINY = timedelta(microseconds=1)


class Schedule:
    """One job's crontab expression in one time zone."""

    def __init__(self, expression: str, time_zone: str) -> None:
        """Raises WrongConfiguration."""
        self.expression = expression
        self.time_zone = time_zone
        fields = expression.split()
        names = ("second", "minute", "hour", "day", "month", "day_of_week")[-len(fields) :]
        try:
            if len(fields) not in (5, 6) or not _names_weekdays(fields[-1]):
                raise ValueError
            self._zone = ZoneInfo(time_zone)
            # The trigger works on wall-clock times, which have no zone; UTC serves as a
            # placeholder.
            self._wall = CronTrigger(timezone=UTC, **dict(zip(names, fields, strict=True)))
        except (ValueError, LookupError, OSError):
            what = f"schedule '{expression}' in time zone '{time_zone}'"
            raise WrongConfiguration(what=what, expected=_EXPECTED) from None
        self._has_every_hour = _names_every_hour(self._wall)

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """The ticks with after < tick <= until, in UTC and in order."""
        last = self._as_wall(until) + self._shift(until)
        moments = set()
        for wall in self._wall_times(self._as_wall(after) - self._shift(after)):
            if wall > last:
                break
            moments.update(self._moments(wall))
        return sorted(moment for moment in moments if after < moment <= until)

    def next(self, after: datetime) -> datetime | None:
        """The first tick after a moment; None if the expression never comes true again."""
        found = None
        shift = self._shift(after)
        for wall in self._wall_times(self._as_wall(after) - shift):
            found = min(
                (moment for moment in (found, *self._moments(wall)) if moment and moment > after),
                default=None,
            )
            # Around a clock change a later wall time may be an earlier moment: look a little
            # further.
            if found is not None and wall >= self._as_wall(found) + self._shift(found):
                return found
        return found

    def newest(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """The newest ticks with after < tick <= until, at most `count` of them, in order."""
        span = timedelta(hours=1)
        start = until
        ticks: list[datetime] = []
        while start > after and len(ticks) < count:
            start = max(after, until - span)
            ticks = self.between(start, until)
            span *= 4
        return ticks[-count:]

    def _wall_times(self, start: datetime) -> Iterator[datetime]:
        wall = self._wall.get_next_fire_time(None, start)
        while wall is not None:
            yield wall
            wall = self._wall.get_next_fire_time(wall, wall + _TINY)

    def _as_wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=UTC)

    def _shift(self, moment: datetime) -> timedelta:
        """Measure by how much the clock changes within a day of a moment; mostly zero."""
        before, behind = (
            (moment + day).astimezone(self._zone).utcoffset() for day in (-_A_DAY, _A_DAY)
        )
        return abs((behind or timedelta()) - (before or timedelta()))

    def _moments(self, wall: datetime) -> list[datetime]:
        """The moments of a wall time: one, or for an hourly schedule as many as the clock shows
        it."""
        if not self._has_every_hour:
            return [self._moment(wall)]
        both = {self._moment(wall, fold) for fold in (0, 1)}
        return [moment for moment in both if self._as_wall(moment) == wall]

    def _moment(self, wall: datetime, fold: int = 0) -> datetime:
        # fold=0 is the first of two equal times. In a gap it uses the offset before it, which gives
        # a moment after it.
        return wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)


def _names_every_hour(wall: CronTrigger) -> bool:
    (field,) = (field for field in wall.fields if field.name == "hour")
    hours = (datetime(2000, 1, 1, hour, tzinfo=UTC) for hour in range(24))
    return all(field.get_next_value(moment) == moment.hour for moment in hours)


def _names_weekdays(field: str) -> bool:
    if field == "*":
        return True
    return all(part.lower() in _WEEKDAYS for part in field.replace("-", ",").split(","))


def schedules(settings: ScheduleSettings) -> dict[str, Schedule]:
    """The schedule of each job. Raises WrongConfiguration."""
    return {job: Schedule(getattr(settings, job), settings.time_zone) for job in JOBS}


def next_ticks(settings: ScheduleSettings, now: datetime) -> dict[str, datetime | None]:
    """When each job is due next."""
    return {job: schedule.next(now) for job, schedule in schedules(settings).items()}


def pull_of(source: str) -> str:
    """The name of a source's pull in the table `schedules`."""
    return f"{PULL} {source}"
