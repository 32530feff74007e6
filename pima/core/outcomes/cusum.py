"""Alarms over settled outcomes: cumulative sums of evidence that the predictions no longer hold.

A sum adds up, day by day, how much better a fault explains the outcomes than a sound model does
(the log likelihood ratio), and never falls below zero (Page, Biometrika 1954). The sound model may
be as wrong as one that learned from 60 to 80 cases is: its log odds are drawn towards the constant,
and its odds lie within a band. Each outcome is compared with what the version that predicted it
said. `make bench-gate` measures how often luck alone alarms, and how soon a fault does.
"""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.nights.kinds import OUTCOME_ALARMS, OutcomeAlarm, State, Watched
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.discrimination import auroc
from pima.core.statistics.samples import log_odds, sample_of

DRAWN_TO = 0.8
"""How much of its distance from the constant a sound model's log odds keep."""
FACTOR = 2.2
BAND = 1.3
"""The outcome is more frequent if its odds are the predicted ones times the factor; a sound model's
are those times the band. For less frequent ones the odds are divided."""
BARS = (11.0, 9.0, 10.0)
"""The sums from which on each fault alarms."""
HELD = 7.0
"""The most that the sum of an alarm is, so that a model that is right again soon brings it down."""
MOST_CERTAIN = 0.999
"""Probabilities beyond it count as this, so that no single outcome alarms."""
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class PredictedOutcomes:
    """Outcomes (n,) in the order in which they count, with the last prediction before each."""

    over_at: Float64Array
    """When each horizon was over; without one, when the outcome became known. In seconds since
    1970."""
    versions: Int64Array
    probabilities: Float64Array
    outcomes: Int8Array
    constants: Float64Array
    """The prevalence among the training rows of the version that predicted it."""


@dataclass(frozen=True, slots=True)
class FoundFault:
    """What the outcomes since a fault's sum was last zero say of it."""

    figure: Watched
    """The area under the ROC curve of their predictions where the constant would do better; else
    the share of outcome 1, with that of the probabilities as reference."""
    versions: dict[int, int]
    """How many of the outcomes each version predicted."""


def alarms(found: PredictedOutcomes) -> dict[OutcomeAlarm, FoundFault]:
    """The faults that alarm after these outcomes; there must be one at least.

    A sum goes on when another version predicts, since another champion is no evidence that a fault
    is gone.
    """
    evidence = evidence_of(found.probabilities, found.outcomes, found.constants)
    days = found.over_at // SECONDS_A_DAY
    begins = np.flatnonzero(np.diff(days, prepend=-np.inf)).tolist()
    sums = np.zeros(len(OUTCOME_ALARMS))
    alarming = sums > 0
    first_rows = np.zeros(len(OUTCOME_ALARMS), int)
    for begin, next_begin in pairwise([*begins, len(days)]):
        sums, alarming = at_end_of_day(sums, alarming, evidence[begin:next_begin].sum(axis=0))
        # What brought a sum up came after it was last at zero.
        first_rows[sums == 0] = next_begin
    return {
        fault: _alarm(fault, found, slice(first_row, None))
        for fault, is_alarming, first_row in zip(OUTCOME_ALARMS, alarming, first_rows, strict=True)
        # Of fewer no figure is told.
        if is_alarming and len(days) - first_row >= FEWEST_ROWS
    }


def _alarm(fault: OutcomeAlarm, found: PredictedOutcomes, rows: slice) -> FoundFault:
    probabilities = found.probabilities[rows]
    outcomes = found.outcomes[rows]
    figure = Watched(
        "",
        fault,
        float(outcomes.mean()),
        len(outcomes),
        reference=float(probabilities.mean()),
        state=State.ALERT,
    )
    area = auroc(sample_of(probabilities, outcomes).ranked)
    if fault is OutcomeAlarm.NO_BETTER_THAN_CONSTANT and area.value is not None:
        figure = replace(figure, value=area.value, low=area.low, high=area.high, reference=None)
    return FoundFault(figure, dict(sorted(Counter(found.versions[rows].tolist()).items())))


def at_end_of_day(
    sums: Float64Array, alarms: BoolArray, evidence: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """Add a day's evidence to the sums, and say which faults alarm, all (..., faults).

    An alarm begins where a sum is at its bar. It is over where the sum is back at zero, and by
    nothing else.
    """
    added = np.clip(sums + evidence, 0, BARS)
    alarming = (alarms | (added >= BARS)) & (added > 0)
    return np.where(alarming, np.minimum(added, HELD), added), alarming


def evidence_of(
    probabilities: Float64Array, outcomes: Int8Array, constants: Float64Array
) -> Float64Array:
    """The log likelihood ratio of each fault against a sound model: (..., faults), for outcomes
    (...)."""
    predicted, constant = (
        log_odds(np.clip(each, 1 - MOST_CERTAIN, MOST_CERTAIN))
        for each in (probabilities, constants)
    )
    factor = np.log(FACTOR)
    band = np.log(BAND)
    pairs = (
        (constant, constant + DRAWN_TO * (predicted - constant)),
        (predicted + factor, predicted + band),
        (predicted - factor, predicted - band),
    )
    ratios = [
        _log_likelihoods(fault, outcomes) - _log_likelihoods(sound, outcomes)
        for fault, sound in pairs
    ]
    return np.stack(ratios, axis=-1)


def _log_likelihoods(predicted: Float64Array, outcomes: Int8Array) -> Float64Array:
    return outcomes * predicted - np.log1p(np.exp(predicted))
