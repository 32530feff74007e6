"""What a model leans on, of models of which it is known."""

import numpy as np
import pytest

from pima.core.arrays import Float32Array, Float64Array
from pima.core.shapley import BACKGROUND_ROWS, ROWS, leaning


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
