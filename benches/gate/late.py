"""Half years of many clinics whose zeros come late or never: what is learned there, and promoted.
Which rows count and who is promoted say the real rules (`pima.core.outcomes.followed_up`, `gate`); the
learner is a logistic regression."""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from benches.year.hospital import FIRST_DAY
from benches.year.population import HORIZON_DAYS, NIGHTS, Clinic, visits_of
from benches.year.simulation import HOLDOUT_SHARE, fitted, inputs, predicted
from pima.core.arrays import BoolArray, Float64Array
from pima.core.nights.kinds import State
from pima.core.outcomes.followed_up import (
    LEAST_FOLLOWED_UP,
    FollowedUp,
    FollowUp,
    by_horizon,
    figure_of_follow_up,
    figure_of_week,
    week_of_day,
)
from pima.core.verdicts.gate import GateOptions, Window, decide, in_window
from pima.core.verdicts.reasons import Decision
from pima.core.verdicts.verdict import Measure
from pima.settings.sections import RetrainSettings
from tests.support.contests import contest

LOST = 0.33
"""Which share of the zeros never comes."""
LOST_LATER = 28
"""From which day on, where it is not from the first one on."""
_FIRST_SEED = 3_000


@dataclass(frozen=True, slots=True)
class Promotion:
    """A challenger that the gate let through."""

    lost: float
    """The share of the rows that it learned from, and was judged on, some of whose like never get
    an outcome."""
    gain: float
    """By how much its true log loss is lower than that of the champion before."""


@dataclass(frozen=True, slots=True)
class HalfYear:
    """One clinic with a retraining a week."""

    over_truth: float
    """The last champion's mean prediction over the truth; not a number without one."""
    promotions: tuple[Promotion, ...]
    told: float
    """The night of the first retraining at which `hardly_followed_up` or `followed_up_below_usual`
    holds; infinite if none does."""


def _late(prevalence: float) -> tuple[Clinic, Clinic, Clinic]:
    usual = Clinic("zeros by quarter", prevalence, is_early=True, has_backlog=True)
    lost = replace(usual, name="lost from the first day on", zeros_lost=LOST)
    return (
        replace(usual, zeros_by_quarter=True),
        lost,
        replace(lost, name=f"lost from day {LOST_LATER} on", lost_from=LOST_LATER),
    )


CLINICS = tuple(chain.from_iterable(zip(_late(0.07), _late(0.35), strict=True)))


def half_year(clinic: Clinic, goes_by_rule: bool, seed: int) -> HalfYear:
    """Live through one. If it does not go by the rule, every outcome counts once its horizon is
    over."""
    lived = _Living(clinic, goes_by_rule, _FIRST_SEED + seed)
    for night in range(0, NIGHTS + 1, 7):
        lived.retrain(night)
    return lived.half_year()


class _Living:
    """A clinic with its champion."""

    def __init__(self, clinic: Clinic, goes_by_rule: bool, seed: int) -> None:
        self._clinic = clinic
        self._goes_by_rule = goes_by_rule
        self._visits = visits_of(clinic, NIGHTS, seed)
        self._features = inputs(self._visits)
        self._over = self._visits.day + HORIZON_DAYS
        draw = np.random.default_rng(seed)
        self._is_held_out = draw.random(len(self._over)) < HOLDOUT_SHARE
        self._champion: Float64Array | None = None
        self._promotions: list[Promotion] = []
        self._told = np.inf

    def half_year(self) -> HalfYear:
        over_truth = np.nan
        if self._champion is not None:
            said = predicted(self._champion, self._features)
            over_truth = float(said.mean() / self._visits.probability.mean())
        return HalfYear(over_truth, tuple(self._promotions), self._told)

    def retrain(self, night: int) -> None:
        followed = self._followed_up(night)
        figures = (*figure_of_follow_up(followed), *figure_of_week(followed))
        if any(each.state == State.ALERT for each in figures):
            self._told = min(self._told, night)
        counts = (self._over <= night) & (self._visits.known_day <= night)
        if self._goes_by_rule:
            counts &= ~np.isin(_number(self._over), list(followed.days_left_out))
        learned = counts & ~self._is_held_out
        if not _are_enough(self._visits.outcome[learned]):
            return
        challenger = fitted(self._features[learned], self._visits.outcome[learned])
        if self._is_promoted(challenger, counts & self._is_held_out, night):
            is_lost = self._visits.day[counts] >= self._clinic.lost_from
            lost = float(is_lost.mean()) * (self._clinic.zeros_lost > 0)
            gain = self._true_loss(self._champion) - self._true_loss(challenger)
            self._promotions.append(Promotion(lost, gain))
            self._champion = challenger

    def _followed_up(self, night: int) -> FollowUp:
        is_over = self._over <= night
        numbers, place = np.unique(_number(self._over[is_over]), return_inverse=True)
        rows = np.bincount(place)
        outcomes = np.bincount(place, weights=self._visits.known_day[is_over] <= night)
        columns = (each.astype(int).tolist() for each in (numbers, rows, outcomes))
        days = [FollowedUp(*day) for day in zip(*columns, strict=True)]
        return by_horizon(days, LEAST_FOLLOWED_UP, week_of_day(int(_number(night))))

    def _is_promoted(self, challenger: Float64Array, judged: BoolArray, night: int) -> bool:
        features = self._features[judged]
        before = None
        if self._champion is not None:
            before = predicted(self._champion, features)
        over_at = pd.Series(FIRST_DAY + self._over[judged])
        asked = contest(
            self._visits.outcome[judged],
            predicted(challenger, features),
            before,
            in_window=in_window(over_at, Window(), pd.Timestamp(FIRST_DAY + night)),
        )
        return decide(asked, _OPTIONS).decision is Decision.PROMOTED

    def _true_loss(self, model: Float64Array | None) -> float:
        if model is None:
            return np.inf
        said = predicted(model, self._features)
        true = self._visits.probability
        return float(-(true * np.log(said) + (1 - true) * np.log(1 - said)).mean())


_OPTIONS = GateOptions(measure=Measure.LOG_LOSS)


def _number(day: Any) -> Any:
    """From 1 January 1970 on."""
    return day + FIRST_DAY.astype(int)


def _are_enough(outcomes: np.ndarray) -> bool:
    asked = RetrainSettings()
    fewest = min(outcomes.sum(), (1 - outcomes).sum())
    return bool(len(outcomes) >= asked.minimum_labels and fewest >= asked.minimum_of_each_class)
