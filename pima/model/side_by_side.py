"""Small networks trained next to each other in one Keras model, none of which sees another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pima.core.arrays import Float32Array
from pima.model.boundary import Boundary, never
from pima.model.recipes import FiveSeeds


@dataclass(frozen=True, slots=True)
class Members:
    """What they have learned."""

    hidden: tuple[Float32Array, Float32Array]
    """kernel (inputs, members * hidden_units) and bias (members * hidden_units,)"""
    kernel: Float32Array
    """(members, hidden_units), each one's read-out"""
    bias: Float32Array
    """(members,)"""

    def logits(self, inputs: Float32Array) -> Float32Array:
        """(n, inputs) -> (n, members)"""
        kernel, bias = self.hidden
        before = inputs @ kernel + bias
        after = before / (1 + np.exp(-before.clip(-80)))  # silu; below -80 its exponential would overflow float32
        logits: Float32Array = (after.reshape(len(inputs), *self.kernel.shape) * self.kernel).sum(axis=-1) + self.bias
        return logits


def train(
    recipe: FiveSeeds,
    l2: Sequence[float],
    inputs: Float32Array,
    targets: Float32Array,
    seed: int,
    boundary: Boundary = never,
) -> Members:
    """Fit the recipe's members on inputs (n, inputs), each from a seed of its own; under each L2 the same ones again.

    Targets (n, 1) are the outcomes; (n, 1 + members) are the outcomes and then the weight of each row for each member.
    """
    layer = keras.Input((inputs.shape[1],))
    hidden = keras.layers.Dense(
        len(l2) * recipe.members * recipe.hidden_units,
        activation="silu",
        kernel_initializer=_again(len(l2), 1, _drawn_alone(recipe, seed)),
        kernel_regularizer=_penalty(np.repeat(l2, recipe.members * recipe.hidden_units)),
    )
    read_out = _MemberReadOut(recipe, l2, seed)
    model = keras.Model(layer, read_out(hidden(layer)))  # (n, inputs) -> (n, members) logits
    loss = _summed_cross_entropy if targets.shape[1] == 1 else _weighted_cross_entropy
    model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss=loss)
    # Its variables are made now: made in the first step, they would have TensorFlow trace the step a second time.
    model.optimizer.build(model.trainable_variables)
    # One epoch over a repeated dataset: an epoch of Model.fit costs about 64 ms whatever it does.
    weighted = np.concatenate([targets[:, :1], np.tile(targets[:, 1:], len(l2))], axis=1)
    steps = _steps(recipe, inputs, weighted, seed)
    dropped_between = [BetweenSteps(boundary)]
    model.fit(steps, epochs=1, steps_per_epoch=recipe.steps, shuffle=False, verbose=0, callbacks=dropped_between)
    return Members(tuple(hidden.get_weights()), *read_out.get_weights())


class BetweenSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """Has Keras call a boundary. Before a step, not behind it: there Keras would wait for the step's figures first."""

    def __init__(self, boundary: Boundary) -> None:
        super().__init__()
        self._boundary = boundary

    def on_train_batch_begin(self, _batch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras names it)
        """Keras's name for it."""
        self._boundary()


class _MemberReadOut(keras.layers.Layer):  # type: ignore[misc]
    """Hidden units (n, members * hidden_units) -> one logit a member (n, members); exists during the fit only."""

    def __init__(self, recipe: FiveSeeds, l2: Sequence[float], seed: int) -> None:
        super().__init__()
        self.by_member = (len(l2) * recipe.members, recipe.hidden_units)
        limit = (6 / (recipe.hidden_units + 1)) ** 0.5  # Glorot's, for one member: sqrt(6 / (inputs + outputs))
        draw = keras.initializers.RandomUniform(-limit, limit, seed=seed)
        penalty = _penalty(np.repeat(l2, recipe.members)[:, None])
        self.kernel = self.add_weight(shape=self.by_member, initializer=_again(len(l2), 0, draw), regularizer=penalty)
        self.bias = self.add_weight(shape=self.by_member[:1], initializer="zeros")

    def call(self, hidden: Any) -> Any:
        return ops.sum(ops.reshape(hidden, (-1, *self.by_member)) * self.kernel, axis=-1) + self.bias


def _penalty(l2: Float32Array) -> Any:
    """L2 on a kernel, of which each part has the strength that stands there."""
    if len(set(l2.flat)) == 1:
        return keras.regularizers.L2(float(l2.flat[0]))
    strengths = l2.astype(np.float32)
    return lambda kernel: ops.sum(strengths * ops.square(kernel))


def _again(times: int, axis: int, draw: Callable[..., Any]) -> Callable[..., Any]:
    """An initialiser that draws one part of a kernel, and has it so many times along an axis."""

    def initialise(shape: tuple[int, int], dtype: str | None = None) -> Any:
        part = list(shape)
        part[axis] //= times
        return ops.concatenate([draw(tuple(part), dtype=dtype)] * times, axis=axis)

    return draw if times == 1 else initialise


def _drawn_alone(recipe: FiveSeeds, seed: int) -> Callable[..., Any]:
    """An initialiser that draws each member's (inputs, hidden_units) kernel as if the member stood alone."""

    def initialise(shape: tuple[int, int], dtype: str | None = None) -> Any:
        draws = [keras.initializers.GlorotUniform(seed + member) for member in range(recipe.members)]
        return ops.concatenate([draw((shape[0], recipe.hidden_units), dtype=dtype) for draw in draws], axis=1)

    return initialise


def _summed_cross_entropy(outcomes: Any, logits: Any) -> Any:
    """Each member's loss, summed: no member's gradient sees another member. (n, 1), (n, members) -> (n,)"""
    return ops.sum(ops.softplus(logits) - ops.cast(outcomes, logits.dtype) * logits, axis=-1)


def _weighted_cross_entropy(targets: Any, logits: Any) -> Any:
    """Likewise, each member with rows of its own. (n, 1 + members), (n, members) -> (n,)"""
    outcomes, weights = targets[:, :1], targets[:, 1:]
    return ops.sum(weights * (ops.softplus(logits) - outcomes * logits), axis=-1)


def _steps(recipe: FiveSeeds, inputs: Float32Array, targets: Float32Array, seed: int) -> tf.data.Dataset:
    columns = (inputs, targets)
    if len(targets) <= recipe.batch_rows:
        return tf.data.Dataset.from_tensors(columns).repeat(recipe.steps)
    draw = np.random.default_rng(seed)

    # Batches are drawn by numpy: tf.data's shuffle would copy a million rows one by one.
    def batches() -> Iterator[tuple[Float32Array, ...]]:
        for _ in range(recipe.steps):
            rows = draw.integers(0, len(targets), recipe.batch_rows)
            yield tuple(column[rows] for column in columns)

    signature = tuple(tf.TensorSpec((None, column.shape[1]), tf.float32) for column in columns)
    return tf.data.Dataset.from_generator(batches, output_signature=signature)
