"""Rows without a prediction: how many, why, and from where the next night counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pima.core.rows.validation import UNKNOWN_CODE

NEVER_QUEUED = "never_queued"
"""The reason of rows that were written while the triggers were switched off, so that scoring never
met them."""

_OF_ALL_ALIKE = (NEVER_QUEUED, UNKNOWN_CODE)
"""Reasons that are no fault of a single row: all rows of a site that is not declared have one."""

Why = tuple[str, str, str]
"""The source whose pull rejected a row ("" if no pull did), the reason and the column."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of rows without a prediction: more than the share are too many, unless they are fewer
    than the number."""

    share: float = 0.2
    rows: int = 10


USUAL_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule by which a night is judged."""

    limits: Limits = USUAL_LIMITS
    sources: tuple[str, ...] = ()
    """The sources whose rejections count: those that the settings declare."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Rows that have no prediction for one reason."""

    source: str
    """The source whose pull rejected them; empty if scoring did, or if they never reached it."""
    reason: str
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The state that the next night is counted from. Each night stores its own, so none has to look
    further back."""

    run_id: int = 0
    """The run of the last good night."""
    counted_run_id: int = 0
    """The highest id of a run whose counts are in the figures."""
    highest_id: int = 0
    """Up to this patient id, no row was found that never got into the queue."""
    drawn: int = 0
    """The counter of row versions at the start of the run that left these marks."""
    drawn_when_good: int = 0
    """Its value at the start of the last good night's run."""
    known_version: int = 0
    """Row versions up to this one are neither new nor changed, even if they are scored again. This
    mark is one good night older than the others, since a version may be committed later than higher
    ones."""
    pulls: Mapping[str, int] = field(default_factory=dict)
    """The newest run whose rejections the last good night has seen, by source: of two sources
    pulled at once, the rejections by the newer run may be committed first."""


@dataclass(frozen=True, slots=True)
class Unpredicted:
    """The rows that were new or changed since the last good night, as of the end of a run of
    scoring."""

    number: int = 0
    """The number of earlier runs that left such figures; of parallel runs, the higher id may be the
    older."""
    at: str = ""
    """The time of the count, in ISO format."""
    since: str = ""
    """The time of the last good night; empty before the first."""
    predicted: int = 0
    """Row versions that got a prediction. Labelled rows need none, and are not counted here."""
    causes: tuple[Cause, ...] = ()
    """The causes of current row versions without a prediction, most rows first."""
    rejected_by_pulls: int = 0
    """The number of these that pulls have rejected since the run before."""
    is_good: bool = False
    """There were rows, and no more than the allowed share lacks a prediction: the next night counts
    from here."""
    marks: Marks = field(default_factory=Marks)
    lately: "Unpredicted | None" = None
    """The rows of the last weeks, however good each night was."""

    @property
    def without(self) -> int:
        """Rows that have no prediction."""
        return sum(each.rows for each in self.causes)

    @property
    def rows(self) -> int:
        """All rows, with and without a prediction."""
        return self.predicted + self.without

    def are_too_many(self, limits: Limits) -> bool:
        """Whether too many rows lack a prediction."""
        return self.without >= limits.rows and self.without > limits.share * self.rows

    def too_many(self, limits: Limits) -> "Unpredicted | None":
        """The figures that are too many: these, or else those of the last weeks, of which a quarter
        of the share is allowed, and fewer than the number for a cause that takes all rows alike."""
        if self.are_too_many(limits):
            return self
        weeks = self.lately or Unpredicted()
        alike = [each.rows for each in weeks.causes if each.reason in _OF_ALL_ALIKE]
        if weeks.are_too_many(Limits(limits.share / 4, limits.rows)):
            return weeks
        return weeks if max(alike, default=0) >= limits.rows else None


def is_good(found: Unpredicted, limits: Limits) -> bool:
    """Whether a night was good, with however few rows; one without rows says nothing."""
    return found.rows > 0 and found.without <= limits.share * found.rows


def begun_after(last: Unpredicted) -> Unpredicted:
    """Begin the next night: with the counts so far, or from zero if the last night was good."""
    if not last.is_good:
        return last
    marks = replace(
        last.marks,
        run_id=last.marks.counted_run_id,
        known_version=last.marks.drawn_when_good,
        drawn_when_good=last.marks.drawn,
    )
    return Unpredicted(number=last.number, since=last.at, marks=marks, lately=last.lately)


def as_counter(causes: Iterable[Cause]) -> Counter[Why]:
    """Convert causes to a counter, to calculate with."""
    return Counter({(each.source, each.reason, each.column): each.rows for each in causes})


def as_causes(found: Counter[Why]) -> tuple[Cause, ...]:
    """Convert a counter to causes, to be stored: most rows first, none without rows."""
    return tuple(
        Cause(*why, rows)
        for why, rows in sorted((+found).items(), key=lambda item: (-item[1], item[0]))
    )
