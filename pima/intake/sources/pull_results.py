"""The results of a pull; the fields are the keys of its JSON."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from pima.core.rows.mapping import SourceTally, one_sided
from pima.intake.sources.extent import ExtentName
from pima.store.rows.arrivals import Taken
from pima.store.service.runs import Status


@dataclass(frozen=True, slots=True)
class PulledSource:
    """The result for one source; in a dry run, what a pull would do."""

    source: str
    compared: ExtentName | None = None
    """The extent that was compared; None if the pull has not come that far."""
    rows: int = 0
    """Rows that were read."""
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    """Rows that break a rule; our copies of them stay as they are."""
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    rejected_by_field: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rejected rows that broke a feature's rule, by reason and then by feature."""
    unknown_taken: Mapping[str, int] = field(default_factory=dict)
    """Unrecognised values that were read as the feature's `unknown` says, by feature."""
    one_sided_times: Mapping[str, str] = field(default_factory=dict)
    """What is said of times that are empty for one of both outcomes."""
    before_person: int = 0
    """Rows that had come before their person was known, or as another person's; many are
    `side_undecided` then."""
    outcomes_held_back: int = 0
    """Outcomes whose time is still to come; they are taken in then, and until then a known one
    stays as it is."""
    outcomes_inserted: int = 0
    """Outcomes of new rows."""
    outcomes_arrived: int = 0
    outcomes_corrected: int = 0
    outcomes_cleared: int = 0
    vanished: int = 0
    """Our rows that are no longer in the source."""
    deleted: int = 0
    undeletable: int = 0
    """Vanished rows that a foreign key or a trigger of yours keeps; a dry run does not try."""
    status: str = Status.RUNNING
    """A run's status. If it is `running` after the run has ended, the pull ended with the run."""
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class PullResult:
    """The results for all pulled sources, in the order of the settings."""

    sources: tuple[PulledSource, ...] = ()


def as_read(begun: PulledSource, tally: SourceTally, features: Collection[str]) -> PulledSource:
    """The result after the source was read, before anything is compared."""
    rejected: Counter[str] = Counter()
    by_field: dict[str, dict[str, int]] = {}
    for (reason, column), rows in sorted((+tally.rejected).items()):
        rejected[reason] += rows
        if column in features:
            by_field.setdefault(reason, {})[column] = rows
    return replace(
        begun,
        rows=tally.rows,
        rejected=rejected.total(),
        rejected_by_reason=dict(rejected),
        rejected_by_field=by_field,
        unknown_taken=dict(sorted((+tally.unknown).items())),
        one_sided_times={
            time: what for time, empty in tally.timeless.items() if (what := one_sided(empty))
        },
        outcomes_held_back=tally.held_back,
    )


def with_taken(result: PulledSource, taken: Taken) -> PulledSource:
    """Add the counts of one more block that was taken in."""
    more = {
        name: getattr(taken, name) for name in ("inserted", "updated", "deleted", "undeletable")
    }
    more |= {f"outcomes_{name}": count for name, count in asdict(taken.outcomes).items()}
    return replace(result, **{name: getattr(result, name) + count for name, count in more.items()})
