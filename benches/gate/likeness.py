"""How like Keras the fast learner is: what two fits of a recipe on the same rows get, and how often
they disagree."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benches.gate.fast_learner import SERVICE_LUCK, TUTORIAL_LUCK, fit_ensemble
from benches.gate.population import fresh_patients
from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.logs import quiet_native_code
from pima.model.recipes import Article, Recipe, recipe_for
from pima.settings.reading import SHIPPED

TRAINING_ROWS = 800
_Predict = Callable[[Float32Array, Int8Array, int, Float32Array], Float64Array]
"""Fit on features and outcomes with a seed; the probabilities of other features."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """One recipe, the mean over populations."""

    recipe: str
    true_accuracy: float
    disagreement: float
    """the share of fresh patients to whom two seeds give another class"""


def likenesses(populations: int) -> list[Likeness]:
    """The service's and the tutorial's network in Keras, and the fast learner that stands in for
    each."""
    with quiet_native_code():
        return [_likeness(name, predict, populations) for name, predict in _RECIPES.items()]


def _likeness(recipe: str, predict: _Predict, populations: int) -> Likeness:
    figures = []
    for population in range(populations):
        training = fresh_patients(np.random.default_rng([population, 5]), TRAINING_ROWS)
        outcomes = (
            np.random.default_rng([population, 6]).random(TRAINING_ROWS) < training.probability
        )
        fresh = fresh_patients(np.random.default_rng([population, 7]), 10_000)
        one, other = (
            predict(training.features, outcomes.astype(np.int8), seed, fresh.features) >= 0.5
            for seed in (1, 1_001)
        )
        accuracy = np.where(one, fresh.probability, 1 - fresh.probability).mean()
        figures.append((accuracy, (one != other).mean()))
    return Likeness(recipe, *np.mean(figures, axis=0).tolist())


def _keras(
    recipe: Recipe,
    features: Float32Array,
    outcomes: Int8Array,
    seed: int,
    others: Float32Array,
) -> Float64Array:
    from pima.model.network import TrainingData, fit

    model = fit(recipe, SHIPPED.features, TrainingData(features, outcomes), seed)
    probabilities: Float64Array = model.predict(others, batch_size=len(others), verbose=0)[:, 0]
    return probabilities


def _fast(
    members: int,
    luck: float,
    features: Float32Array,
    outcomes: Int8Array,
    seed: int,
    others: Float32Array,
) -> Float64Array:
    return fit_ensemble(features, outcomes, seed, members, luck).probabilities(others)


_FIVE_SEEDS = recipe_for("five_seeds", SHIPPED.features)
_RECIPES: dict[str, _Predict] = {
    "The tutorial's network": partial(_keras, Article()),
    "lucky learner, one seed": partial(_fast, 1, TUTORIAL_LUCK),
    "lucky, five seeds": partial(_fast, 5, TUTORIAL_LUCK),
    "pima's network, one seed": partial(_keras, replace(_FIVE_SEEDS, members=1)),
    "five seeds": partial(_keras, _FIVE_SEEDS),
    "steady learner, one seed": partial(_fast, 1, SERVICE_LUCK),
    "steady, five seeds": partial(_fast, 5, SERVICE_LUCK),
}
