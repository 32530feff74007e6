"""Clinics whose truth is known: how likely each visit's outcome is, and when it becomes known."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cache

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array

VISITS_A_DAY = 20
NIGHTS = 182
AUROC = 0.76
"""How well the true probabilities tell visits apart."""
HORIZON_DAYS = 30
DAYS_BEFORE = 90
"""The visits of so many days before the first night are the history."""
CHANGE_ON = 12 * 7
"""The day of the change, where a clinic has one and names no other."""
QUARTER_DAYS = 91
QUARTER_ENDS_ON = -4
"""The last day of a quarter: 31 December 2025."""
NEVER = 100_000
"""The day on which an outcome becomes known that never does."""
SICKEST = 0.1
CORRECTED_OF_SICKEST = 0.3
CORRECTED_OF_OTHERS = 0.02
"""Of visits that are honestly corrected, whatever their outcome: of the riskiest tenth, and of the
others."""
REACHED = 0.7
NEARLY_ALL = 0.95
"""Of those predicted 1, on how many a clinic acts."""
AUROC_AT_LAST = 0.62
"""How well they do it at the end of a slow decay."""
WEEKS_OF_DECAY = 40
UNIT_DAYS = 6 * 7
"""How long a unit is wrong."""
WRONG_UNIT = 5.0
COMPLETED = 0.75
"""Of how many visits with outcome 1 creatinine is corrected, in a clinic with hindsight."""
COMPLETED_BY = 1.7
FEATURES = ("age", "creatinine", "stays", "haemoglobin")
_WEIGHTS = np.array([0.35, 0.6, 0.5, -0.45])


class Change(StrEnum):
    """What becomes different in the clinic's 13th week."""

    NONE = auto()
    DEAD = auto()
    """The outcome no longer depends on anything."""
    DOUBLED = auto()
    """The outcome is twice as frequent, or half as frequent again where it was no rare one."""
    UNIT = auto()
    """Creatinine arrives five times too high, for six weeks."""
    SLOW = auto()
    """For forty weeks the outcome depends on less and less."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """One made-up clinic."""

    name: str
    prevalence: float
    is_early: bool = False
    """An outcome 1 is written when it happens, a 0 on day 30; otherwise both on day 30."""
    has_backlog: bool = False
    """Visits of the last 30 days whose outcome is not known yet wait for the first night."""
    change: Change = Change.NONE
    prevalence_then: float | None = None
    """After the change, where that changes it."""
    has_hindsight: bool = False
    """Creatinine is corrected upwards in three of four visits once their outcome 1 is known; not in
    those of the history."""
    history_is_corrected: bool = False
    """Then also in those of the history, before these are loaded."""
    change_on: int = CHANGE_ON
    zeros_by_quarter: bool = False
    """An outcome 0 is written on the last day of the quarter in which its 30 days are over."""
    zeros_lost: float = 0.0
    """The share of visits with outcome 0 whose outcome is never written."""
    lost_from: int = -DAYS_BEFORE
    """The day of discharge from which on that is so."""
    is_honestly_corrected: bool = False
    """Creatinine is corrected within 30 days, mostly of the sickest, whatever their outcome."""
    visits_a_day: int = VISITS_A_DAY
    has_outcome_at: bool = True
    """Otherwise an outcome is known from the moment on at which it was pulled."""
    nights: int = NIGHTS
    if_acted: str | None = None
    """Which risk is meant, in a clinic that acts on those predicted 1."""
    reached: float = 0.0
    """On which share of them it acts."""

    @property
    def has_a_change(self) -> bool:
        return self.change is not Change.NONE


ACTING = (
    *(
        Clinic(f"acts, {meant}, {share} %", share / 100, True, if_acted=meant, reached=REACHED)
        for share in (15, 35)
        for meant in ("counts", "unknown")
    ),
    Clinic("acts on nearly all, 35 %", 0.35, True, if_acted="unknown", reached=NEARLY_ALL),
)
"""Clinics that act on those predicted 1, and prevent outcomes."""
CLINICS = (
    Clinic("calm, 7 %", 0.07),
    Clinic("calm, 35 %", 0.35),
    Clinic("early, 7 %", 0.07, is_early=True),
    Clinic("early, 15 %", 0.15, is_early=True),
    Clinic("early, 35 %", 0.35, is_early=True),
    *ACTING,
    Clinic("backlog, 35 %", 0.35, is_early=True, has_backlog=True),
    Clinic("dead, 7 %", 0.07, change=Change.DEAD),
    Clinic("dead, 35 %", 0.35, change=Change.DEAD),
    Clinic("doubled, 7 %", 0.07, change=Change.DOUBLED, prevalence_then=0.14),
    Clinic("doubled, 35 %", 0.35, change=Change.DOUBLED, prevalence_then=0.52),
    Clinic("a wrong unit, 35 %", 0.35, change=Change.UNIT),
    Clinic("hindsight, 7 %", 0.07, has_hindsight=True),
    Clinic("hindsight, 35 %", 0.35, has_hindsight=True),
    Clinic("zeros by quarter, 35 %", 0.35, is_early=True, has_backlog=True, zeros_by_quarter=True),
    Clinic("lost zeros, 7 %", 0.07, is_early=True, has_backlog=True, zeros_lost=0.33),
    Clinic("dead from day 28, 35 %", 0.35, change=Change.DEAD, change_on=28),
    Clinic(
        "files of each morning, 20 %",
        0.20,
        is_early=True,
        has_backlog=True,
        visits_a_day=200,
        has_outcome_at=False,
        nights=63,
    ),
    Clinic("honest corrections, 35 %", 0.35, is_early=True, is_honestly_corrected=True),
    Clinic("slow decay, 35 %", 0.35, change=Change.SLOW, change_on=0, nights=44 * 7),
)
NEVER_ACTS = {0.15: "early, 15 %", 0.35: "early, 35 %"}
"""With the same visits, by prevalence."""
CORRECTED_HISTORY = Clinic(
    "corrected history, 35 %",
    0.35,
    has_hindsight=True,
    history_is_corrected=True,
    nights=12 * 7,
)
"""Its last verdict alone is looked at."""
LATE_OR_NEVER = CLINICS[-6:-1]
"""Clinics whose outcomes come late or never, or in which an alarm is easily false or lost."""
SLOW_DECAY = CLINICS[-1]


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits in the order of their discharge, with what nobody knows yet."""

    day: Int64Array
    """Of discharge; the first night follows day 0."""
    measurements: Float64Array
    """(n, 4), as they are true."""
    recorded: Float64Array
    """(n, 4), as they are written down."""
    creatinine_then: Float64Array
    """What is written down of it after `corrected_day`."""
    corrected_day: Int64Array
    """The day at whose end creatinine is corrected, if it is."""
    probability: Float64Array
    """How likely the outcome truly is."""
    outcome: Int8Array
    known_day: Int64Array
    """The day at whose end the outcome is written down."""
    acted_day: Int64Array
    """The day on which somebody acts on the prediction; NEVER if nobody does, or has yet."""

    @property
    def is_left_alone(self) -> BoolArray:
        """Whether nobody acts before the outcome, (n,)."""
        return self.acted_day > self.known_day


def visits_of(clinic: Clinic, days: int, seed: int) -> Visits:
    """Draw the visits of the history and of so many days after it."""
    draw = np.random.default_rng(seed)
    span = np.arange(1 - DAYS_BEFORE, days + 1)
    day = np.repeat(span, draw.poisson(clinic.visits_a_day, len(span)))
    measurements = draw_measurements(draw, len(day))
    has_changed = day >= clinic.change_on
    probability = np.where(
        has_changed,
        _probability_then(clinic, day, measurements),
        probability_before(clinic)(measurements),
    )
    outcome = (draw.random(len(day)) < probability).astype(np.int8)
    happens = draw.integers(1, HORIZON_DAYS + 1, len(day))
    is_written_then = (outcome == 1) & clinic.is_early
    recorded = _recorded(clinic, day, measurements)
    is_completed = (outcome == 1) & (draw.random(len(day)) < COMPLETED)
    if clinic.history_is_corrected:
        recorded[is_completed & (day < 0), FEATURES.index("creatinine")] *= COMPLETED_BY
    is_completed &= day >= 0
    factor = np.where(is_completed & clinic.has_hindsight, COMPLETED_BY, 1.0)
    known_day = day + np.where(is_written_then, happens, HORIZON_DAYS)
    corrected_day = known_day
    if clinic.zeros_by_quarter:
        known_day = np.where(outcome == 0, _end_of_quarter(known_day), known_day)
    if clinic.zeros_lost:
        is_lost = (outcome == 0) & (draw.random(len(day)) < clinic.zeros_lost)
        is_lost &= day >= clinic.lost_from
        known_day = np.where(is_lost, NEVER, known_day)
    if clinic.is_honestly_corrected:
        is_sick = probability >= np.quantile(probability, 1 - SICKEST)
        share = np.where(is_sick, CORRECTED_OF_SICKEST, CORRECTED_OF_OTHERS)
        factor = np.where((day >= 0) & (draw.random(len(day)) < share), COMPLETED_BY, 1.0)
        corrected_day = day + draw.integers(1, HORIZON_DAYS + 1, len(day))
    return Visits(
        day=day,
        measurements=measurements,
        recorded=recorded,
        creatinine_then=(factor * recorded[:, FEATURES.index("creatinine")]).clip(0, 20),
        probability=probability,
        outcome=outcome,
        known_day=known_day,
        corrected_day=corrected_day,
        acted_day=np.full(len(day), NEVER),
    )


def _end_of_quarter(day: Int64Array) -> Int64Array:
    """The first last day of a quarter from each day on."""
    return QUARTER_ENDS_ON + -(-(day - QUARTER_ENDS_ON) // QUARTER_DAYS) * QUARTER_DAYS


def draw_measurements(draw: np.random.Generator, rows: int) -> Float64Array:
    """(rows, 4) in the order of FEATURES."""
    return np.column_stack(
        [
            draw.normal(66, 14, rows).clip(18, 105).round(),
            draw.lognormal(0, 0.45, rows).clip(0.2, 10).round(2),
            draw.poisson(1.5, rows).clip(0, 30),
            draw.normal(12.5, 2, rows).clip(5, 19).round(1),
        ]
    )


def probability_before(clinic: Clinic) -> Callable[[Float64Array], Float64Array]:
    """How likely the outcome is until the change."""
    return _relation(clinic.prevalence)


def probability_after(clinic: Clinic, day: int) -> Callable[[Float64Array], Float64Array]:
    """How likely it is on a day from the change on."""
    if clinic.change is Change.DEAD:
        return lambda measurements: np.full(len(measurements), clinic.prevalence)
    auroc = AUROC
    if clinic.change is Change.SLOW:
        share = min((day - clinic.change_on) // 7 / WEEKS_OF_DECAY, 1.0)
        auroc += share * (AUROC_AT_LAST - AUROC)
    return _relation(clinic.prevalence_then or clinic.prevalence, auroc)


def _probability_then(clinic: Clinic, day: Int64Array, measurements: Float64Array) -> Float64Array:
    """How likely the outcomes of visits are from the change on; of earlier ones it means nothing."""
    if clinic.change is not Change.SLOW:
        return probability_after(clinic, clinic.change_on)(measurements)
    found = np.zeros(len(day))
    for one in np.unique(day[day >= clinic.change_on]).tolist():
        of_day = day == one
        found[of_day] = probability_after(clinic, one)(measurements[of_day])
    return found


@cache
def _relation(prevalence: float, auroc: float = AUROC) -> Callable[[Float64Array], Float64Array]:
    """Found once on many visits, so that prevalence and AUROC are those that were asked for."""
    score = _score(draw_measurements(np.random.default_rng(0), 40_000))
    slope = _bisect(
        lambda tried: _auroc(tried * score, _constant(tried * score, prevalence)), auroc
    )
    constant = _constant(slope * score, prevalence)
    return lambda measurements: _logistic(slope * _score(measurements) + constant)


def _score(measurements: Float64Array) -> Float64Array:
    age, creatinine, stays, haemoglobin = measurements.T
    standard = (
        (age - 66) / 14,
        np.log(creatinine) / 0.45,
        (stays - 1.5) / 1.22,
        (haemoglobin - 12.5) / 2,
    )
    return np.column_stack(standard) @ _WEIGHTS


def _constant(log_odds: Float64Array, prevalence: float) -> float:
    return _bisect(lambda tried: float(_logistic(log_odds + tried).mean()), prevalence, -20, 20)


def _auroc(log_odds: Float64Array, constant: float) -> float:
    """The expected one: each visit counts for a case as far as it is likely to be one."""
    likely = np.sort(_logistic(log_odds + constant))
    others_below = np.cumsum(1 - likely) - (1 - likely)
    return float((likely * others_below).sum() / (likely.sum() * (1 - likely).sum()))


def _bisect(
    rising: Callable[[float], float], wanted: float, low: float = 0.0, high: float = 5.0
) -> float:
    for _ in range(40):
        middle = (low + high) / 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _logistic(log_odds: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-log_odds))


def _recorded(clinic: Clinic, day: Int64Array, measurements: Float64Array) -> Float64Array:
    recorded = measurements.copy()
    if clinic.change is Change.UNIT:
        is_wrong = (day >= clinic.change_on) & (day < clinic.change_on + UNIT_DAYS)
        creatinine = FEATURES.index("creatinine")
        recorded[is_wrong, creatinine] = (WRONG_UNIT * recorded[is_wrong, creatinine]).clip(0, 20)
    return recorded
