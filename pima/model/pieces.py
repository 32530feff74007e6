"""Numbers in pieces: a steep place in a risk, such as a guideline's threshold, becomes one weight of the first layer.

A number's range is cut at quantiles of its training values, and each piece becomes an input: it rises within the piece,
and is level on both sides. Its mean is 0, and its standard deviation a fraction of the number's own, so that under the
L2 the network leans on the number first. What is missing counts as the training median.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from keras import ops

from pima.core.arrays import Float32Array, Float64Array
from pima.model.recipes import FiveSeeds

LEAST_VALUES = 20
"""A number with fewer has no quantiles worth the name, and stays whole."""
STEEPEST = 1e35
"""Rate of a piece; two quantiles may be next to each other in what float32 has, and a steeper one would be infinite."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of some of the features, all in as many pieces; where two quantiles are equal, the piece between is 0 throughout.

    Each array but the medians is (numbers, pieces).
    """

    positions: list[int]
    """Of those numbers among the features."""
    medians: Float32Array
    """(numbers,)"""
    centres: Float32Array
    """Where the input is 0."""
    rates: Float32Array
    """How much it rises with the number."""
    lows: Float32Array
    """What it is below the piece."""
    highs: Float32Array
    """And above it."""

    def apply(self, features: Float32Array) -> Float32Array:
        """(n, features), NaN where missing -> (n, numbers * pieces)"""
        chosen = features[:, self.positions]
        rise = np.where(np.isnan(chosen), self.medians, chosen)[:, :, None] - self.centres
        with np.errstate(over="ignore"):  # far outside a steep piece; the next step brings it back
            rise *= self.rates
        np.clip(rise, self.lows, self.highs, out=rise)
        return rise.reshape(len(features), -1)

    def build(self, measurements: Any) -> Any:
        """The same in the stored model. Each step is exact to the last bit in Keras and in LiteRT alike."""
        chosen = ops.take(measurements, np.array(self.positions, dtype=np.int32), axis=1)
        filled = ops.where(ops.isnan(chosen), self.medians, chosen)
        rise = (ops.expand_dims(filled, 2) - self.centres) * self.rates
        return ops.reshape(ops.minimum(ops.maximum(rise, self.lows), self.highs), (-1, self.rates.size))


def learn_pieces(recipe: FiveSeeds, positions: list[int], features: Float32Array) -> Pieces | None:
    """Of the numbers at these positions among the features (n, features); None where the recipe has none."""
    pieces = _how_many(recipe, len(positions), len(features))
    if pieces < 2:
        return None
    columns = [features[:, position].astype(np.float64) for position in positions]
    seen = [column[np.isfinite(column)] for column in columns]
    medians = np.array([np.median(values) if len(values) else 0.0 for values in seen], dtype=np.float32)
    learned = np.array([_cut(values, pieces, recipe.piece_scale) for values in seen], dtype=np.float32)
    return Pieces(positions, medians, *np.moveaxis(learned, 2, 0))


def _how_many(recipe: FiveSeeds, numbers: int, rows: int) -> int:
    """Of each number: more with more rows, and fewer where there are many numbers."""
    if not recipe.rows_a_piece or not numbers:
        return 0
    wanted = min(max(rows // recipe.rows_a_piece, recipe.least_pieces), recipe.most_pieces)
    return min(wanted, recipe.pieces_in_all // numbers)


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
            cut[piece] = centre, height / (end - start), -height * share.mean(), height * (1 - share.mean())
    return cut
