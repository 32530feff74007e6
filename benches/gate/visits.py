"""Clinics whose persons come again and again: how often intervals hold the truth, and how often the
veto by log loss decides otherwise where it asks persons and not visits. Figures and rule are the real
ones (`pima.core.verdicts`)."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.outcomes.realised import came_true
from pima.core.statistics.discrimination import auroc_gain
from pima.core.statistics.estimates import Estimate, Persons, mean
from pima.core.statistics.logistic_regression import logistic
from pima.core.statistics.samples import log_losses
from pima.core.verdicts.contest import Contest
from pima.core.verdicts.gate import GateOptions, compare, decide
from pima.core.verdicts.reasons import Decision
from tests.support.contests import contest

OF_PERSON, OF_VISIT, UNKNOWN = 0.9, 0.6, 0.8
"""Standard deviations of the log odds: what models know of a person and of a visit, and what nobody
knows of a person."""
SICKER = 0.3
"""How much more often those come whose log odds are higher by one, in log visits."""
LUCK = 0.35
"""The standard deviation of a model's error, of which half is the same at each visit of a person."""
LUCK_OF_CHALLENGERS = 0.25, 0.45
THRESHOLD = 0.3
CLINICS_AT_ONCE = 25
_PERSONS_OF_TRUTH = 60_000
_FIGURES_LEFT_OUT = {"expected_accuracy"}


@dataclass(frozen=True, slots=True)
class Clinic:
    """The persons of a test set, and how often they come."""

    persons: int
    visits: int
    """Of each person; in the mean, where the sicker come more often."""
    constant: float
    """Of the log odds."""
    sicker_come_more: bool = False

    @property
    def name(self) -> str:
        often = f"{self.visits} visits each"
        if self.sicker_come_more:
            often = f"{self.visits} visits in the mean, the sicker more"
        return f"{self.persons} persons, {often}"

    @property
    def prevalence(self) -> float:
        """The share of visits with outcome 1."""
        many = replace(self, persons=20_000)
        return float(visits_of(many, np.random.default_rng(0)).outcomes.mean())


FREQUENT, RARE = -1.2, -3.2
CLINICS = (
    Clinic(80, 3, FREQUENT),
    Clinic(80, 10, FREQUENT),
    Clinic(200, 5, FREQUENT),
    Clinic(100, 4, RARE),
    Clinic(300, 10, RARE),
    Clinic(100, 10, FREQUENT, sicker_come_more=True),
    Clinic(300, 10, RARE, sicker_come_more=True),
)
OF_VERDICTS = tuple(
    Clinic(rows // visits, visits, FREQUENT) for rows in (250, 1_000) for visits in (2, 5, 10)
)


@dataclass(frozen=True, slots=True)
class Visits:
    """The rows of a test set, and what two models say of them."""

    outcomes: Int8Array
    challenger: Float64Array
    champion: Float64Array
    persons: Int64Array


def visits_of(clinic: Clinic, draw: np.random.Generator, luck: float = LUCK) -> Visits:
    """Draw the visits of a clinic's persons; `luck` is the challenger's."""
    unknown = draw.normal(0, UNKNOWN, clinic.persons)
    of_person = draw.normal(0, OF_PERSON, clinic.persons)
    often = np.full(clinic.persons, clinic.visits)
    if clinic.sicker_come_more:
        more = np.exp(SICKER * (unknown + of_person) - SICKER**2 * (UNKNOWN**2 + OF_PERSON**2) / 2)
        often = 1 + draw.poisson((clinic.visits - 1) * more)
    persons = np.repeat(np.arange(clinic.persons), often)
    known = clinic.constant + of_person[persons] + draw.normal(0, OF_VISIT, len(persons))
    said = []
    for spread in (luck, LUCK):
        error = draw.normal(size=clinic.persons)[persons] + draw.normal(size=len(persons))
        said.append(logistic(known + spread / 2**0.5 * error))
    outcomes = draw.random(len(persons)) < logistic(known + unknown[persons])
    return Visits(outcomes.astype(np.int8), *said, persons)


def figures_of(found: Visits, persons: Persons) -> dict[str, Estimate]:
    """The figures of the challenger, and what it gains on the champion."""
    outcomes = found.outcomes
    told = came_true(found.challenger, THRESHOLD, outcomes, persons=persons).figures
    losses = log_losses(found.champion, outcomes) - log_losses(found.challenger, outcomes)
    asked = _contest(found, persons)
    compared = compare(asked)
    ours, theirs = map(asked.sample, asked.contestants)
    told |= {
        "gain in accuracy": Estimate(
            compared.accuracy_difference, compared.interval_low, compared.interval_high
        ),
        "gain in AUROC": auroc_gain(ours, theirs),
        "gain in log loss": mean(losses, persons),
    }
    return {name: each for name, each in told.items() if name not in _FIGURES_LEFT_OUT}


def _contest(found: Visits, persons: Persons, threshold: float = THRESHOLD) -> Contest:
    asked = contest(found.outcomes, found.challenger, found.champion, threshold)
    return asked if persons is None else replace(asked, persons=persons)


@cache
def truth(clinic: Clinic) -> dict[str, float]:
    """The figures over so many persons that luck plays no part."""
    many = replace(clinic, persons=_PERSONS_OF_TRUTH)
    found = figures_of(visits_of(many, np.random.default_rng(0)), None)
    return {name: each.value for name, each in found.items() if each.value is not None}


def held(clinic: Clinic, seed: int) -> BoolArray:
    """Whether each figure's interval holds the truth in some clinics, by visits and by persons:
    (clinics, 2, figures)."""
    draw = np.random.default_rng([seed, 5])
    found = [visits_of(clinic, draw) for _ in range(CLINICS_AT_ONCE)]
    return np.array(
        [
            [_holds(figures_of(each, persons), clinic) for persons in (None, each.persons)]
            for each in found
        ]
    )


def _holds(found: dict[str, Estimate], clinic: Clinic) -> list[bool]:
    return [
        found[name].low is not None and found[name].low <= value <= found[name].high
        for name, value in truth(clinic).items()
    ]


def verdicts(clinic: Clinic, seed: int) -> BoolArray:
    """Whether challengers of some clinics become champion by accuracy and the veto, which asks
    visits or persons, and whether they are truly worse: (clinics, 3)."""
    draw = np.random.default_rng([seed, 6])
    options = GateOptions(log_loss_veto=True)
    found = []
    for _ in range(CLINICS_AT_ONCE):
        luck = draw.uniform(*LUCK_OF_CHALLENGERS)
        drawn = visits_of(clinic, draw, luck)
        asked = (_contest(drawn, persons, 0.5) for persons in (None, drawn.persons))
        promoted = [decide(each, options).decision is Decision.PROMOTED for each in asked]
        found.append([*promoted, luck > LUCK])
    return np.array(found)
