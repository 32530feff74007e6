"""Alarms over settled outcomes: cumulative sums of evidence that the predictions no longer hold.

A sum adds up, day by day, how much better a fault explains the outcomes than a sound model does
(the log likelihood ratio), and never falls below zero (Page, Biometrika 1954). The sound model may
be as wrong as one that learned from 60 to 80 cases is: its log odds are drawn towards the constant,
and its odds lie within a band. Each outcome is compared with what the version that predicted it
said. `make bench-gate` measures how often luck alone alarms, and how soon a fault does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.figures import FEWEST_ROWS
from pima.core.watched import OUTCOME_ALARMS, OutcomeAlarm

DRAWN_TO = 0.8
"""How much of its distance from the constant a sound model's log odds keep."""
FACTOR = 2.2
BAND = 1.3
"""The outcome is more frequent if its odds are the predicted ones times the factor; a sound model's
are those times the band. For less frequent ones the odds are divided."""
BARS = (10.0, 8.0, 8.0)
"""The sums from which on each fault alarms."""
MOST_CERTAIN = 0.999
"""Probabilities beyond it count as this, so that no single outcome alarms."""
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class PredictedOutcomes:
    """Outcomes (n,) in the order in which they settled, with the last prediction before each.
    Moments are seconds since 1970."""

    settled_at: Float64Array
    predicted_at: Float64Array
    versions: Int64Array
    probabilities: Float64Array
    outcomes: Int8Array
    constants: Float64Array
    """The prevalence among the training rows of the version that predicted it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the outcomes say of one fault, since its sum was last zero."""

    fault: OutcomeAlarm
    alarms: bool
    versions: dict[int, int]
    """How many of these outcomes each version predicted."""
    observed: int
    """How many of them are 1."""
    expected: float
    """How many are 1 by the probabilities."""


def findings(found: PredictedOutcomes, champion_changes: Sequence[float]) -> list[Finding]:
    """Judge each fault, in the order of OUTCOME_ALARMS.

    An alarm begins at the end of the day on which its sum reaches the bar, and ends when that is
    back at zero. If the champion changes meanwhile, all sums begin again, with what is predicted
    from then on.
    """
    evidence = evidence_of(found.probabilities, found.outcomes, found.constants)
    days = found.settled_at // SECONDS_A_DAY
    begins = np.flatnonzero(np.diff(days, prepend=-np.inf)).tolist()
    # After the last day comes one without outcomes, which has not ended yet.
    ends = [*(days[begins] + 1) * SECONDS_A_DAY, np.inf]
    sums = np.zeros(len(OUTCOME_ALARMS))
    alarms = sums > 0
    first_rows = np.zeros(len(OUTCOME_ALARMS), int)
    alarmed_at = np.inf
    counts = np.ones(len(days), bool)
    for (begin, next_begin), now in zip(
        pairwise([*begins, len(days), len(days)]), ends, strict=True
    ):
        follow = [each for each in champion_changes if alarmed_at <= each < now]
        if follow:
            sums = np.zeros(len(OUTCOME_ALARMS))
            alarms = sums > 0
            counts = found.predicted_at >= min(follow)
        today = slice(begin, next_begin)
        sums = next_sums(sums, evidence[today][counts[today]].sum(axis=0))
        alarms = (alarms | (sums >= BARS)) & (sums > 0)
        first_rows[sums == 0] = next_begin
        alarmed_at = min(alarmed_at, now) if alarms.any() else np.inf
    return [
        _verdict(
            fault,
            bool(alarms[number]),
            found,
            counts & (np.arange(len(days)) >= first_rows[number]),
        )
        for number, fault in enumerate(OUTCOME_ALARMS)
    ]


def _verdict(
    fault: OutcomeAlarm, alarms: bool, found: PredictedOutcomes, rows: BoolArray
) -> Finding:
    versions = Counter(found.versions[rows].tolist())
    return Finding(
        fault,
        # Of fewer no figure is told.
        alarms and versions.total() >= FEWEST_ROWS,
        dict(sorted(versions.items())),
        int(found.outcomes[rows].sum()),
        float(found.probabilities[rows].sum()),
    )


def next_sums(
    sums: Float64Array, evidence: Float64Array, bars: Sequence[float] = BARS
) -> Float64Array:
    """Add a day's evidence to sums, (..., faults). They stay within zero and their bars, so that an
    alarm ends about as soon as it began."""
    return np.clip(sums + evidence, 0, bars)


def evidence_of(
    probabilities: Float64Array, outcomes: Int8Array, constants: Float64Array
) -> Float64Array:
    """The log likelihood ratio of each fault against a sound model: (..., faults), for outcomes
    (...)."""
    predicted = _log_odds(probabilities)
    constant = _log_odds(constants)
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


def _log_odds(probabilities: Float64Array) -> Float64Array:
    within = np.clip(probabilities, 1 - MOST_CERTAIN, MOST_CERTAIN)
    return np.log(within / (1 - within))


def _log_likelihoods(log_odds: Float64Array, outcomes: Int8Array) -> Float64Array:
    return outcomes * log_odds - np.log1p(np.exp(log_odds))
