"""The steps between the measurements and the first dense layer: learned in the fit, and part of the
stored model.

A row's inputs, (n, inputs), stand side by side:

    numbers (n, numbers) -> power -> Normalization -> NaN becomes 0, the training mean
    numbers without a declared power (n, some) -> pieces, as well
    categories (n, categories) -> one input for each code, 1 if the row has it

Pieces turn a steep place in a risk, such as a guideline's threshold, into one weight of the first
layer. A number's range is cut at quantiles of its training values, and each piece becomes an input:
it rises within the piece, and is level on both sides. Its mean is 0, and its standard deviation a
fraction of the number's own, so that under the L2 the network relies on the number first. A missing
value counts as the training median.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import ops

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.declared.features import Features
from pima.model.recipes import FiveSeeds, choose_exponents

LEAST_VALUES = 20
"""A number with fewer training values has no meaningful quantiles, and gets no pieces."""
STEEPEST = 1e35
"""The largest rate of a piece: quantiles may be neighbours in float32, and a steeper rate would be
infinite."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of some of the numbers, equally many for each; if two quantiles are equal, the
    piece between is 0.

    Each array except the medians is (numbers, pieces).
    """

    positions: list[int]
    """The positions of these numbers among the features."""
    medians: Float32Array
    """(numbers,)"""
    centres: Float32Array
    """The value of the number at which the input is 0."""
    rates: Float32Array
    """The rise of the input for each unit of the number."""
    lows: Float32Array
    """The input below the piece."""
    highs: Float32Array
    """The input above the piece."""

    def apply(self, features: Float32Array) -> Float32Array:
        """Return (n, numbers * pieces) for (n, features), NaN where missing."""
        chosen = features[:, self.positions]
        rise = np.where(np.isnan(chosen), self.medians, chosen)[:, :, None] - self.centres
        with np.errstate(over="ignore"):  # far outside a steep piece; the next step brings it back
            rise *= self.rates
        np.clip(rise, self.lows, self.highs, out=rise)
        return rise.reshape(len(features), -1)

    def build(self, measurements: Any) -> Any:
        """Build `apply` into the stored model. Each step is exact to the last bit in Keras and in
        LiteRT alike."""
        chosen = ops.take(measurements, np.array(self.positions, dtype=np.int32), axis=1)
        filled = ops.where(ops.isnan(chosen), self.medians, chosen)
        rise = (ops.expand_dims(filled, 2) - self.centres) * self.rates
        return ops.reshape(
            ops.minimum(ops.maximum(rise, self.lows), self.highs), (-1, self.rates.size)
        )


def learn_pieces(recipe: FiveSeeds, positions: list[int], features: Float32Array) -> Pieces | None:
    """Cut the numbers at these positions among the features (n, features); None if the recipe makes
    no pieces."""
    if not recipe.rows_a_piece or not positions:
        return None
    # More rows give more pieces, and more numbers fewer.
    wanted = min(max(len(features) // recipe.rows_a_piece, recipe.least_pieces), recipe.most_pieces)
    pieces = min(wanted, recipe.pieces_in_all // len(positions))
    if pieces < 2:
        return None
    columns = [features[:, position].astype(np.float64) for position in positions]
    seen = [column[np.isfinite(column)] for column in columns]
    medians = np.array(
        [np.median(values) if len(values) else 0.0 for values in seen], dtype=np.float32
    )
    learned = np.array(
        [_cut(values, pieces, recipe.piece_scale) for values in seen], dtype=np.float32
    )
    return Pieces(positions, medians, *np.moveaxis(learned, 2, 0))


def _cut(values: Float64Array, pieces: int, scale: float) -> Float64Array:
    """Centre, rate, low and high of each piece, (pieces, 4)."""
    cut = np.zeros((pieces, 4))
    if len(values) < LEAST_VALUES:
        return cut
    edges = np.quantile(values, np.linspace(0, 1, pieces + 1))
    for piece, (start, end) in enumerate(pairwise(edges)):
        share = np.clip((values - start) / (end - start), 0, 1) if start < end else np.zeros(1)
        if share.std() > 0:
            height = scale / share.std()
            if height > STEEPEST * (end - start):
                continue
            centre = start + share.mean() * (end - start)
            cut[piece] = (
                centre,
                height / (end - start),
                -height * share.mean(),
                height * (1 - share.mean()),
            )
    return cut


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The learned numbers of all steps; each array is (numbers,)."""

    numbers: list[int]
    """The positions of the numbers among the features."""
    codes: list[tuple[int, float]]
    """The position of a category and one of its codes; an input for each pair."""
    exponents: Float32Array
    factors: Float32Array
    """Multipliers of the powers: 1, except in units whose variance float32 can't hold."""
    mean: Float64Array
    """The mean of the powers times their factors, over the known training values."""
    variance: Float64Array
    """Their variance over the square of the recipe's scale; inputs are divided by its root."""
    pieces: Pieces | None

    def apply(self, features: Float32Array) -> Float32Array:
        """Return (n, inputs): numbers with mean 0 and the recipe's scale as standard deviation, 0
        where missing; their pieces; then a 1 for the code that a row has, and none if it is
        missing."""
        powers = np.power(features[:, self.numbers], self.exponents) * self.factors
        scaled = (powers - self.mean) / np.sqrt(self.variance)
        columns = [np.where(np.isnan(scaled), 0.0, scaled).astype(np.float32)]
        if self.pieces:
            columns.append(self.pieces.apply(features))
        columns += [features[:, [position]] == code for position, code in self.codes]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def scales(self, inputs: Float32Array, outcomes: Int8Array, least: float) -> Float32Array:
        """A scale for each input by what rows (n, inputs) say of its feature, (inputs,): the root
        of 1 - 2 / c, and `least` at least.

        c is the score test's chi-square a degree of freedom, near 1 where a feature says nothing:
        of its number or its codes, or of its pieces, whichever is larger.
        """
        missed = outcomes - outcomes.mean()
        # Of an input that is always the same only rounding is left.
        information = len(inputs) * missed.var() * inputs.var(axis=0) + 1e-6
        found = (missed @ inputs) ** 2 / information
        # Pieces count as a part of their own: ~ of their feature's position.
        pieces = self.pieces
        cut = [~at for at in pieces.positions for _ in pieces.rates[0]] if pieces else []
        parts = np.array([*self.numbers, *cut, *(at for at, _ in self.codes)])
        means = {part: found[parts == part].mean() for part in parts}
        evidence = [max(means[part], means.get(~part, 0), 2) for part in parts]
        return np.sqrt(1 - 2 / np.array(evidence)).clip(least).astype(np.float32)

    def build(self, measurements: Any) -> Any:
        """Build `apply` into the stored model: (n, features) -> (n, inputs)"""
        inputs = [self._numbers(measurements)] if self.numbers else []
        if self.pieces:
            inputs.append(self.pieces.build(measurements))
        if self.codes:
            # A missing category equals none of its codes.
            positions, codes = zip(*self.codes, strict=True)
            tensor = ops.take(measurements, np.array(positions, dtype=np.int32), axis=1)
            inputs.append(
                ops.cast(ops.equal(tensor, np.array([codes], dtype=np.float32)), "float32")
            )
        if len(inputs) == 1:
            return inputs[0]
        return ops.concatenate(inputs, axis=1)

    def _numbers(self, measurements: Any) -> Any:
        taken = measurements
        if self.codes:
            taken = ops.take(measurements, np.array(self.numbers, dtype=np.int32), axis=1)
        tensor = taken
        # A general power would make the compiled model 1.4 times as slow.
        for exponent, function in ((0.5, ops.sqrt), (-1.0, ops.reciprocal)):
            chosen = self.exponents == exponent
            if chosen.any():
                tensor = ops.where(chosen, function(taken), tensor)
        multiplied = bool((self.factors != 1).any())
        if multiplied:
            tensor = tensor * self.factors
        normalise = keras.layers.Normalization(
            mean=self.mean, variance=self.variance, name="normalise"
        )
        tensor = normalise(tensor)
        tensor = ops.where(ops.isnan(tensor), 0.0, tensor)
        # Far outside the training values float32 may overflow, and two infinities could cancel out
        # to NaN.
        return ops.minimum(ops.maximum(tensor, -1e30), 1e30) if multiplied else tensor


def learn_preprocessing(
    declared: Features, features: Float32Array, recipe: FiveSeeds | None = None
) -> Preprocessing:
    """Learn the steps: moments of features (n, features), NaN where missing, with the recipe's
    exponents and scales, if it has any."""
    numbers = [position for position, feature in enumerate(declared) if feature.kind == "number"]
    codes = [
        (position, float(code))
        for position, feature in enumerate(declared)
        if feature.kind == "category"
        for code in sorted(feature.codes)
    ]
    values = features[:, numbers]
    exponents = np.ones(len(numbers), dtype=np.float32)
    scales = np.ones(len(numbers))
    pieces = None
    if recipe is not None and recipe.exponents:
        lows = [declared[position].low for position in numbers]
        exponents = choose_exponents(recipe.exponents, lows, values)
        scales = np.array(recipe.scales)
        left = [
            number
            for number, exponent in zip(numbers, recipe.exponents, strict=True)
            if exponent is None
        ]
        pieces = learn_pieces(recipe, left, features)
    mean, variance = observed_moments(np.power(values, exponents))
    variance /= scales**2
    # 1 if the deviation can be used: Keras takes none below 1e-7, and above 1e19 its square is
    # infinite. Else the power of two that brings it near 1: products with it are exact.
    deviations = np.sqrt(variance)
    will_do = (deviations > 1e-6) & (deviations < 1e18)
    factors = np.where(will_do, 1.0, np.exp2(-np.round(np.log2(deviations)).clip(-120, 120)))
    multiplied = factors.astype(np.float32), mean * factors, variance * factors**2
    return Preprocessing(numbers, codes, exponents, *multiplied, pieces)


def observed_moments(features: Float32Array) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of each column over its known values: two arrays (columns,).

    A column without any value, or with one value only, gets variance 1, so that nothing divides by
    zero.
    """
    seen = np.isfinite(features)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, features, 0).sum(axis=0, dtype=np.float64) / count
    variance = (np.where(seen, features - mean, 0) ** 2).sum(axis=0, dtype=np.float64) / count
    return mean, np.where(variance > 0, variance, 1.0)
