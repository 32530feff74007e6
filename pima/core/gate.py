"""The gate: a challenger becomes champion only if it is better on the test set.

'Better' means strictly more correct predictions than the champion on the same holdout rows, both
scored now; or, if the operator asks for it, strictly lower log loss or strictly more net benefit.

A test set of all history would block recovery from a drift: for years most of its rows would favour
the old champion. The last weeks alone are too few rows in a quiet clinic. So the test set is what
was labelled in the last weeks; it reaches further back to a minimum of rows, and stops at a
maximum.

Accuracy is the rule that the gate has always had. If few patients have the outcome, even a model
with perfect probabilities is often right on no more rows than the majority class. Log loss (of the
probabilities) and net benefit (of the classes) still tell a good model from none. Net benefit is
that of Vickers and Elkin 2006 (Medical Decision Making 26:565): a false alarm costs the odds of the
threshold, in units of a found case.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.metrics import (
    Measure,
    PairedComparison,
    Scores,
    compare,
    correct,
    log_losses,
    lower_p,
    majority_correct,
    mcnemar_p,
    net_benefits,
    normal_interval,
    odds,
    paired_interval,
    scores,
)
from pima.core.reasons import (
    BETTER,
    LOG_LOSS_VETO_P,
    NOT_ABOVE,
    NOT_BETTER,
    Decision,
    Reason,
    sentence_of,
)
from pima.core.subgroups import WorstSubgroup, worst_subgroup

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    """How far back the test set reaches."""

    weeks: int = 26
    minimum_rows: int = 250
    """If fewer were labelled in those weeks, the test set reaches back to this many, or to all."""
    maximum_rows: int = 1_000
    """If more were labelled, only the newest count."""


def in_window(labelled_at: pd.Series, window: Window | None, now: "datetime") -> BoolArray:
    """Choose the holdout rows that are the test set, (n,); without a window, all.

    Of rows labelled at the same moment, later ones count as newer; so the patient id decides if the
    rows are in its order.
    """
    if window is None:
        return np.ones(len(labelled_at), dtype=bool)
    recent = int((labelled_at + np.timedelta64(window.weeks, "W") > now).sum())
    wanted = min(max(recent, window.minimum_rows), window.maximum_rows)
    chosen: BoolArray = (labelled_at.rank(method="first") > len(labelled_at) - wanted).to_numpy()
    return chosen


@dataclass(frozen=True)
class Contest:
    """Everything the rule looks at."""

    rows: pd.DataFrame
    """The whole holdout: `outcome`; the probabilities of the `Challenger`, from its stored,
    compiled bytes, and of the `Champion`, if one can be loaded; and for each row whether it is
    `InWindow` (the verdict is given on it), `Unseen` (the champion can't have learned from it: a
    patient may have been entered again under another id) and `Scorable` (the champion can score it
    by today's rules). By feature, the row's subgroup, from `pima.core.subgroups.groupings`."""
    challenger_threshold: float
    champion_threshold: float
    champion_unloadable: bool = False
    """There is a champion, but it can't be loaded, or does not give finite numbers."""
    parity_passed: bool = True
    """The compiled form agrees with Keras."""
    pinned: bool = False
    """A person has pinned the champion."""
    rolled_back_before: bool = False
    """A person has taken back a version that the same data and settings gave."""
    consultations: int = 1
    """How often the holdout has been asked for a verdict, this time included: each look uses up
    some of its value."""
    too_few_unseen: bool = False
    """There are too few unseen and scorable rows to compare the two models on."""

    @cached_property
    def outcomes(self) -> Int8Array:
        """(n,)"""
        return np.asarray(self.rows["outcome"])

    @cached_property
    def challenger(self) -> Float64Array:
        """(n,) probabilities."""
        return np.ascontiguousarray(self.rows["Challenger"])

    @cached_property
    def champion(self) -> Float64Array | None:
        """(n,) probabilities now; None if there is none to compare with."""
        return np.ascontiguousarray(self.rows["Champion"]) if "Champion" in self.rows else None


def without_broken_champion(contest: Contest) -> Contest:
    """Treat a champion that gives no finite number for a row that it can score like one that can't
    be loaded."""
    if contest.champion is None or np.isfinite(contest.champion[contest.rows["Scorable"]]).all():
        return contest
    rows = contest.rows.drop(columns="Champion").assign(Unseen=True, Scorable=True)
    return replace(contest, rows=rows, champion_unloadable=True, too_few_unseen=False)


def on_the_same_rows(contest: Contest) -> Contest:
    """Keep the rows that both models can be compared on; if these are too few, keep all rows,
    without the champion."""
    if contest.too_few_unseen:
        return replace(contest, rows=contest.rows.drop(columns="Champion", errors="ignore"))
    return only(contest, contest.rows["Unseen"] & contest.rows["Scorable"])


def judged_rows(contest: Contest) -> Contest:
    """The rows that a verdict is given on, with the models that are compared on them."""
    same = on_the_same_rows(without_broken_champion(contest))
    return only(same, same.rows["InWindow"])


def only(contest: Contest, which: pd.Series) -> Contest:
    """Keep the rows that `which` selects."""
    return replace(contest, rows=contest.rows[which])


TIE = 1e-12
"""Differences up to this are the rounding of a mean; the smallest real one of accuracy is 1 /
rows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of the measure that decides, on the test set; gains are above 0 if the challenger
    is better."""

    measure: Measure
    challenger: float
    """Its accuracy, log loss in nats (lower is better), or net benefit per row."""
    champion: float | None
    """The champion's; None if there is none to compare with, and then `gain` and all below it are
    None, too."""
    constant: float
    """The figure of the best answer that is the same for all rows: the majority class, the test
    set's own prevalence (the strictest constant, since it knows these outcomes), or treating all or
    none."""
    gain_on_constant: float
    gain: float | None
    """Over the champion, in the measure's unit."""
    interval_low: float | None
    """95 % interval of the gain, paired: for accuracy Agresti and Min's, else by the normal
    approximation."""
    interval_high: float | None
    p: float | None
    """McNemar's exact two-sided p for accuracy; else one-sided, by the normal approximation: how
    often a challenger that is no better would look at least this good."""
    whole_gain: float | None


def measured(measure: Measure, contest: Contest) -> Measured:
    """Compute all figures of a contest whose probabilities are finite numbers."""
    judged = only(contest, contest.rows["InWindow"])
    (challenger, champion), constant = worths(measure, judged), _constant_worths(measure, judged)
    gained, whole = gains(measure, judged), gains(measure, contest)
    low, high, p = (None, None, None) if gained is None else _uncertainty(measure, gained)
    return Measured(
        measure=measure,
        challenger=_figure(measure, challenger),
        champion=None if champion is None else _figure(measure, champion),
        constant=_figure(measure, constant),
        gain_on_constant=float((challenger - constant).mean()),
        gain=None if gained is None else float(gained.mean()),
        interval_low=low,
        interval_high=high,
        p=p,
        whole_gain=None if whole is None else float(whole.mean()),
    )


def gains(measure: Measure, contest: Contest) -> Float64Array | None:
    """How much better than the champion the challenger is on each row, (n,); None if there is no
    champion."""
    challenger, champion = worths(measure, contest)
    return None if champion is None else challenger - champion


def worths(measure: Measure, contest: Contest) -> tuple[Float64Array, Float64Array | None]:
    """The worth of the challenger's answer on each row, (n,), and of the champion's, if there is
    one."""
    own = contest.challenger_threshold
    # At its own threshold the champion would lose to an equal model as soon as the setting is
    # changed.
    asked = own if measure is Measure.NET_BENEFIT else contest.champion_threshold
    there = contest.champion
    champion = None if there is None else _worths(measure, contest, there, asked)
    return _worths(measure, contest, contest.challenger, own), champion


def _worths(
    measure: Measure, contest: Contest, probabilities: Float64Array, threshold: float
) -> Float64Array:
    """The worth of each answer, (n,): the higher, the better."""
    match measure:
        case Measure.ACCURACY:
            return correct(probabilities, contest.outcomes, threshold).astype(np.float64)
        case Measure.LOG_LOSS:
            return -log_losses(probabilities, contest.outcomes)
        case Measure.NET_BENEFIT:
            return net_benefits(
                probabilities, contest.outcomes, threshold, odds(contest.challenger_threshold)
            )


def _constant_worths(measure: Measure, contest: Contest) -> Float64Array:
    prevalence = float((contest.outcomes == 1).mean())
    answers = [prevalence] if measure is Measure.LOG_LOSS else [0.0, 1.0]
    # At any threshold, 0 is below it and 1 is not.
    worths = [
        _worths(measure, contest, np.full(len(contest.outcomes), answer), 0.5) for answer in answers
    ]
    return max(worths, key=lambda each: float(each.mean()))


def _figure(measure: Measure, worths: Float64Array) -> float:
    mean = float(worths.mean())
    return -mean if measure is Measure.LOG_LOSS else mean


def _uncertainty(measure: Measure, gains: Float64Array) -> tuple[float, float, float]:
    if measure is Measure.ACCURACY:
        won, lost = int((gains > 0).sum()), int((gains < 0).sum())
        return *paired_interval(won, lost, len(gains)), mcnemar_p(won, lost)
    return *normal_interval(gains), lower_p(-gains)


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Demands beyond the rule; none by default."""

    log_loss_veto: bool = False
    minimum_gain: float = 0.0
    """The least gain over the champion, in the measure's unit; for accuracy, 0.01 is one point."""
    approve: bool = False
    """A challenger that won waits for a person's `models promote`."""
    measure: Measure = Measure.ACCURACY
    subgroup_margin: float | None = None
    """The most by which it may be worse than the champion in a subgroup, in the measure's unit;
    None: no limit."""


@dataclass(frozen=True, slots=True)
class VerdictFigures:
    """The figures that a verdict rests on; the field names are keys of a retraining's JSON."""

    challenger_scores: Scores | None
    """On the test set; None if an output is not a finite number."""
    champion_scores: Scores | None
    comparison: PairedComparison | None
    """The paired comparison; None if there is nothing to compare."""
    majority_correct: int
    """Rows of the test set on which always guessing the more frequent class is right."""
    measured: Measured | None
    """The figures of the measure that decides; None if `challenger_scores` is."""
    whole_rows: int
    whole_accuracy_difference: float | None
    """Challenger minus champion on the whole holdout, window or not."""
    consultations: int
    seen_rows: int
    """Holdout rows that the champion may have learned from: left out for both models, if enough
    others remain."""
    unscorable_rows: int
    """Holdout rows that the champion can't score by today's rules: left out for both models."""
    worst_subgroup: WorstSubgroup | None = None
    """The subgroup in which the challenger does worst against the champion; None without a
    `subgroup_margin`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of the gate, and why."""

    decision: Decision
    reason: Reason
    sentence: str
    figures: VerdictFigures


def decide(contest: Contest, options: GateOptions) -> Verdict:
    """Judge one contest. Ties keep the champion; a first champion must beat the best constant
    answer."""
    # On the whole holdout, as for the champion: a model that gives one patient no number can't be
    # relied on.
    is_finite = bool(np.isfinite(contest.challenger).all())
    contest = without_broken_champion(contest)
    left_out = [int((~contest.rows[name]).sum()) for name in ("Unseen", "Scorable")]
    contest = on_the_same_rows(contest)
    found = _figures(contest, is_finite, options, *left_out)
    decision, reason = _rule(contest, options, found)
    return Verdict(decision, reason, sentence_of(contest, decision, reason, found), found)


def _figures(
    contest: Contest, is_finite: bool, options: GateOptions, seen_rows: int, unscorable_rows: int
) -> VerdictFigures:
    judged = only(contest, contest.rows["InWindow"])
    challenger = champion = comparison = by_measure = worst = whole = None
    if is_finite:
        challenger = scores(judged.challenger, judged.outcomes, judged.challenger_threshold)
        by_measure = measured(options.measure, contest)
        gained = None if options.subgroup_margin is None else gains(options.measure, judged)
        worst = None if gained is None else worst_subgroup(gained, judged.rows)
    if judged.champion is not None:
        champion = scores(judged.champion, judged.outcomes, judged.champion_threshold)
    if challenger is not None and judged.champion is not None:
        whole = gains(Measure.ACCURACY, contest)
        comparison = compare(
            correct(judged.challenger, judged.outcomes, judged.challenger_threshold),
            correct(judged.champion, judged.outcomes, judged.champion_threshold),
            log_losses(judged.challenger, judged.outcomes),
            log_losses(judged.champion, judged.outcomes),
        )
    return VerdictFigures(
        challenger_scores=challenger,
        champion_scores=champion,
        comparison=comparison,
        majority_correct=majority_correct(judged.outcomes),
        measured=by_measure,
        whole_rows=len(contest.outcomes),
        whole_accuracy_difference=None if whole is None else float(whole.mean()),
        consultations=contest.consultations,
        seen_rows=seen_rows,
        unscorable_rows=unscorable_rows,
        worst_subgroup=worst,
    )


def _rule(contest: Contest, options: GateOptions, found: VerdictFigures) -> tuple[Decision, Reason]:
    if found.challenger_scores is None or found.measured is None:
        return Decision.BLOCKED, Reason.NOT_FINITE
    if not contest.parity_passed:
        return Decision.BLOCKED, Reason.PARITY_FAILED
    if contest.too_few_unseen:
        return Decision.BLOCKED, Reason.TOO_FEW_UNSEEN
    if found.majority_correct == found.challenger_scores.rows:
        return Decision.BLOCKED, Reason.SINGLE_CLASS
    gain, gain_on_constant = found.measured.gain, found.measured.gain_on_constant
    if gain_on_constant < -TIE or (gain is None and gain_on_constant <= TIE):
        return Decision.NOT_BETTER, NOT_ABOVE[options.measure]
    if gain is not None and gain <= TIE:
        return Decision.NOT_BETTER, NOT_BETTER[options.measure]
    return _kept_out(contest, options, found, gain) or _won(contest, options.measure)


def _kept_out(
    contest: Contest, options: GateOptions, found: VerdictFigures, gain: float | None
) -> tuple[Decision, Reason] | None:
    """Find the option, or the person's decision, that keeps out a challenger that has won."""
    comparison, worst = found.comparison, found.worst_subgroup
    if gain is not None and gain < options.minimum_gain:
        return Decision.NOT_BETTER, Reason.BELOW_MINIMUM_GAIN
    asked = {
        Reason.LOG_LOSS_VETO: comparison
        and options.log_loss_veto
        and not comparison.log_loss_p < LOG_LOSS_VETO_P,
        Reason.SUBGROUP_WORSE: worst and worst.gain < -(options.subgroup_margin or 0.0) - TIE,
        Reason.ROLLED_BACK_BEFORE: contest.rolled_back_before,
        Reason.PINNED: contest.pinned,
        Reason.AWAITS_APPROVAL: options.approve,
    }
    return next(((Decision.BLOCKED, reason) for reason, blocks in asked.items() if blocks), None)


def _won(contest: Contest, measure: Measure) -> tuple[Decision, Reason]:
    if contest.champion is not None:
        return Decision.PROMOTED, BETTER[measure]
    if contest.champion_unloadable:
        return Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE
    return Decision.PROMOTED, Reason.FIRST_CHAMPION
