"""How far apart two float32 forms of one network may come by rounding alone.

The result of an operation is within U of what it would be without rounding, relatively, and a sum of n products, in
whatever order, rounds 2 n times at most, of numbers no larger than the sum of their magnitudes (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd edition 2002, sections 2.2, 3.1 and 4.2). What a rounding makes of the logit is,
to first order, itself times the number that is rounded times the logit's derivative by it; these are added up over the
network as it stands on each row, so that a row in the far tail of a range, whose sums are large, is allowed more than
one in the middle. Roundings behave as independent ones with mean 0 (Higham and Mary, A new approach to probabilistic
rounding error analysis, SIAM Journal on Scientific Computing 41, 2019, A2815), so it is their squares that add up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from pima.core.arrays import Float32Array, Float64Array

U = 2.0**-24
"""Half the distance of 1 from the next float32."""
LEAST = 1e-6
"""Is always allowed, in probability: what the libraries' own sigmoids come apart by near 0.5. Measured on the shipped
data, all roundings together: 2e-7."""
_DEVIATIONS = 4.0
"""Times U: a rounding lies anywhere within U, the difference of two forms so has a standard deviation of 0.82 U, and
this is 5 of them."""
_OF_AN_INPUT, _OF_A_POWER, _OF_AN_ACTIVATION = 4, 2, 8
"""In U, at most: subtracting the mean, and dividing by a root or multiplying by its rounded reciprocal; a root or a
reciprocal; the libraries' approximations of a sigmoid, and the product with it."""
_BLOCK_ROWS = 10_000


def allowed_differences(model: keras.Model, rows: Float32Array) -> Float64Array:
    """In probability, (n,), for rows (n, features) of a model as `pima.model.network` builds it."""
    blocks = [rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS)]
    return np.concatenate([_of_a_block(model, block) for block in blocks] or [np.empty(0)])


def _of_a_block(model: keras.Model, rows: Float32Array) -> Float64Array:
    first, *_ = layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    prepared = _part(model, first)(rows)
    inputs = np.asarray(prepared, dtype=np.float64)
    passed = _passed_through(layers, inputs)
    by_input, squares = _back_to_the_inputs(passed)
    squares += ((by_input * _input_roundings(model, rows, inputs)) ** 2).sum(axis=1)
    logits = passed[-1].sums[:, 0]
    return np.maximum(LEAST, _in_probability(logits, _DEVIATIONS * U * np.sqrt(squares)))


def _in_probability(logits: Float64Array, apart: Float64Array) -> Float64Array:
    """From a difference of the logit, by the steepest slope of the sigmoid within it; at most 1."""
    nearest_to_0 = np.maximum(np.abs(logits) - apart, 0)
    likely = 1 / (1 + np.exp(-nearest_to_0))
    return np.minimum(likely * (1 - likely) * apart, 1.0)


@dataclass(frozen=True, slots=True)
class _Passed:
    """A dense layer and what it makes of some rows, without rounding; each array but the kernel is (n, units)."""

    kernel: Float64Array
    """(inputs, units)"""
    sums: Float64Array
    """Before the activation."""
    magnitudes: Float64Array
    """The same sums of absolute values."""
    values: Float64Array
    """Behind the activation."""
    slopes: Float64Array
    """Of the activation, there."""


def _passed_through(layers: Sequence[keras.layers.Dense], inputs: Float64Array) -> list[_Passed]:
    passed, values = [], inputs
    for layer in layers:
        kernel, bias = (np.asarray(weights, dtype=np.float64) for weights in layer.get_weights())
        sums, magnitudes = values @ kernel + bias, np.abs(values) @ np.abs(kernel) + np.abs(bias)
        # The last one's sigmoid is dealt with where probabilities are.
        values, slopes = _ACTIVATIONS[layer.activation.__name__](sums)
        passed.append(_Passed(kernel, sums, magnitudes, values, slopes))
    return passed


def _silu(sums: Float64Array) -> tuple[Float64Array, Float64Array]:
    share = 1 / (1 + np.exp(-np.clip(sums, -700, 700)))
    return sums * share, share * (1 + sums * (1 - share))


_ACTIVATIONS: dict[str, Callable[[Float64Array], tuple[Float64Array, Float64Array]]] = {
    "silu": _silu,
    "relu": lambda sums: (np.maximum(sums, 0), (sums > 0).astype(np.float64)),
    "sigmoid": lambda sums: (sums, np.ones_like(sums)),
}


def _back_to_the_inputs(passed: Sequence[_Passed]) -> tuple[Float64Array, Float64Array]:
    """The logit's derivative by each input of the first layer, (n, inputs), and the sum of squares of what the layers'
    roundings make of it, in U, (n,)."""
    by_sum = np.ones_like(passed[-1].sums)
    squares = np.zeros(len(by_sum))
    for layer, before in zip(reversed(passed), [*reversed(passed[:-1]), None], strict=True):
        # Of each product, of each addition, and of the bias.
        roundings = 2 * len(layer.kernel) + 1
        squares += roundings * ((by_sum * layer.magnitudes) ** 2).sum(axis=1)
        by_input = by_sum @ layer.kernel.T
        if before is not None:
            squares += ((_OF_AN_ACTIVATION * by_input * before.values) ** 2).sum(axis=1)
            by_sum = by_input * before.slopes
    return by_input, squares


def _input_roundings(model: keras.Model, rows: Float32Array, inputs: Float64Array) -> Float64Array:
    """In U, (n, inputs): what their preparation may have rounded of them."""
    rounded = _OF_AN_INPUT * np.abs(inputs)
    normalise = next((layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)), None)
    if normalise is not None:
        # Numbers come before their pieces and the codes.
        deviations = np.sqrt(keras.ops.convert_to_numpy(normalise.variance))
        powers = _powers_that_are_rounded(_part(model, normalise), rows) / deviations
        rounded[:, : powers.shape[1]] += _OF_A_POWER * np.nan_to_num(powers)
    return rounded


def _powers_that_are_rounded(to_powers: keras.Model, rows: Float32Array) -> Float64Array:
    """(n, numbers), 0 where a number is taken as it is: then its distance from the mean comes of numbers that both
    forms have exactly alike, however large they are beside it."""
    powers = np.abs(np.asarray(to_powers(rows), dtype=np.float64))
    alike = np.ones((2, rows.shape[1]), dtype=np.float32) * [[1], [4]]
    of_one, of_four = np.asarray(to_powers(alike.astype(np.float32)), dtype=np.float64)
    return np.where(of_four == 4 * of_one, 0.0, powers)


def _part(model: keras.Model, layer: keras.layers.Layer) -> keras.Model:
    """What comes before a layer."""
    return keras.Model(model.input, layer.input)
