"""The networks and their fit: the weekly job's only look at Keras training.

Preprocessing is part of the model: it takes the declared features in their own units, categories as their codes, and
what is missing as NaN, and returns a probability, so nobody who loads the `.keras` file can forget a step.

A fit of `FiveSeeds` trains its members side by side, each from a seed of its own, in one Keras model whose first layer
holds them all next to each other. Their logits are averaged, and since an average of linear read-outs is again one
linear read-out, the five fold exactly into the plain two-layer model that is stored:

    numbers (n, numbers) -> power -> Normalization -> NaN becomes 0, the training mean
    categories (n, categories) -> one input for each code, 1 where it is the row's; (n, inputs) with the numbers
    -> Dense(5 * 16, silu) -> Dense(1, sigmoid)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.features import Features
from pima.core.powers import choose_exponents
from pima.model.recipes import Article, FiveSeeds


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows that a network is fitted on."""

    features: Float32Array
    """(n, features), in their own units, NaN where missing."""
    outcomes: Int8Array
    """(n,), 0 or 1."""


def fit(recipe: FiveSeeds | Article, declared: Features, data: TrainingData, seed: int) -> keras.Model:
    """Fit a network; the same data and seed give the same weights on the same machine.

    Returns a functional model: float32 (n, features) with NaN for missing -> float32 (n, 1) probabilities.
    """
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    preprocessing = learn_preprocessing(recipe, declared, data.features)
    standardised = preprocessing.apply(data.features)
    if isinstance(recipe, FiveSeeds):
        weights = _fit_five_seeds(recipe, standardised, data.outcomes, seed)
    else:
        weights = _fit_article(recipe, standardised, data.outcomes)
    return _plain_model(len(declared), preprocessing, weights)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What stands between the measurements and the first dense layer; each array (numbers,) but `codes`."""

    numbers: list[int]
    """Where the numbers stand among the features."""
    codes: list[tuple[int, float]]
    """Where a category stands, and one of its codes; an input for each pair."""
    exponents: Float32Array
    mean: Float64Array
    """Of the powers, over the training values that are there."""
    variance: Float64Array
    """What the powers are divided by the root of: theirs, over the square of the recipe's scale."""

    def apply(self, features: Float32Array) -> Float32Array:
        """(n, inputs): numbers with mean 0 and the recipe's scale as standard deviation, 0 where missing; then a 1 for
        the code that a row has, of a missing one none."""
        scaled = (np.power(features[:, self.numbers], self.exponents) - self.mean) / np.sqrt(self.variance)
        columns = [np.where(np.isnan(scaled), 0.0, scaled)]
        columns += [features[:, [position]] == code for position, code in self.codes]
        return np.concatenate(columns, axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a fit has learned, as plain dense layers."""

    hidden: list[tuple[Float32Array, Float32Array]]
    """(kernel, bias) of each hidden layer"""
    activation: str
    output: tuple[Float32Array, Float32Array]
    """kernel (units, 1), bias (1,)"""


def _fit_five_seeds(recipe: FiveSeeds, standardised: Float32Array, outcomes: Int8Array, seed: int) -> Weights:
    l2 = keras.regularizers.L2(recipe.l2_times_rows / len(outcomes))
    inputs = keras.Input((standardised.shape[1],))
    hidden = keras.layers.Dense(
        recipe.members * recipe.hidden_units,
        activation="silu",
        kernel_initializer=_side_by_side(recipe, seed),
        kernel_regularizer=l2,
    )
    read_out = _MemberReadOut(recipe, l2, seed)
    training_model = keras.Model(inputs, read_out(hidden(inputs)))  # (n, 8) -> (n, members) logits
    training_model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss=_summed_cross_entropy)
    # Its variables are made now: made in the first step, they would have TensorFlow trace the step a second time.
    training_model.optimizer.build(training_model.trainable_variables)
    # One epoch over a repeated dataset: an epoch of Model.fit costs about 64 ms whatever it does.
    steps = _steps(recipe, standardised, outcomes, seed)
    training_model.fit(steps, epochs=1, steps_per_epoch=recipe.steps, shuffle=False, verbose=0)
    member_kernel, member_bias = read_out.get_weights()  # (members, hidden_units), (members,)
    mean_logit = (member_kernel.reshape(-1, 1) / recipe.members, member_bias.mean(keepdims=True))
    return Weights([tuple(hidden.get_weights())], "silu", mean_logit)


def _fit_article(recipe: Article, standardised: Float32Array, outcomes: Int8Array) -> Weights:
    hidden = [keras.layers.Dense(units, activation="relu") for units in recipe.hidden_units]
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((standardised.shape[1],)), *hidden, output])
    model.compile(optimizer="adam", loss="binary_crossentropy")
    model.fit(standardised, outcomes, epochs=recipe.epochs, batch_size=recipe.batch_rows, verbose=0)
    return Weights([tuple(layer.get_weights()) for layer in hidden], "relu", tuple(output.get_weights()))


def learn_preprocessing(recipe: FiveSeeds | Article, declared: Features, features: Float32Array) -> Preprocessing:
    """The recipe's exponents and scales with the moments of these features (n, features), NaN where missing."""
    numbers = [position for position, feature in enumerate(declared) if feature.kind == "number"]
    codes = [
        (position, float(code))
        for position, feature in enumerate(declared)
        if feature.kind == "category"
        for code in sorted(feature.codes)
    ]
    values = features[:, numbers]
    exponents, scales = np.ones(len(numbers), dtype=np.float32), np.ones(len(numbers))
    if isinstance(recipe, FiveSeeds) and recipe.exponents:
        lows = [declared[position].low for position in numbers]
        exponents = choose_exponents(recipe.exponents, lows, values)
        scales = np.array(recipe.scales)
    mean, variance = observed_moments(np.power(values, exponents))
    return Preprocessing(numbers, codes, exponents, mean, variance / scales**2)


def observed_moments(features: Float32Array) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of each column over the values that are there: two arrays (columns,).

    A column without any value, or with one value only, gets variance 1, so that nothing divides by zero.
    """
    seen = np.isfinite(features)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, features, 0).sum(axis=0, dtype=np.float64) / count
    variance = (np.where(seen, features - mean, 0) ** 2).sum(axis=0, dtype=np.float64) / count
    return mean, np.where(variance > 0, variance, 1.0)


class _MemberReadOut(keras.layers.Layer):  # type: ignore[misc]
    """Hidden units (n, members * hidden_units) -> one logit a member (n, members); exists during the fit only."""

    def __init__(self, recipe: FiveSeeds, l2: Any, seed: int) -> None:
        super().__init__()
        self.by_member = (recipe.members, recipe.hidden_units)
        limit = (6 / (recipe.hidden_units + 1)) ** 0.5  # Glorot's, for one member: sqrt(6 / (inputs + outputs))
        draw = keras.initializers.RandomUniform(-limit, limit, seed=seed)
        self.kernel = self.add_weight(shape=self.by_member, initializer=draw, regularizer=l2)
        self.bias = self.add_weight(shape=(recipe.members,), initializer="zeros")

    def call(self, hidden: Any) -> Any:
        return ops.sum(ops.reshape(hidden, (-1, *self.by_member)) * self.kernel, axis=-1) + self.bias


def _side_by_side(recipe: FiveSeeds, seed: int) -> Callable[..., Any]:
    """An initialiser that draws each member's (inputs, hidden_units) kernel as if the member stood alone."""

    def initialise(shape: tuple[int, int], dtype: str | None = None) -> Any:
        draws = [keras.initializers.GlorotUniform(seed + member) for member in range(recipe.members)]
        return ops.concatenate([draw((shape[0], recipe.hidden_units), dtype=dtype) for draw in draws], axis=1)

    return initialise


def _summed_cross_entropy(outcomes: Any, logits: Any) -> Any:
    """Each member's loss, summed: no member's gradient sees another member. (n, 1), (n, members) -> (n,)"""
    return ops.sum(ops.softplus(logits) - ops.cast(outcomes, logits.dtype) * logits, axis=-1)


def _steps(recipe: FiveSeeds, standardised: Float32Array, outcomes: Int8Array, seed: int) -> tf.data.Dataset:
    columns = (standardised, outcomes.astype(np.float32)[:, None])
    if len(outcomes) <= recipe.batch_rows:
        return tf.data.Dataset.from_tensors(columns).repeat(recipe.steps)
    draw = np.random.default_rng(seed)

    # Batches are drawn by numpy: tf.data's shuffle would copy a million rows one by one.
    def batches() -> Iterator[tuple[Float32Array, ...]]:
        for _ in range(recipe.steps):
            rows = draw.integers(0, len(outcomes), recipe.batch_rows)
            yield tuple(column[rows] for column in columns)

    signature = tuple(tf.TensorSpec((None, column.shape[1]), tf.float32) for column in columns)
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


def _plain_model(features: int, preprocessing: Preprocessing, weights: Weights) -> keras.Model:
    """The stored form: only built-in layers, so that loading it runs no code of anyone's."""
    measurements = keras.Input((features,), name="measurements")
    inputs = [_numbers(measurements, preprocessing)] if preprocessing.numbers else []
    inputs += [_one_hot(measurements, preprocessing)] if preprocessing.codes else []
    tensor = inputs[0] if len(inputs) == 1 else ops.concatenate(inputs, axis=1)
    for kernel, bias in weights.hidden:
        dense = keras.layers.Dense(len(bias), activation=weights.activation)
        tensor = dense(tensor)
        dense.set_weights([kernel, bias])
    output = keras.layers.Dense(1, activation="sigmoid", name="probability")
    model = keras.Model(measurements, output(tensor), name="pima")
    output.set_weights(list(weights.output))
    return model


def _numbers(measurements: Any, preprocessing: Preprocessing) -> Any:
    """(n, features) -> (n, numbers)"""
    tensor = measurements
    if preprocessing.codes:
        tensor = ops.take(measurements, np.array(preprocessing.numbers, dtype=np.int32), axis=1)
    tensor = _powers(tensor, preprocessing.exponents)
    normalise = keras.layers.Normalization(mean=preprocessing.mean, variance=preprocessing.variance, name="normalise")
    tensor = normalise(tensor)
    return ops.where(ops.isnan(tensor), 0.0, tensor)


def _one_hot(measurements: Any, preprocessing: Preprocessing) -> Any:
    """(n, features) -> (n, codes); a missing category equals none of its codes."""
    positions, codes = zip(*preprocessing.codes, strict=True)
    tensor = ops.take(measurements, np.array(positions, dtype=np.int32), axis=1)
    return ops.cast(ops.equal(tensor, np.array([codes], dtype=np.float32)), "float32")


def _powers(measurements: Any, exponents: Float32Array) -> Any:
    """Roots and reciprocals where they are asked for: a general power makes the compiled model 1.4 times as slow."""
    tensor = measurements
    for exponent, function in ((0.5, ops.sqrt), (-1.0, ops.reciprocal)):
        chosen = exponents == exponent
        if chosen.any():
            tensor = ops.where(chosen, function(measurements), tensor)
    return tensor
