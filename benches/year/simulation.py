"""Many early clinics without the commands: a logistic regression is fitted anew each week and stays
where its log loss on the held-out visits is lower. What would be shown of all predictions by the
rule of settled outcomes, and by counting each outcome as soon as it is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool

import numpy as np

from benches.year.population import (
    CLINICS,
    FEATURES,
    HORIZON_DAYS,
    Clinic,
    Visits,
    visits_of,
)
from pima.core.arrays import BoolArray, Float64Array

LOOKED_AT = (60, 90, 120, 150, 180)
"""Days on which the figures are looked at."""
FEWEST_OF_A_CLASS = 5
"""With fewer of the rarer class there is no figure."""
HOLDOUT_SHARE = 0.3
_DAYS_ON_TIME = 3
_STEPS = 12


@dataclass(frozen=True, slots=True)
class Simulated:
    """One clinic under one rule."""

    observed_expected: tuple[float | None, ...]
    """Of all predictions as they were served, on each of LOOKED_AT."""
    first_mean: float
    """The first fit's mean probability over its training rows."""
    first_prevalence: float
    """How many of the training side's visits of the same days have the outcome in the end."""


def simulate(name: str, is_settled_only: bool, seed: int) -> Simulated:
    """One half year of a clinic of CLINICS."""
    clinic = next(each for each in CLINICS if each.name == name)
    visits = visits_of(clinic, LOOKED_AT[-1], 1_000 + seed)
    is_held_out = np.random.default_rng(seed).random(len(visits.day)) < HOLDOUT_SHARE
    features = inputs(visits)
    is_known = partial(_is_settled if is_settled_only else _is_written, visits)

    learned = is_known(0) & ~is_held_out
    champion = fitted(features[learned], visits.outcome[learned])
    span = visits.day[learned]
    is_of_first = (visits.day >= span.min()) & (visits.day <= span.max()) & ~is_held_out
    first_mean = float(predicted(champion, features[learned]).mean())
    first_prevalence = float(visits.outcome[is_of_first].mean())

    probability = np.full(len(visits.day), np.nan)
    scored = _scored_days(clinic, visits)
    found = []
    for day in range(LOOKED_AT[-1] + 1):
        is_scored = scored == day
        probability[is_scored] = predicted(champion, features[is_scored])
        if day in LOOKED_AT:
            is_told = is_known(day) & (scored >= 0) & (visits.known_day > scored)
            if is_settled_only:
                is_told &= scored <= visits.day + _DAYS_ON_TIME
            found.append(_observed_expected(probability[is_told], visits.outcome[is_told]))
        if day and day % 7 == 0:
            known = is_known(day)
            challenger = fitted(
                features[known & ~is_held_out], visits.outcome[known & ~is_held_out]
            )
            judged = known & is_held_out
            before, after = (
                _loss(predicted(each, features[judged]), visits.outcome[judged] == 1)
                for each in (champion, challenger)
            )
            if after < before:
                champion = challenger
    return Simulated(tuple(found), first_mean, first_prevalence)


def simulate_many(pool: Pool, name: str, is_settled_only: bool, clinics: int) -> list[Simulated]:
    """So many clinics, each with a seed of its own."""
    return pool.map(partial(simulate, name, is_settled_only), range(clinics))


def mean_on_each_day(found: Iterable[Simulated]) -> list[tuple[float, int]]:
    """The mean observed/expected on each of LOOKED_AT, and how many clinics show one."""
    by_day = zip(*(each.observed_expected for each in found), strict=True)
    shown = ([value for value in day if value is not None] for day in by_day)
    return [(float(np.mean(values)), len(values)) for values in shown]


def first_fits_mean(found: Iterable[Simulated]) -> float:
    """The first fits' mean prediction over the prevalence of their days, over all clinics."""
    every = list(found)
    return sum(each.first_mean for each in every) / sum(each.first_prevalence for each in every)


def _is_settled(visits: Visits, day: int) -> BoolArray:
    return visits.day + HORIZON_DAYS <= day


def _is_written(visits: Visits, day: int) -> BoolArray:
    return visits.known_day <= day


def _scored_days(clinic: Clinic, visits: Visits) -> np.ndarray:
    """The night of each visit; those of the history that nobody waits for have none."""
    waits = clinic.has_backlog & (visits.known_day > 0)
    return np.where(visits.day >= 0, visits.day, np.where(waits, 0, -1))


def inputs(visits: Visits) -> Float64Array:
    standard = visits.recorded.copy()
    creatinine = FEATURES.index("creatinine")
    standard[:, creatinine] = np.log(standard[:, creatinine])
    standard = (standard - standard.mean(axis=0)) / standard.std(axis=0)
    return np.column_stack([np.ones(len(standard)), standard])


def fitted(features: Float64Array, outcome: np.ndarray) -> Float64Array:
    """A logistic regression with a small L2 penalty on all but the constant."""
    weights = np.zeros(features.shape[1])
    penalty = np.diag([0.0, *[1.0] * (features.shape[1] - 1)])
    for _ in range(_STEPS):
        expected = predicted(weights, features)
        gradient = features.T @ (outcome - expected) - penalty @ weights
        information = (features * (expected * (1 - expected))[:, None]).T @ features + penalty
        weights = weights + np.linalg.solve(information, gradient)
    return weights


def predicted(weights: Float64Array, features: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-(features @ weights)))


def _loss(probability: Float64Array, is_case: BoolArray) -> float:
    return float(-np.log(np.where(is_case, probability, 1 - probability)).mean())


def _observed_expected(probability: Float64Array, outcome: np.ndarray) -> float | None:
    positive = int(outcome.sum())
    if min(positive, len(outcome) - positive) < FEWEST_OF_A_CLASS:
        return None
    return positive / float(probability.sum())
