"""What a model leans on: how much each feature moves its probabilities, on average over rows."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float32Array, Float64Array
from pima.core.shapley import Model, estimated, exact, interventional

MOST_FOR_EXACT = 8
"""Features; more are estimated, whose errors hardly show in a mean over rows."""
PAIRS = 10
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
    if len(row) <= MOST_FOR_EXACT:
        return exact(game, len(row))
    return estimated(game, len(row), PAIRS, seed).values


def _most_rows(features: int) -> int:
    coalitions = 2**features if features <= MOST_FOR_EXACT else 2 * PAIRS * (features + 1)
    return max(10, min(ROWS, MOST_ANSWERS // (coalitions * BACKGROUND_ROWS)))
