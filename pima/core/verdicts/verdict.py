"""The figures that a verdict rests on, as records; the ledger keeps them in this form."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec import Struct, field

from pima.core.statistics.discrimination import auroc
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.statistics.samples import NO_CASES, NO_OTHERS, Sample


class Measure(StrEnum):
    """The measure by which a challenger must be better; the values of the setting gate.measure.

    `pima.core.verdicts.gate` applies it, `pima.core.verdicts.reasons` puts it into words.
    """

    ACCURACY = "accuracy"
    LOG_LOSS = "log_loss"
    NET_BENEFIT = "net_benefit"
    """Both models' classes are taken at one threshold, the challenger's, whose odds are the cost of
    a false alarm: the same model at another threshold is no gain."""


@dataclass(frozen=True, slots=True)
class Performance:
    """How well one model version predicts one set of rows."""

    rows: int
    correct: int
    """Predictions whose class is the outcome: an integer, so that 'better' needs no rounding."""
    accuracy: float
    log_loss: float
    """Mean negative log likelihood, natural logarithm; lower is better."""
    brier: float
    """Mean squared difference of probability and outcome; lower is better."""
    auc: float | None
    """Area under the ROC curve; None if only one class is present."""
    sensitivity: float | None
    """The share of rows with outcome 1 that are predicted 1; None if there are none."""
    specificity: float | None
    """The share of rows with outcome 0 that are predicted 0; None if there are none."""


def performance_of(rows: Sample) -> Performance:
    """Compute all figures of rows (n,), n >= 1."""
    right = rows.correct
    return Performance(
        rows=len(rows),
        correct=int(right.sum()),
        accuracy=float(right.mean()),
        log_loss=float(rows.log_losses.mean()),
        brier=float(rows.squared_errors.mean()),
        auc=auroc(rows).value,
        sensitivity=rows.proportion(right, rows.cases, NO_CASES).value,
        specificity=rows.proportion(right, ~rows.cases, NO_OTHERS).value,
    )


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Challenger against champion; differences are challenger minus champion."""

    only_challenger_correct: int
    """Rows on which the challenger is right and the champion wrong."""
    only_champion_correct: int
    accuracy_difference: float
    interval_low: float
    """95 % interval of the accuracy difference: Agresti and Min 2005, Wald with half a row in each
    cell."""
    interval_high: float
    mcnemar_p: float
    """Exact two-sided: how often fair coins would split the discordant rows at least this
    unevenly. Where persons come again, of as many rows as say as much."""
    minimum_detectable_difference: float
    """2.49 * sqrt(d / n) with d the share of discordant rows: smaller true differences are mostly
    missed. 2.49 is z(0.95) + z(0.80), rounded up: what a one-sided test at 5 % would find four
    times in five."""
    log_loss_difference: float
    """Below 0 if the challenger is better."""
    log_loss_p: float
    """One-sided, normal approximation: how often a challenger that is no better would look at least
    this good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of the measure that decides, on the test set; gains are above 0 if the challenger
    is better."""

    measure: Measure
    challenger: float
    """Its accuracy, log loss in nats (lower is better), or net benefit per row."""
    champion: float | None = None
    """The champion's; None if there is none to compare with, and then `gain` and all below it are
    None, too."""
    constant: float
    """The figure of the best answer that is the same for all rows: the majority class, the test
    set's own prevalence (the strictest constant, since it knows these outcomes), or treating all or
    none."""
    gain_on_constant: float
    gain: float | None = None
    """Over the champion, in the measure's unit."""
    interval_low: float | None = None
    """95 % interval of the gain, paired: for accuracy Agresti and Min's, else by the normal
    approximation."""
    interval_high: float | None = None
    p: float | None = None
    """McNemar's exact two-sided p for accuracy; else one-sided, by the normal approximation: how
    often a challenger that is no better would look at least this good."""
    whole_gain: float | None = None


def gain_of(measured: Measured | None) -> Estimate | None:
    """The gain that a verdict rests on; None if there was nobody to compare with."""
    if measured is None or measured.gain is None:
        return None
    return Estimate(measured.gain, measured.interval_low, measured.interval_high)


def gained(measured: Measured | None) -> str:
    """Write the gain that a verdict rests on behind other words; empty if there was nobody to
    compare with."""
    gain = gain_of(measured)
    return "" if gain is None else f"; gain {in_words(gain, 4)}"


@dataclass(frozen=True, slots=True)
class WorstSubgroup:
    """The subgroup in which a challenger does worst against the champion."""

    feature: str
    group: str
    rows: int
    gain: float
    """Over the champion, in the measure's unit; below 0 if the challenger is worse."""


class AgainstScore(Struct, frozen=True, kw_only=True):
    """A first challenger beside the score that it must beat."""

    name: str
    measure: Measure
    rows: int
    """Rows of the test set of which the score is known."""
    positive: int
    """Those with outcome 1."""
    gain: float | None = None
    """Over the score, in the measure's unit; None on too few rows."""
    p: float | None = None
    """One-sided, by the normal approximation: how often a challenger that is no better would look
    at least this good."""
    log_loss_p: float | None = None
    """The same p for log loss, whatever the measure is."""


class VerdictFigures(Struct, frozen=True, kw_only=True):
    """The figures that a verdict rests on; the field names are keys of a retraining's JSON."""

    challenger_scores: Performance | None = field(default=None, name="challenger")
    """On the test set; None if an output is not a finite number."""
    champion_scores: Performance | None = field(default=None, name="champion")
    comparison: PairedComparison | None = None
    """The paired comparison; None if there is nothing to compare."""
    majority_correct: int
    """Rows of the test set on which always guessing the more frequent class is right."""
    measured: Measured | None = None
    """The figures of the measure that decides; None if `challenger_scores` is."""
    whole_rows: int
    whole_accuracy_difference: float | None = None
    """Challenger minus champion on the whole holdout, window or not."""
    consultations: int
    seen_rows: int = 0
    """Holdout rows that the champion may have learned from: left out for both models, if enough
    others remain."""
    unscorable_rows: int = 0
    """Holdout rows that the champion can't score by today's rules: left out for both models."""
    worst_subgroup: WorstSubgroup | None = None
    """The subgroup in which the challenger does worst against the champion; None without a
    `subgroup_margin`."""
    window: str | None = None
    """The setting `gate.window`."""
    test_set_rows: int | None = None
    holdout_order: str | None = None
    """The fingerprint of the holdout's order in time, which decides the rows that are recent."""
    against_score: AgainstScore | None = None
    """The first challenger beside the score that `gate.first_must_beat` names."""

    @property
    def rows(self) -> int | None:
        """The rows that the challenger was judged on; None if the challenger gave no numbers."""
        return None if self.challenger_scores is None else self.challenger_scores.rows

    @property
    def measure(self) -> Measure:
        """The measure that decides; accuracy, where the challenger gave no numbers."""
        return Measure.ACCURACY if self.measured is None else self.measured.measure

    @property
    def by_role(self) -> dict[str, float]:
        """By role, the figure of the measure that decides, for those who have one. If the
        challenger gave no numbers, that is the champion's accuracy alone."""
        found: dict[str, float | None] = {}
        if self.measured is not None:
            found = {"challenger": self.measured.challenger, "champion": self.measured.champion}
        elif self.champion_scores is not None:
            found = {"champion": self.champion_scores.accuracy}
        return {role: figure for role, figure in found.items() if figure is not None}


def stored_figures(figures: VerdictFigures | None) -> dict[str, object]:
    """The column `figures` of the ledger; a person's move has none."""
    if figures is None:
        return {}
    stored: dict[str, object] = msgspec.to_builtins(figures)
    if figures.against_score is None:
        # A key that most databases have no use for.
        del stored["against_score"]
    return stored


def read_verdict_figures(stored: object) -> VerdictFigures | None:
    """Read the column `figures` of the ledger; None for a person's move."""
    return msgspec.convert(stored, VerdictFigures) if stored else None
