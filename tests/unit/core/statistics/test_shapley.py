"""Shapley values against their definition and another implementation, and what a model leans on."""

import json
from itertools import permutations

import numpy as np
import pytest

from pima.core.arrays import BoolArray, Float32Array, Float64Array
from pima.core.statistics.shapley import (
    BACKGROUND_ROWS,
    MOST_FOR_EXACT,
    ROWS,
    ROWS_A_CALL,
    contributions,
    estimated,
    exact,
    interventional,
    leaning,
)
from tests.oracle import shapley

_DRAW = np.random.default_rng(7)
WEIGHTS = _DRAW.normal(size=20)


def bent(rows: Float32Array) -> Float64Array:
    """A model with interactions, that takes a missing value for 0.3."""
    known = np.nan_to_num(rows.astype(float), nan=0.3)
    pulled = (
        known @ WEIGHTS[: rows.shape[1]] + 1.5 * known[:, 0] * known[:, 1] - np.abs(known[:, 2])
    )
    return 1 / (1 + np.exp(-pulled))


def rows_of(features: int, rows: int) -> Float32Array:
    found = np.random.default_rng(features).normal(size=(rows, features)).astype(np.float32)
    found[::5, 1] = np.nan
    return found


def test_exact_values_are_those_of_the_definition() -> None:
    """The mean gain over all orders in which four features can come in, a coalition being worth a
    mean."""
    row, background = rows_of(4, 9)[0], rows_of(4, 9)[1:]

    def worth(members: frozenset[int]) -> float:
        mixed = background.copy()
        for feature in members:
            mixed[:, feature] = row[feature]
        return float(bent(mixed).mean())

    orders = list(permutations(range(4)))
    expected = np.zeros(4)
    for order in orders:
        for place, feature in enumerate(order):
            before = frozenset(order[:place])
            expected[feature] += (worth(before | {feature}) - worth(before)) / len(orders)
    found = contributions(bent, row, background, seed=0)
    assert found.errors is None
    assert found.values == pytest.approx(expected, abs=1e-12)


def test_of_real_rows_they_are_what_shap_says() -> None:
    rows, recorded = shapley.real_rows(), json.loads(shapley.VALUES.read_text())["values"]
    for number, expected in zip(shapley.EXPLAINED, recorded, strict=True):
        game = interventional(shapley.model, rows[number], rows[shapley.BACKGROUND])
        assert exact(game, 8) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("features", [3, 8, MOST_FOR_EXACT, MOST_FOR_EXACT + 1, 20])
def test_they_add_up_to_the_prediction_less_the_background_s_mean(features: int) -> None:
    row, background = rows_of(features, 11)[0], rows_of(features, 11)[1:]
    found = contributions(bent, row, background, seed=3)
    assert (found.errors is None) == (features <= MOST_FOR_EXACT)
    assert found.values.sum() == pytest.approx(
        bent(row[None])[0] - bent(background).mean(), abs=1e-9
    )


def test_of_a_large_background_the_model_is_asked_for_one_coalition_at_a_time() -> None:
    """More at once would take as many times the memory."""
    asked = []

    def model(rows: Float32Array) -> Float64Array:
        asked.append(len(rows))
        return bent(rows)

    background = rows_of(3, ROWS_A_CALL // 2 + 1)
    interventional(model, background[0], background)(np.eye(3, dtype=bool))
    assert asked == [len(background)] * 3


def test_an_estimate_is_within_its_error_of_the_exact_values() -> None:
    row, background = rows_of(8, 31)[0], rows_of(8, 31)[1:]
    game = interventional(bent, row, background)
    right, found = exact(game, 8), estimated(game, 8, pairs=60, seed=5)
    assert found.errors is not None
    assert (found.errors > 0).all()
    assert found.errors.max() < 0.02
    away = np.abs(found.values - right) / found.errors
    assert away.max() < 4
    assert (away < 2).sum() >= 6
    again, other = estimated(game, 8, pairs=60, seed=5), estimated(game, 8, pairs=60, seed=6)
    assert (again.values == found.values).all()
    assert (other.values != found.values).any()


def test_of_an_additive_model_an_estimate_has_no_error() -> None:
    gains = np.array([0.1, -0.3, 0.2, 0.05])

    def additive(coalitions: BoolArray) -> Float64Array:
        worth: Float64Array = coalitions @ gains
        return worth

    found = estimated(additive, 4, pairs=3, seed=1)
    assert found.values == pytest.approx(gains)
    assert found.errors == pytest.approx(np.zeros(4), abs=1e-12)


def _model(rows: Float32Array) -> Float64Array:
    """An additive one: the first feature twice as much as the second, the last not at all."""
    return (0.5 + 0.2 * rows[:, 0] - 0.1 * rows[:, 1]).astype(float)


@pytest.mark.parametrize("features", [3, 8, 9, 40])
def test_features_stand_in_the_order_of_what_they_move(features: int) -> None:
    rows = np.random.default_rng(1).choice([-1, 1], (400, features)).astype(np.float32)
    names = tuple(f"f{n}" for n in range(features))
    found = leaning(_model, rows, names, seed=2)
    assert [name for name, _ in found.moves[:2]] == ["f0", "f1"]
    assert [value for _, value in found.moves[:2]] == pytest.approx([0.2, 0.1], rel=0.15)
    assert all(value == pytest.approx(0, abs=1e-6) for _, value in found.moves[2:])
    assert len(found.moves) == features
    assert 10 <= found.rows <= ROWS
    assert leaning(_model, rows, names, seed=2) == found


@pytest.mark.parametrize("rows", [2, 30])
def test_few_rows_are_divided_into_background_and_rows(rows: int) -> None:
    found = leaning(_model, np.eye(rows, 3, dtype=np.float32), ("a", "b", "c"), seed=0)
    assert found.rows == rows - min(BACKGROUND_ROWS, rows // 2)
