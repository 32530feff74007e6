"""The numbers of each network's fit, by the name that config knows it by. No Keras here: the gate looks a verdict up by
them before anything heavy is imported."""

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class FiveSeeds:
    """Several small networks trained side by side and folded into one."""

    members: int = 5
    hidden_units: int = 16
    steps: int = 200
    learning_rate: float = 0.01
    l2_times_rows: float = 3.0
    """L2 on both layers is this over the number of training rows: a prior of constant strength beside a mean loss."""
    exponents: tuple[float, ...] = (1, 1, 1, 1, 0.5, -1, 0.5, 1)
    """Power of each measurement in the order of `pima.core.features`, each 1, 0.5 or -1: roots of insulin and pedigree,
    1 / BMI. They are skewed, and no outlier drags the fit once its distance is shrunk."""
    scales: tuple[float, ...] = (0.5, 1.5, 0.1, 0.1, 1.5, 1, 1, 1.5)
    """Standard deviation that each power is brought to: under the same L2, the wider an input, the more the network
    may lean on it. Blood pressure and skin fold say little beside BMI and age."""
    batch_rows: int = 16_384
    """Up to this many rows a step sees all of them; above it, a random batch of this size."""


@dataclass(frozen=True, slots=True)
class Article:
    """The tutorial's network and fit."""

    hidden_units: tuple[int, ...] = (10, 8, 8)
    epochs: int = 20
    batch_rows: int = 10


RECIPES: dict[str, FiveSeeds | Article] = {"five_seeds": FiveSeeds(), "article": Article()}


def recipe_of(settings: dict[str, Any]) -> FiveSeeds | Article:
    """The recipe that stands in a version's stored settings, whatever today's numbers are."""
    recipe: FiveSeeds | Article = msgspec.convert(settings["recipe"], type(RECIPES[settings["network"]]))
    return recipe
