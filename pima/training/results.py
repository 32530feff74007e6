"""What a retraining decided, as a record; its fields are the keys of the run's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pima.core.contest import Measured
from pima.core.evidence import Evidence
from pima.core.figures import Figure
from pima.core.history import Split
from pima.core.metrics import Comparison, Scores
from pima.core.promotion import Verdict
from pima.core.subgroups import WorstSubgroup
from pima.process.recorded_run import INLINED


@dataclass(frozen=True, slots=True)
class HistoryRows:
    """How many labelled rows there were."""

    training_rows: int
    """A model may learn from these."""
    holdout_rows: int
    """Models are judged on these, or on the recent ones of them."""
    left_out: Mapping[str, int]
    """Rows that are used for nothing, by reason."""
    twins_kept: int = 0
    """Training rows that equal a holdout row, where those are so many that it says nothing."""

    @classmethod
    def of(cls, history: Split) -> "HistoryRows":
        """Of a history as it was read."""
        return cls(len(history.training), len(history.holdout), history.left_out, history.twins_kept)


@dataclass(frozen=True, slots=True)
class Brief:
    """Two figures of a challenger's evidence, each None where it or the evidence has none."""

    auroc: float | None
    """Whom it tells apart: 0.5 is by chance, 1 is best."""
    calibration_slope: float | None
    """1 is best; below it the probabilities are too extreme."""

    @classmethod
    def of(cls, evidence: Evidence) -> "Brief":
        """To the digits that people read."""
        found = evidence.challenger
        return cls(None, None) if found is None else cls(_brief(found.auroc), _brief(found.calibration_slope))


def _brief(figure: Figure) -> float | None:
    return None if figure.value is None else round(figure.value, 3)


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """What the gate decided in this run; figures as in `pima.core.promotion.Verdict`."""

    verdict: str
    reason: str
    """A code that scripts can rely on."""
    explanation: str
    """The reason for people."""
    champion_before: int | None
    """The version that the challenger was judged against; None where there was none."""
    challenger: int | None
    """Its version's number; None in a dry run, which stores none."""
    judged_before: bool = field(default=False, init=False)
    challenger_scores: Scores | None
    champion_scores: Scores | None
    comparison: Comparison | None
    majority_correct: int
    measured: Measured | None
    whole_rows: int
    whole_accuracy_difference: float | None
    consultations: int
    seen_rows: int
    unscorable_rows: int
    worst_subgroup: WorstSubgroup | None
    brief: Brief = field(metadata=INLINED)

    @classmethod
    def of(cls, verdict: Verdict, brief: Brief, champion_before: int | None, challenger: int | None) -> "NewVerdict":
        """Of a verdict, what its evidence says in brief, and the versions that it is about."""
        return cls(
            verdict=verdict.decision,
            reason=verdict.reason,
            explanation=verdict.sentence,
            champion_before=champion_before,
            challenger=challenger,
            challenger_scores=verdict.challenger,
            champion_scores=verdict.champion,
            comparison=verdict.comparison,
            majority_correct=verdict.majority_correct,
            measured=verdict.measured,
            whole_rows=verdict.whole_rows,
            whole_accuracy_difference=verdict.whole_accuracy_difference,
            consultations=verdict.consultations,
            seen_rows=verdict.seen_rows,
            unscorable_rows=verdict.unscorable_rows,
            worst_subgroup=verdict.worst_subgroup,
            brief=brief,
        )


@dataclass(frozen=True, slots=True)
class EarlierVerdict:
    """What the gate decided in an earlier run on the same data, settings and champion; it stands."""

    verdict: str
    reason: str
    explanation: str
    judged_before: bool = field(default=True, init=False)
    challenger: int | None
    """The version that was judged then."""


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """What a retraining has come to so far."""

    rows: HistoryRows = field(metadata=INLINED)
    verdict: NewVerdict | EarlierVerdict | None = field(default=None, metadata=INLINED)
    """None until there is one."""
