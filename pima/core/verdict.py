"""The figures that a verdict rests on."""

from dataclasses import dataclass

from pima.core.metrics import Measure, PairedComparison, Scores


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


@dataclass(frozen=True, slots=True)
class WorstSubgroup:
    """The subgroup in which a challenger does worst against the champion."""

    feature: str
    group: str
    rows: int
    gain: float
    """Over the champion, in the measure's unit; below 0 if the challenger is worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFigures:
    """The figures that a verdict rests on; the field names are keys of a retraining's JSON."""

    challenger_scores: Scores | None = None
    """On the test set; None if an output is not a finite number."""
    champion_scores: Scores | None = None
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
