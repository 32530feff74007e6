"""Clinics whose outcomes settle day by day: how often the alarms over them ring by luck, and how
soon after a fault. The rule is the real one (`pima.core.outcomes.cusum`), of whole clinics at once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.nights.kinds import OUTCOME_ALARMS, OutcomeAlarm
from pima.core.outcomes.cusum import at_end_of_day, evidence_of

OUTCOMES_A_DAY, DAYS = 20, 365
DAYS_BEFORE = 60
"""Calm days before a fault, so that a sum is anywhere when it comes."""
BACK_AFTER = 210
"""The day after which what changed for a time is as before."""
DAYS_OF_A_VERSION = 14
"""How long a champion stays where retraining goes on beside an alarm."""
INTERCEPT_DEVIATION, SLOPE_DEVIATION = 0.13, 0.15
"""Of a champion's calibration error, as 60 to 80 cases leave it."""
CLINICS_AT_ONCE = 25
_NORMAL = np.random.default_rng(0).normal(size=100_001)


@dataclass(frozen=True, slots=True)
class Clinic:
    """Where the outcome is this frequent, a model's true log odds are normal with this AUROC."""

    prevalence: float
    auroc: float = 0.76
    a_day: int = OUTCOMES_A_DAY

    @property
    def name(self) -> str:
        often = f", {self.a_day} a day" if self.a_day != OUTCOMES_A_DAY else ""
        return f"{100 * self.prevalence:.0f} %, AUROC {self.auroc:.2f}{often}"


@dataclass(frozen=True, slots=True)
class Change:
    """What happens in a clinic, and what should tell it."""

    name: str
    clinic: Clinic
    fault: OutcomeAlarm
    prevalence: float | None = None
    """The prevalence from then on; None where the relation vanishes."""
    within: int | None = None
    """How many outcomes it may take in the median."""


RARE, FREQUENT = Clinic(0.07), Clinic(0.35)
CLINICS = (
    RARE,
    FREQUENT,
    Clinic(0.20),
    Clinic(0.07, 0.66),
    Clinic(0.35, 0.66),
    Clinic(0.20, 0.86),
)
BUSY_CLINICS = tuple(Clinic(prevalence, a_day=200) for prevalence in (0.07, 0.20, 0.35))
CHANGES = (
    Change("the relation vanishes", RARE, OutcomeAlarm.NO_BETTER_THAN_CONSTANT, None, 500),
    Change("the relation vanishes", FREQUENT, OutcomeAlarm.NO_BETTER_THAN_CONSTANT, None, 150),
    Change("twice as many", RARE, OutcomeAlarm.OUTCOME_MORE_FREQUENT, 0.14, 550),
    Change("half as many again", FREQUENT, OutcomeAlarm.OUTCOME_MORE_FREQUENT, 0.525, 350),
    Change("half as many", RARE, OutcomeAlarm.OUTCOME_LESS_FREQUENT, 0.035),
    Change("half as many", FREQUENT, OutcomeAlarm.OUTCOME_LESS_FREQUENT, 0.175),
)


def calm_years(clinic: Clinic, seed: int) -> Float64Array:
    """The day of the first alarm of each fault in each of some calm clinics, infinite if there is
    none: (clinics, faults)."""
    draw = np.random.default_rng([seed, 1])
    true = true_log_odds(clinic, DAYS, draw)
    evidence = _evidence(clinic, true, outcomes_of(true, draw), draw)
    return _first_alarms(evidence)


def outcomes_until_told(change: Change, seed: int) -> Float64Array:
    """How many outcomes settle in each of some clinics from the change until its alarm, infinite
    where there is none in time: (clinics,). One that had alarmed before counts from then on,
    so below 0."""
    draw = np.random.default_rng([seed, 2])
    clinic, calm = change.clinic, DAYS_BEFORE * change.clinic.a_day
    true = true_log_odds(clinic, DAYS, draw)
    then = true.copy()
    then[:, calm:] = _after(change, true[:, calm:])
    evidence = _evidence(clinic, true, outcomes_of(then, draw), draw)
    found = _first_alarms(evidence)
    return (found[:, OUTCOME_ALARMS.index(change.fault)] - DAYS_BEFORE) * clinic.a_day


def nights_told(change: Change, seed: int) -> Float64Array:
    """What becomes of the alarm on a change, while another version becomes champion every two
    weeks: on which share of the nights after the first alarm it is told until all is as before,
    and after how many outcomes it is over then. Not a number where it never rang, infinite where
    it is not over in time: (clinics, 2)."""
    draw = np.random.default_rng([seed, 3])
    clinic = change.clinic
    true = true_log_odds(clinic, DAYS, draw)
    then = true.copy()
    changed = slice(DAYS_BEFORE * clinic.a_day, BACK_AFTER * clinic.a_day)
    then[:, changed] = _after(change, true[:, changed])
    outcomes = outcomes_of(then, draw)
    a_version = DAYS_OF_A_VERSION * clinic.a_day
    evidence = np.concatenate(
        [
            _evidence(
                clinic,
                true[:, first : first + a_version],
                outcomes[:, first : first + a_version],
                draw,
            )
            for first in range(0, true.shape[1], a_version)
        ],
        axis=1,
    )
    alarms = _alarms(evidence)[:, :, OUTCOME_ALARMS.index(change.fault)]
    return _course(alarms, clinic.a_day)


def _after(change: Change, true: Float64Array) -> Float64Array:
    """What becomes of true log odds by a change."""
    clinic = change.clinic
    if change.prevalence is None:
        return np.full_like(true, np.log(clinic.prevalence / (1 - clinic.prevalence)))
    mean, deviation = distribution(clinic)
    return true + mean_for(deviation, change.prevalence) - mean


def _course(told: BoolArray, a_day: int) -> Float64Array:
    """Of nights (clinics, days): the share told, and the outcomes until it is over."""
    dead = told[:, DAYS_BEFORE:BACK_AFTER]
    after_first = np.cumsum(dead, axis=1) > 0
    after_first[:, 1:] = after_first[:, :-1]  # the nights behind the first one
    after_first[:, 0] = False
    with np.errstate(invalid="ignore"):
        share = (dead & after_first).sum(axis=1) / after_first.sum(axis=1)
    quiet = ~told[:, BACK_AFTER:]
    over = np.where(quiet.any(axis=1), (quiet.argmax(axis=1) + 1) * a_day, np.inf)
    over[~told[:, BACK_AFTER - 1]] = np.nan
    return np.stack([share, over], axis=-1)


def true_log_odds(clinic: Clinic, days: int, draw: np.random.Generator) -> Float64Array:
    mean, deviation = distribution(clinic)
    return draw.normal(mean, deviation, size=(CLINICS_AT_ONCE, days * clinic.a_day))


def outcomes_of(log_odds: Float64Array, draw: np.random.Generator) -> Int8Array:
    return (draw.random(log_odds.shape) < probability(log_odds)).astype(np.int8)


def _evidence(
    clinic: Clinic, true: Float64Array, outcomes: Int8Array, draw: np.random.Generator
) -> Float64Array:
    """Of each day: (clinics, days, faults)."""
    constants, predicted = predictions(clinic, true, draw)
    found = evidence_of(predicted, outcomes, np.broadcast_to(constants, true.shape))
    return found.reshape(len(true), -1, clinic.a_day, len(OUTCOME_ALARMS)).sum(axis=2)


def predictions(
    clinic: Clinic, true: Float64Array, draw: np.random.Generator
) -> tuple[Float64Array, Float64Array]:
    """What a model makes of these true log odds (clinics, n) that is wrong as 60 to 80 cases leave
    it: a constant of each clinic (clinics, 1), and probabilities. Both share the error of the
    intercept, since both come from the same training rows."""
    intercepts = draw.normal(0, INTERCEPT_DEVIATION, size=(len(true), 1))
    slopes = np.clip(draw.normal(1, SLOPE_DEVIATION, size=(len(true), 1)), 0.4, None)
    usual = np.log(clinic.prevalence / (1 - clinic.prevalence))
    predicted = usual - intercepts + (true - usual) / slopes
    return probability(usual - intercepts), probability(predicted)


def _first_alarms(evidence: Float64Array) -> Float64Array:
    """The number of the first day, from 1 on, at whose end each fault alarms."""
    alarms = _alarms(evidence)
    return np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1.0, np.inf)


def _alarms(evidence: Float64Array) -> BoolArray:
    """Which faults alarm at the end of each day, for the evidence of each day: (clinics, days,
    faults)."""
    sums = np.zeros((len(evidence), len(OUTCOME_ALARMS)))
    alarms = sums > 0
    found = np.zeros(evidence.shape, bool)
    for day in range(evidence.shape[1]):
        sums, alarms = at_end_of_day(sums, alarms, evidence[:, day])
        found[:, day] = alarms
    return found


def probability(log_odds: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-log_odds))


@cache
def distribution(clinic: Clinic) -> tuple[float, float]:
    """The mean and standard deviation of the true log odds."""

    def auroc(deviation: float) -> float:
        ordered = np.sort(probability(mean_for(deviation, clinic.prevalence) + deviation * _NORMAL))
        cases, others = ordered / ordered.sum(), (1 - ordered) / (1 - ordered).sum()
        return float((cases * (np.cumsum(others) - others / 2)).sum())

    deviation = _where(lambda each: auroc(each) - clinic.auroc, 0.1, 3.0)
    return mean_for(deviation, clinic.prevalence), deviation


@cache
def mean_for(deviation: float, prevalence: float) -> float:
    return _where(
        lambda mean: float(probability(mean + deviation * _NORMAL).mean()) - prevalence, -9, 9
    )


def _where(rises: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that rises is zero."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return low
