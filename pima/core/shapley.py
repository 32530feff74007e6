"""How much each feature moves a model's predictions: Shapley values (Lundberg and Lee, NeurIPS 2017), interventional.

The game: of a coalition of features the row's own values are taken and of the others those of background rows, one
background row after another; its value is the model's mean probability. So the values add up to the row's probability
less the background's mean, whatever the model is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array

MOST_FOR_EXACT = 12
"""Features up to which all coalitions are asked: 4,096 of them. Each feature more would double them."""
PAIRS = 100
"""Of orders, by which more features are estimated."""
ROWS_A_CALL = 100_000
"""That are put together for the model at once, in some megabytes."""

Model = Callable[[Float32Array], Float64Array]
"""(n, features) with NaN for missing -> (n,) probabilities."""
Game = Callable[[BoolArray], Float64Array]
"""(m, features), of each coalition who is in it -> (m,) what it is worth."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each feature of a row added to its probability."""

    values: Float64Array
    """(features,)"""
    errors: Float64Array | None
    """(features,) the standard errors of an estimate; None where the values are exact."""


def contributions(model: Model, row: Float32Array, background: Float32Array, seed: int) -> Contributions:
    """Of a row (features,) against background rows (b, features), b >= 1; exact for up to 12 features, else estimated
    by orders that `seed` draws."""
    game, features = interventional(model, row, background), len(row)
    if features <= MOST_FOR_EXACT:
        return Contributions(exact(game, features), None)
    return estimated(game, features, PAIRS, seed)


def interventional(model: Model, row: Float32Array, background: Float32Array) -> Game:
    """The game of this row against this background."""
    at_once = max(1, ROWS_A_CALL // len(background))

    def worth(coalitions: BoolArray) -> Float64Array:
        parts = [_mixed(coalitions[n : n + at_once]) for n in range(0, len(coalitions), at_once)]
        return np.concatenate(parts)

    def _mixed(coalitions: BoolArray) -> Float64Array:
        rows = np.where(coalitions[:, None, :], row, background[None])
        probabilities = model(rows.reshape(-1, len(row)))
        means: Float64Array = probabilities.reshape(len(coalitions), len(background)).mean(axis=1)
        return means

    return worth


def exact(game: Game, features: int) -> Float64Array:
    """By definition, over all coalitions: (features,)."""
    numbers = np.arange(2**features)
    members = (numbers[:, None] >> np.arange(features)) & 1 == 1
    worth, sizes = game(members), members.sum(axis=1)
    weights = _weights(features)
    found = np.empty(features)
    for feature in range(features):
        without = numbers[~members[:, feature]]
        gains = worth[without | (1 << feature)] - worth[without]
        found[feature] = (weights[sizes[without]] * gains).sum()
    return found


def _weights(features: int) -> Float64Array:
    """Of a coalition of each size, the share of orders in which just it comes before a feature that is not in it."""
    sizes = np.arange(features)
    choices = np.cumprod(np.concatenate([[1.0], (features - sizes[1:]) / sizes[1:]]))
    weights: Float64Array = 1 / (features * choices)
    return weights


def estimated(game: Game, features: int, pairs: int, seed: int) -> Contributions:
    """By orders in which the features come in, each drawn with its reverse (Mitchell et al., JMLR 2022): their values
    lie on both sides of the mean, so that of a model that is nearly additive little error is left.

    At least two pairs. The values of each order add up as exact ones do.
    """
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(features) for _ in range(pairs)]
    found = np.array([(_of_order(game, order) + _of_order(game, order[::-1])) / 2 for order in orders])
    return Contributions(found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(pairs))


def _of_order(game: Game, order: Int64Array) -> Float64Array:
    places = np.argsort(order)
    worth = game(places < np.arange(len(order) + 1)[:, None])
    gains: Float64Array = np.diff(worth)[places]
    return gains


_EXACT_UP_TO = 8
"""Features; more are estimated, whose errors hardly show in a mean over rows."""
_PAIRS = 10
ROWS = 100
BACKGROUND_ROWS = 25
MOST_ANSWERS = 1_000_000
"""That the model is asked for in all: with many features fewer rows are looked at."""


@dataclass(frozen=True, slots=True)
class Leaning:
    """Of one model."""

    rows: int
    """That it is a mean over."""
    moves: tuple[tuple[str, float], ...]
    """Each feature with the mean of the absolute values of its contributions, in probability; the largest first."""


def leaning(model: Model, features: Float32Array, names: tuple[str, ...], seed: int) -> Leaning:
    """Over some of the rows (n, features), n >= 2, against others of them, both drawn by the seed."""
    draw = np.random.default_rng(seed).permutation(len(features))
    background = features[draw[:BACKGROUND_ROWS][: len(features) // 2]]
    rows = features[draw[len(background) :][: _most_rows(len(names))]]
    moved = np.abs([_contributions(model, row, background, seed) for row in rows]).mean(axis=0)
    order = np.argsort(-moved, kind="stable").tolist()
    return Leaning(len(rows), tuple((names[n], float(moved[n])) for n in order))


def _contributions(model: Model, row: Float32Array, background: Float32Array, seed: int) -> Float64Array:
    game = interventional(model, row, background)
    if len(row) <= _EXACT_UP_TO:
        return exact(game, len(row))
    return estimated(game, len(row), _PAIRS, seed).values


def _most_rows(features: int) -> int:
    coalitions = 2**features if features <= _EXACT_UP_TO else 2 * _PAIRS * (features + 1)
    return max(10, min(ROWS, MOST_ANSWERS // (coalitions * BACKGROUND_ROWS)))
