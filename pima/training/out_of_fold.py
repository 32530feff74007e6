"""The threshold of a fit: a number that was asked for, or the one that reaches what was asked for, out of fold."""

from typing import TYPE_CHECKING

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.features import Features
from pima.core.thresholds import stratified_folds, threshold_reaching
from pima.logs import get_logger
from pima.model.libraries import Boundary, never
from pima.model.recipes import Article, FiveSeeds

if TYPE_CHECKING:
    from pima.model.network import TrainingData

FOLDS = 5


def threshold_of(
    asked: float | str,
    recipe: FiveSeeds | Article,
    features: Features,
    data: "TrainingData",
    seed: int,
    boundary: Boundary = never,
) -> float:
    """The number itself; of a text like "sensitivity >= 0.85" the threshold that reaches it on the training rows, each
    judged by a fit of the same recipe that did not see it. The same rows and seed give the same threshold."""
    if not isinstance(asked, str):
        return asked
    threshold = threshold_reaching(asked, _out_of_fold(recipe, features, data, seed, boundary), data.outcomes)
    get_logger().info("threshold chosen", to_reach=asked, threshold=threshold, folds=FOLDS)
    return threshold


def _out_of_fold(
    recipe: FiveSeeds | Article, features: Features, data: "TrainingData", seed: int, boundary: Boundary
) -> Float64Array:
    from pima.model.network import TrainingData, fit

    folds = stratified_folds(data.outcomes, FOLDS, seed)
    probabilities = np.empty(len(folds), dtype=np.float64)
    for fold in range(FOLDS):
        others = folds != fold
        rest = TrainingData(data.features[others], data.outcomes[others])
        model = fit(recipe, features, rest, seed, boundary)
        probabilities[~others] = np.asarray(model(data.features[~others]), dtype=np.float64)[:, 0]
    return probabilities
