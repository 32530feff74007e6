"""Figures of a night beside what is usual, and when they alarm: how many rows came, and how many have no prediction.

Without numpy, which an empty night does without.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

ALERTING_NIGHTS, LAST_NIGHTS = 3, 5
"""So many of the last so many nights must be beyond the limit: one odd night alarms nobody."""


class State(StrEnum):
    """The state of a figure."""

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
    reference: float | None = None
    """The training rows' value, or what is usual."""
    allowed: float | None = None
    """The largest distance of the value from the reference."""
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
    """Whether `ALERTING_NIGHTS` of the last `LAST_NIGHTS` were beyond the limit, tonight included.

    `nights_before` are the names of what was beyond in each, newest first.
    """
    before = sum(name in night for night in nights_before[: LAST_NIGHTS - 1])
    return is_beyond + before >= ALERTING_NIGHTS


NIGHT, WEEK = "rows", "rows_in_week"
"""The figures: of a night, and of the seven nights that end with it."""
WEEKS = 8
"""Back, of the same weekday."""
FEWEST_WEEKS = 4
"""With which there is a usual volume."""
SHARE_ALLOWED = 0.5
"""Of what is usual: half as many more or less."""
DEVIATIONS_ALLOWED = 5.0
"""Robust ones, of what is usual: from the median distance to the median, which no single odd week moves."""
CHANCE = 2.87e-7
"""That a normal value is five deviations too low."""
_HALF_IS_LESS = 100.0
"""From this mean on half of it is less than five roots below it."""


def volume(rows: int, weeks: Sequence[int], figure: str = NIGHT) -> Watched:
    """Compare the rows of a night with the same weekday of other weeks; or those of a week with other weeks."""
    if len(weeks) < FEWEST_WEEKS:
        return Watched("", figure, rows, rows, state=State.INSUFFICIENT_DATA)
    usual = _median(weeks)
    deviation = 1.4826 * _median([abs(each - usual) for each in weeks])
    # A count alone varies by its root; a median of 0 may be that of a count which is now and then 1.
    more = max(SHARE_ALLOWED * usual, DEVIATIONS_ALLOWED * max(deviation, math.sqrt(max(usual, 1.0))))
    allowed = usual - _fewest(usual, deviation) if rows < usual else more
    return Watched("", figure, rows, rows, usual, allowed)


def _fewest(usual: float, deviation: float) -> float:
    """The count below which luck brings as many nights as normal values are five deviations too low, or half of the
    usual if that is less."""
    half = (1 - SHARE_ALLOWED) * usual
    # What varies more than a count of single patients is a count of clusters, with so many patients each.
    cluster = max(1.0, deviation**2 / usual)
    if usual / cluster >= _HALF_IS_LESS:
        return half
    # The largest count below which a Poisson count of that mean lies with the probability `CHANCE` at most.
    mean, count = usual / cluster, 0
    term = math.exp(-mean)
    smaller_or_equal = term
    while smaller_or_equal <= CHANCE:
        count += 1
        term *= mean / count
        smaller_or_equal += term
    return min(half, cluster * count)


def volumes(rows: Mapping[int, int]) -> tuple[Watched, Watched]:
    """The figures of tonight and of the week that ends with it; `rows` are by night, tonight being 0, the one before 1.

    A night that came to no good end is not among them: it says nothing of how many came, and what it left waiting comes
    with the next one. Where tonight is such a night, neither figure has a value.
    """
    if 0 not in rows:
        night, week = (Watched("", each, None, 0, state=State.INSUFFICIENT_DATA) for each in (NIGHT, WEEK))
        return night, week
    return _of_nights(rows), _of_week(rows)


def _of_nights(rows: Mapping[int, int]) -> Watched:
    found = [
        volume(rows[night], [rows[each] for each in range(night + 7, night + 7 * WEEKS + 1, 7) if each in rows])
        for night in sorted(rows)[:LAST_NIGHTS]
    ]
    tonight = found[0]
    before = [[each.name] if each.is_beyond else [] for each in found[1:]]
    if tonight.state == State.USUAL and alerts(tonight.is_beyond, tonight.name, before):
        return replace(tonight, state=State.ALERT)
    return tonight


def _of_week(rows: Mapping[int, int]) -> Watched:
    # Where a night has few rows it may have none by luck, a week less often. Too few alarm at once, since no single
    # night takes half of seven away. Too many never do: one night can bring those.
    weeks = [[rows[night] for night in range(7 * week, 7 * week + 7) if night in rows] for week in range(WEEKS + 1)]
    found = volume(sum(weeks[0]), [sum(nights) for nights in weeks[1:] if nights], WEEK)
    if found.is_beyond and sum(weeks[0]) < (found.reference or 0.0):
        return replace(found, state=State.ALERT)
    return found


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


NEVER_QUEUED = "never_queued"
"""The reason of rows that were written while the triggers were switched off, so that no scoring ever met them."""
NOT_LOOKED_UP = ""
"""The reason of rows that scoring has rejected, as long as they are so few that nobody need know more."""

Why = tuple[str, str, str]
"""The source whose pull rejected a row ("" where scoring did, or nobody), the reason and the column."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of rows without a prediction: more than the share are too many, unless they are fewer than the number."""

    share: float = 0.2
    rows: int = 10


USUAL_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule by which a night is judged."""

    limits: Limits = USUAL_LIMITS
    sources: tuple[str, ...] = ()
    """Whose rejections count: the sources that the settings declare."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Rows that have no prediction for one reason."""

    source: str
    """Whose pull rejected them; empty where scoring did, or where they never came to it."""
    reason: str
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The state that the next night is counted from. Each night leaves its own, so that none looks further back."""

    run_id: int = 0
    """Of the last good night."""
    counted_run_id: int = 0
    """The highest of the runs whose counts are in the figures."""
    highest_id: int = 0
    """Up to this id of a patient row none was found that never got into the queue."""
    drawn: int = 0
    """The counter of row versions when the run began that left this."""
    drawn_when_good: int = 0
    """The same of the last good night's run."""
    known_version: int = 0
    """Row versions up to here are neither new nor changed, even where they are scored once more. It lies a good night
    further back than the rest: who draws a version may commit it later than others commit higher ones."""
    standing: tuple[Cause, ...] = ()
    """Of each source what its pulls reject by now, and the rows that lack their stamps."""
    standing_when_good: tuple[Cause, ...] = ()
    """The least of it since the last good night."""
    pulls: Mapping[str, int] = field(default_factory=dict)
    """By source the run of its last pull that is counted."""


@dataclass(frozen=True, slots=True)
class Unpredicted:
    """The rows that were new or changed since the last good night, as of the end of a run of scoring."""

    number: int = 0
    """How many runs before it left such figures, as far as is known: of runs at once the higher id may be the older."""
    at: str = ""
    """When it was counted, in ISO format."""
    since: str = ""
    """When the last good night was; empty before the first."""
    predicted: int = 0
    """Row versions that got a prediction. Labelled rows need none, and count in nothing here."""
    causes: tuple[Cause, ...] = ()
    """Of the row versions that have none and that stand as they are, most rows first."""
    rejected_by_pulls: int = 0
    """How many of them the pulls since the run before have rejected."""
    is_good: bool = False
    """There were rows, and no more than the share lack a prediction: the next night counts from here."""
    marks: Marks = field(default_factory=Marks)

    @property
    def without(self) -> int:
        """Rows that have no prediction."""
        return sum(each.rows for each in self.causes)

    @property
    def rows(self) -> int:
        """All of them."""
        return self.predicted + self.without

    def are_too_many(self, limits: Limits) -> bool:
        """Whether people are to be told."""
        return self.without >= limits.rows and self.without > limits.share * self.rows


def is_good(found: Unpredicted, limits: Limits) -> bool:
    """Whether a night was good, with however few rows; one without rows says nothing."""
    return found.rows > 0 and found.without <= limits.share * found.rows


def begun_after(last: Unpredicted) -> Unpredicted:
    """Begin the next night: with all that counts, or with nothing yet where the last night was good."""
    if not last.is_good:
        return last
    marks = replace(
        last.marks,
        run_id=last.marks.counted_run_id,
        known_version=last.marks.drawn_when_good,
        drawn_when_good=last.marks.drawn,
        standing_when_good=last.marks.standing,
    )
    return Unpredicted(number=last.number, since=last.at, marks=marks)


@dataclass(frozen=True, slots=True)
class Pulled:
    """The rows whose outcome is not known that a pull rejected of one source."""

    run_id: int
    source: str
    is_whole: bool
    """All of the source was compared, so that this is all that it has of such rows."""
    rejected: Mapping[tuple[str, str], int]
    """By reason and column."""


def after_pulls(standing: Counter[Why], pulls: Sequence[Pulled]) -> Counter[Why]:
    """Count what stands rejected after these pulls, oldest first.

    After a pull of a part nobody knows which of the rows before have been mended, so these stay until all is compared.
    """
    found = Counter(standing)
    for pull in pulls:
        if pull.is_whole:
            found = Counter({why: rows for why, rows in found.items() if why[0] != pull.source})
        found.update({(pull.source, *why): rows for why, rows in pull.rejected.items()})
    return found


def as_counter(causes: Iterable[Cause]) -> Counter[Why]:
    """Convert causes to a counter, for working with."""
    return Counter({(each.source, each.reason, each.column): each.rows for each in causes})


def as_causes(found: Counter[Why]) -> tuple[Cause, ...]:
    """Convert a counter to causes, for keeping: most rows first, none without rows."""
    return tuple(Cause(*why, rows) for why, rows in sorted((+found).items(), key=lambda item: (-item[1], item[0])))
