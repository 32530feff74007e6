"""The networks and their fit: the weekly job's only look at Keras training.

Preprocessing is part of the model: it takes the declared features in their own units, categories as their codes, and
what is missing as NaN, and returns a probability, so nobody who loads the `.keras` file can forget a step.

A fit of `FiveSeeds` trains its members side by side, each from a seed of its own, in one Keras model whose first layer
holds them all next to each other. Their logits are averaged, and since an average of linear read-outs is again one
linear read-out, the five fold exactly into the plain two-layer model that is stored:

    (n, features) -> pima/model/preprocessing.py -> (n, inputs) -> Dense(5 * 16, silu) -> Dense(1, sigmoid)
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from pima.core.arrays import Float32Array, Int8Array
from pima.core.features import Features
from pima.model.boundary import Boundary, never
from pima.model.inner_folds import choose_l2
from pima.model.preprocessing import Preprocessing, learn_preprocessing
from pima.model.recipes import Article, FiveSeeds
from pima.model.side_by_side import BetweenSteps, train


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows that a network is fitted on."""

    features: Float32Array
    """(n, features), in their own units, NaN where missing."""
    outcomes: Int8Array
    """(n,), 0 or 1."""


def fit(
    recipe: FiveSeeds | Article, declared: Features, data: TrainingData, seed: int, boundary: Boundary = never
) -> keras.Model:
    """Fit a network; the same data and seed give the same weights on the same machine. `boundary` is called between
    steps and may raise.

    Returns a functional model: float32 (n, features) with NaN for missing -> float32 (n, 1) probabilities.
    """
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    preprocessing = learn_preprocessing(recipe, declared, data.features)
    standardised = preprocessing.apply(data.features)
    if isinstance(recipe, FiveSeeds):
        weights = _fit_five_seeds(recipe, standardised, data.outcomes, seed, boundary)
    else:
        weights = _fit_article(recipe, standardised, data.outcomes, boundary)
    return _plain_model(len(declared), preprocessing, weights)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a fit has learned, as plain dense layers."""

    hidden: list[tuple[Float32Array, Float32Array]]
    """(kernel, bias) of each hidden layer"""
    activation: str
    output: tuple[Float32Array, Float32Array]
    """kernel (units, 1), bias (1,)"""


def _fit_five_seeds(
    recipe: FiveSeeds, standardised: Float32Array, outcomes: Int8Array, seed: int, boundary: Boundary
) -> Weights:
    l2 = choose_l2(recipe, standardised, outcomes, seed, boundary) / len(outcomes)
    members = train(recipe, [l2], standardised, outcomes.astype(np.float32)[:, None], seed, boundary)
    kernel = (members.kernel / recipe.members).reshape(-1, 1).astype(np.float32)
    mean_logit = (kernel, members.bias.mean(keepdims=True))
    return Weights([members.hidden], "silu", mean_logit)


def _fit_article(recipe: Article, standardised: Float32Array, outcomes: Int8Array, boundary: Boundary) -> Weights:
    hidden = [keras.layers.Dense(units, activation="relu") for units in recipe.hidden_units]
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((standardised.shape[1],)), *hidden, output])
    model.compile(optimizer="adam", loss="binary_crossentropy")
    sizes = {"epochs": recipe.epochs, "batch_size": recipe.batch_rows}
    model.fit(standardised, outcomes, **sizes, verbose=0, callbacks=[BetweenSteps(boundary)])
    return Weights([tuple(layer.get_weights()) for layer in hidden], "relu", tuple(output.get_weights()))


def _plain_model(features: int, preprocessing: Preprocessing, weights: Weights) -> keras.Model:
    """The stored form: only built-in layers, so that loading it runs no code of anyone's."""
    measurements = keras.Input((features,), name="measurements")
    tensor = preprocessing.build(measurements)
    for kernel, bias in weights.hidden:
        dense = keras.layers.Dense(len(bias), activation=weights.activation)
        tensor = dense(tensor)
        dense.set_weights([kernel, bias])
    output = keras.layers.Dense(1, activation="sigmoid", name="probability")
    model = keras.Model(measurements, output(tensor), name="pima")
    output.set_weights(list(weights.output))
    return model
