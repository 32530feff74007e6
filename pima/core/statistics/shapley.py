"""How much each feature moves a model's predictions: Shapley values (Lundberg and Lee, NeurIPS
2017), interventional.

The game: features in a coalition have the row's own values, and the others have those of each
background row in turn. The coalition's worth is the model's mean probability. So for any model the
Shapley values add up to the row's probability minus the background's mean.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array

MOST_FOR_EXACT = 12
"""Up to so many features all coalitions are computed: 4,096 of them. One feature more would double
their number."""
PAIRS = 100
"""Pairs of orders that the estimate for more features uses."""
ROWS_A_CALL = 100_000
"""Rows that the model gets in one call: some megabytes."""

Model = Callable[[Float32Array], Float64Array]
"""(n, features) with NaN for missing -> (n,) probabilities."""
Game = Callable[[BoolArray], Float64Array]
"""(m, features), the members of each coalition -> (m,), its worth."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """The contribution of each feature of a row to its probability."""

    values: Float64Array
    """(features,)"""
    errors: Float64Array | None
    """(features,) the standard errors of an estimate; None where the values are exact."""


def contributions(
    model: Model,
    row: Float32Array,
    background: Float32Array,
    seed: int,
    most_for_exact: int = MOST_FOR_EXACT,
    pairs: int = PAIRS,
) -> Contributions:
    """Explain a row (features,) against background rows (b, features), b >= 1: exactly for so many
    features, else estimated from pairs of random orders, drawn with `seed`."""
    game = interventional(model, row, background)
    if len(row) <= most_for_exact:
        return Contributions(exact(game, len(row)), None)
    return estimated(game, len(row), pairs, seed)


def interventional(model: Model, row: Float32Array, background: Float32Array) -> Game:
    """Make the game whose players are the features of `row`. A coalition is worth the mean
    probability of rows that have its features from `row` and all others from `background`."""
    at_once = max(1, ROWS_A_CALL // len(background))

    def worth(coalitions: BoolArray) -> Float64Array:
        means = []
        for part in np.split(coalitions, range(at_once, len(coalitions), at_once)):
            rows = np.where(part[:, None, :], row, background[None])
            probabilities = model(rows.reshape(-1, len(row)))
            means.append(probabilities.reshape(len(part), len(background)).mean(axis=1))
        return np.concatenate(means)

    return worth


def exact(game: Game, features: int) -> Float64Array:
    """Compute Shapley values by definition, over all coalitions: (features,)."""
    numbers = np.arange(2**features)
    members = (numbers[:, None] >> np.arange(features)) & 1 == 1
    worth = game(members)
    sizes = members.sum(axis=1)
    # By size, the share of orders in which exactly this coalition comes before a given feature
    # outside it.
    weights = np.array([1 / features / math.comb(features - 1, size) for size in range(features)])
    values = np.empty(features)
    for feature in range(features):
        without = numbers[~members[:, feature]]
        gains = worth[without | (1 << feature)] - worth[without]
        values[feature] = (weights[sizes[without]] * gains).sum()
    return values


def estimated(game: Game, features: int, pairs: int, seed: int) -> Contributions:
    """Estimate from random orders of the features, each drawn with its reverse (Mitchell et al.,
    JMLR 2022): the values of the two lie on both sides of the mean, so little error is left if the
    model is nearly additive.

    `pairs` >= 2. The values of each order add up as the exact ones do.
    """
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(features) for _ in range(pairs)]
    found = np.array(
        [(_of_order(game, order) + _of_order(game, order[::-1])) / 2 for order in orders]
    )
    return Contributions(found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(pairs))


def _of_order(game: Game, order: Int64Array) -> Float64Array:
    places = np.argsort(order)
    worth = game(places < np.arange(len(order) + 1)[:, None])
    return np.diff(worth)[places]


_EXACT_UP_TO = 8
"""Features. With more, the values are estimated; the errors hardly show in a mean over rows."""
_PAIRS = 10
ROWS = 100
BACKGROUND_ROWS = 25
MOST_ANSWERS = 1_000_000
"""Answers of the model in all: with many features, fewer rows are explained."""


@dataclass(frozen=True, slots=True)
class Leaning:
    """The features that a model relies on."""

    rows: int
    moves: tuple[tuple[str, float], ...]
    """Each feature with the mean of the absolute values of its contributions, in probability; the
    largest first."""


def leaning(model: Model, features: Float32Array, names: tuple[str, ...], seed: int) -> Leaning:
    """Average contributions over some of the rows (n, features), n >= 2, against other rows; `seed`
    draws both."""
    draw = np.random.default_rng(seed).permutation(len(features))
    background = features[draw[:BACKGROUND_ROWS][: len(features) // 2]]
    coalitions = 2 * _PAIRS * (len(names) + 1)
    if len(names) <= _EXACT_UP_TO:
        coalitions = 2 ** len(names)
    most_rows = max(10, min(ROWS, MOST_ANSWERS // (coalitions * BACKGROUND_ROWS)))
    rows = features[draw[len(background) :][:most_rows]]
    found = [
        contributions(model, row, background, seed, _EXACT_UP_TO, _PAIRS).values for row in rows
    ]
    moved = np.abs(found).mean(axis=0)
    moves = sorted(zip(names, moved.tolist(), strict=True), key=lambda each: -each[1])
    return Leaning(len(rows), tuple(moves))
