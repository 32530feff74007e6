"""What is compared, by name: our recipe as it stands and the peers, none of them tuned."""

import numpy as np

from benches.accuracy.peers import (
    BOOSTING,
    CATBOOST,
    EXPLAINABLE,
    LOGISTIC_REGRESSION,
    RANDOM_FOREST,
    explainable_boosting,
    peers,
)
from benches.tables.data_sets import DataSet, Rows, one_hot
from pima.core.arrays import Float64Array
from pima.logs import quiet_native_code
from pima.model.recipes import Recipe, recipe_for
from pima.train.fit import by_straight_line

OURS = "pima"
STRAIGHT_LINE = "straight line on pima's inputs"
CANDIDATES = (
    OURS,
    LOGISTIC_REGRESSION,
    STRAIGHT_LINE,
    RANDOM_FOREST,
    BOOSTING,
    CATBOOST,
    EXPLAINABLE,
)
SHUFFLES = {EXPLAINABLE: 1, CATBOOST: 3}
"""Of the slow ones: on so many of the shuffles, the first."""
WIDE = 25
"""From so many features on, the explainable boosting machine goes without pairs of features: to
look for them among 30 numbers would take half an hour of one set alone."""


def answers(
    name: str, data: DataSet, training: np.ndarray, test: np.ndarray, seed: int
) -> Float64Array:
    """Probabilities of outcome 1 for the test rows, from a fit on the training rows: two arrays of
    row numbers."""
    if name == OURS:
        return ours(recipe_for("five_seeds", data.declared), data, training, test, seed)
    if name == STRAIGHT_LINE:
        return _line(data, training, test, seed)
    if name == EXPLAINABLE and len(data.declared) >= WIDE:
        peer = explainable_boosting(interactions=0)
    else:
        peer = next(candidate for candidate in peers() if candidate.name == name)
    rows = Rows(one_hot(data).astype(np.float32), data.rows.outcomes)
    return peer.fit(rows.take(training), seed)(rows.take(test))


def ours(
    recipe: Recipe, data: DataSet, training: np.ndarray, test: np.ndarray, seed: int
) -> Float64Array:
    """What a fit by a recipe of ours says."""
    with quiet_native_code():
        import keras

        from pima.model.network import TrainingData, fit

        keras.backend.clear_session()  # hundreds of earlier models would slow this fit
        rows = data.rows.take(training)
        model = fit(recipe, data.declared, TrainingData(rows.features, rows.outcomes), seed)
        return np.asarray(model(data.rows.take(test).features), dtype=np.float64)[:, 0]


def _line(data: DataSet, training: np.ndarray, test: np.ndarray, seed: int) -> Float64Array:
    with quiet_native_code():
        from pima.model.network import TrainingData

        rows = data.rows.take(training)
        learned_from = TrainingData(rows.features, rows.outcomes)
        asked = data.rows.take(test).features
        recipe = recipe_for("five_seeds", data.declared)
        return by_straight_line(recipe, data.declared, learned_from, asked, seed)
