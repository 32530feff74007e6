"""Rows that were new or changed since the last good night and have no prediction: how many, why, and whether too many.

Without numpy, which an empty night does without.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
