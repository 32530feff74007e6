"""A clinic whose truth is known: how likely each patient's outcome is, and a labelled history that
grows week by week.

Measurements are drawn within the ranges of `pima.core.declared.features`, in the order of its table. The
outcome depends on glucose, BMI, age, pedigree and pregnancies, not linearly; blood pressure, skin
thickness and insulin say nothing, so that their missing values hide nothing and the probability of
each outcome is exact.
"""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Protocol

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.rows.validation import as_features, by_feature
from pima.settings.reading import SHIPPED
from tests.support.labelled import labelled

WEEK_MS = 7 * 24 * 60 * 60 * 1000
_START_MS = 2_800 * WEEK_MS
_GLUCOSE = SHIPPED.names.index("glucose")


def draw_measurements(draw: np.random.Generator, rows: int) -> Float64Array:
    """(rows, 8) as a table holds them: 0 where blood pressure, skin thickness or insulin was not
    measured."""
    columns = [
        draw.poisson(3.5, rows).clip(0, 17),
        draw.normal(121, 30, rows).clip(44, 199).round(),
        draw.normal(72, 12, rows).clip(24, 122).round(),
        draw.normal(29, 10, rows).clip(7, 99).round(),
        draw.lognormal(4.8, 0.7, rows).clip(14, 846).round(),
        draw.normal(32.5, 6.9, rows).clip(18.2, 67.1).round(1),
        draw.lognormal(-0.95, 0.6, rows).clip(0.078, 2.42).round(3),
        (21 + draw.gamma(1.1, 11, rows)).clip(21, 81).round(),
    ]
    missing = draw.random((rows, 8)) < [0, 0, 0.05, 0.30, 0.49, 0, 0, 0]
    return np.where(missing, 0.0, np.column_stack(columns))


class Truth(StrEnum):
    """What the outcome depends on."""

    USUAL = auto()
    SHIFTED = auto()
    """glucose says less, BMI and age say more, and the outcome is more frequent"""
    REVERSED = auto()
    """glucose says the opposite"""


def outcome_probability(
    measurements: Float64Array, truth: Truth, log_odds_lower: float = 0.0
) -> Float64Array:
    """How likely outcome 1 is for each row (n, 8), (n,); for a rarer one all log odds are lower."""
    pregnancies, glucose, _, _, _, bmi, pedigree, age = ((measurements - _CENTRE) / _SPREAD).T
    by_glucose, by_bmi, by_age, constant = _COEFFICIENTS[truth]
    log_odds = by_glucose * glucose + by_bmi * bmi + 0.3 * glucose * bmi + by_age * np.tanh(2 * age)
    return 1 / (
        1 + np.exp(-(log_odds + 0.3 * pedigree + 0.15 * pregnancies + constant - log_odds_lower))
    )


_CENTRE = np.array([3.5, 121, 72, 29, 150, 32.5, 0.46, 33])
_SPREAD = np.array([1.9, 30, 12, 10, 120, 6.9, 0.30, 11])
_COEFFICIENTS = {
    Truth.USUAL: (1.2, 0.7, 0.6, -1.0),
    Truth.SHIFTED: (0.4, 1.3, 1.0, -0.2),
    Truth.REVERSED: (-1.2, 0.7, 0.6, -1.0),
}


class Model(Protocol):
    """Anything that scores."""

    def probabilities(self, features: Float32Array) -> Float64Array:
        """(n, 8), NaN where missing -> (n,)."""


@dataclass(frozen=True, slots=True)
class FreshPatients:
    """Patients that no model has seen, with the exact probability of each outcome."""

    features: Float32Array
    probability: Float64Array

    def true_accuracy(self, model: Model) -> float:
        """How often the model is right on patients like these, the chance in their outcomes
        averaged out."""
        predicts_1 = model.probabilities(self.features) >= 0.5
        return float(np.where(predicts_1, self.probability, 1 - self.probability).mean())


def fresh_patients(
    draw: np.random.Generator, rows: int, truth: Truth = Truth.USUAL, log_odds_lower: float = 0.0
) -> FreshPatients:
    measurements = draw_measurements(draw, rows)
    features = as_features(by_feature(measurements), SHIPPED.features)
    return FreshPatients(features, outcome_probability(measurements, truth, log_odds_lower))


@dataclass(frozen=True, slots=True)
class Clinic:
    """How a history comes about. Shares are of the rows that arrive."""

    first_rows: int = 300
    """Loaded at once in week 0."""
    fewest_a_week: int = 12
    most_a_week: int = 20
    slip_share: float = 0.03
    """Recorded wrongly at first: glucose ten times too high, glucose left blank, or the other
    outcome, evenly."""
    corrected_a_week: float = 0.1
    """The chance of a slip to be corrected in a week."""
    twin_share: float = 0.0
    """Entered before under another id, with the same measurements and outcome."""
    after_drift: Truth = Truth.USUAL
    """What the outcomes depend on from `drift_week` on."""
    drift_week: int = 40
    log_odds_lower: float = 0.0
    """As of `outcome_probability`."""


class Stream:
    """One clinic's labelled history, week by week."""

    def __init__(self, clinic: Clinic, seed: int) -> None:
        self.week = 0
        self._clinic = clinic
        self._draw = np.random.default_rng(seed)
        self._true = _Table(np.empty((0, 8)), np.empty(0, dtype=np.int8))
        self._recorded = _Table(np.empty((0, 8)), np.empty(0, dtype=np.int8))
        self._labelled_at_ms: Int64Array = np.empty(0, dtype=np.int64)
        self._arrive(clinic.first_rows)

    @property
    def now(self) -> pd.Timestamp:
        return pd.Timestamp(self._now_ms, unit="ms", tz="UTC")

    @property
    def _now_ms(self) -> int:
        return _START_MS + self.week * WEEK_MS

    @property
    def truth(self) -> Truth:
        """What new outcomes depend on."""
        return self._clinic.after_drift if self.week >= self._clinic.drift_week else Truth.USUAL

    @property
    def drift_at(self) -> pd.Timestamp:
        return pd.Timestamp(_START_MS + self._clinic.drift_week * WEEK_MS, unit="ms", tz="UTC")

    def advance(self) -> None:
        """One week: some slips are corrected, and new rows get their outcomes."""
        self.week += 1
        self._correct()
        self._arrive(
            int(self._draw.integers(self._clinic.fewest_a_week, self._clinic.most_a_week + 1))
        )

    def history(self, salt: str, share: float) -> pd.DataFrame:
        measurements, outcomes = self._recorded.measurements.copy(), self._recorded.outcomes
        return labelled(measurements, outcomes, salt, share, labelled_at_ms=self._labelled_at_ms)

    def _arrive(self, rows: int) -> None:
        measurements = draw_measurements(self._draw, rows)
        probability = outcome_probability(measurements, self.truth, self._clinic.log_odds_lower)
        new = _Table(measurements, (self._draw.random(rows) < probability).astype(np.int8))
        if len(self._true):
            again = self._draw.random(rows) < self._clinic.twin_share
            new = new.replaced(
                again, self._true.rows(self._draw.integers(0, len(self._true), int(again.sum())))
            )
        self._true = self._true.followed_by(new)
        self._recorded = self._recorded.followed_by(self._with_slips(new))
        self._labelled_at_ms = np.append(self._labelled_at_ms, np.full(rows, self._now_ms))

    def _with_slips(self, table: "_Table") -> "_Table":
        slipped = self._draw.random(len(table)) < self._clinic.slip_share
        kind = np.where(slipped, self._draw.integers(0, 3, len(table)), -1)
        measurements = table.measurements.copy()
        measurements[kind == 0, _GLUCOSE] *= 10
        measurements[kind == 1, _GLUCOSE] = 0
        return _Table(
            measurements, np.where(kind == 2, 1 - table.outcomes, table.outcomes).astype(np.int8)
        )

    def _correct(self) -> None:
        corrected = self._recorded.differs_from(self._true)
        corrected &= self._draw.random(len(self._true)) < self._clinic.corrected_a_week
        self._labelled_at_ms[corrected & (self._recorded.outcomes != self._true.outcomes)] = (
            self._now_ms
        )
        self._recorded = self._recorded.replaced(corrected, self._true.rows(corrected))


@dataclass(frozen=True, slots=True)
class _Table:
    measurements: Float64Array
    outcomes: Int8Array

    def __len__(self) -> int:
        return len(self.outcomes)

    def rows(self, which: BoolArray | Int64Array) -> "_Table":
        return _Table(self.measurements[which], self.outcomes[which])

    def followed_by(self, other: "_Table") -> "_Table":
        measurements = np.concatenate([self.measurements, other.measurements])
        return _Table(measurements, np.concatenate([self.outcomes, other.outcomes]))

    def replaced(self, where: BoolArray, by: "_Table") -> "_Table":
        measurements, outcomes = self.measurements.copy(), self.outcomes.copy()
        measurements[where], outcomes[where] = by.measurements, by.outcomes
        return _Table(measurements, outcomes)

    def differs_from(self, other: "_Table") -> BoolArray:
        return (self.measurements != other.measurements).any(axis=1) | (
            self.outcomes != other.outcomes
        )
