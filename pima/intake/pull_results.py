"""What a pull did: the fields are the keys of its JSON."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from pima.core.mapping import SourceTally
from pima.intake.extent import Called
from pima.store.arrivals import Taken
from pima.store.runs import Status


@dataclass(frozen=True, slots=True)
class PulledSource:
    """What became of the rows of one source; of a dry run, what would."""

    source: str
    compared: Called | None = None
    """How much of it; None where it has not come so far."""
    rows: int = 0
    """Read."""
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    """Rows that break a rule; ours are left as they are."""
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    rejected_by_field: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By reason, and then by feature, those that broke a feature's rule."""
    rejected_unlabelled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Those whose outcome is not known, so that they get no prediction: by reason, and by feature where it broke one's
    rule. People who were forgotten are none of them; nor are, where only what has changed was compared, rows that the
    pull before has read as well."""
    unknown_taken: Mapping[str, int] = field(default_factory=dict)
    """By feature, values that nobody knows and that were taken for what the feature says."""
    outcomes_held_back: int = 0
    """Outcomes whose time is still to come: they come in then."""
    outcomes_inserted: int = 0
    """Outcomes of new rows."""
    outcomes_arrived: int = 0
    outcomes_corrected: int = 0
    outcomes_cleared: int = 0
    vanished: int = 0
    """Our rows that are no longer in the source."""
    deleted: int = 0
    status: str = Status.RUNNING
    """As of a run; where it is still running when the run has ended, it ended with that."""
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class PullResult:
    """Of all sources that were pulled, in the order of the settings."""

    sources: tuple[PulledSource, ...] = ()


def as_read(begun: PulledSource, tally: SourceTally, features: Collection[str]) -> PulledSource:
    """Before anything is compared."""
    rejected: Counter[str] = Counter()
    by_field: dict[str, dict[str, int]] = {}
    for (reason, column), rows in sorted((+tally.rejected).items()):
        rejected[reason] += rows
        if column in features:
            by_field.setdefault(reason, {})[column] = rows
    unlabelled: dict[str, dict[str, int]] = {}
    for (reason, column), rows in sorted((+tally.rejected_unlabelled).items()):
        unlabelled.setdefault(reason, {})[column if column in features else ""] = rows
    return replace(
        begun,
        rows=tally.rows,
        rejected=rejected.total(),
        rejected_by_reason=dict(rejected),
        rejected_by_field=by_field,
        rejected_unlabelled=unlabelled,
        unknown_taken=dict(sorted((+tally.unknown).items())),
        outcomes_held_back=tally.held_back,
    )


def with_taken(result: PulledSource, taken: Taken) -> PulledSource:
    """With a block more taken in."""
    more = {name: getattr(taken, name) for name in ("inserted", "updated", "deleted")}
    more |= {f"outcomes_{name}": count for name, count in asdict(taken.outcomes).items()}
    return replace(result, **{name: getattr(result, name) + count for name, count in more.items()})
