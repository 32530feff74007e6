"""Numbers near the ends of what float32 has: the fit and the stored model take them alike."""

from dataclasses import replace

import numpy as np
import pytest

from pima.core.declared.faults import LARGEST, LARGEST_SCALE, SMALLEST, SMALLEST_SCALE
from pima.core.declared.features import Feature
from pima.model.recipes import recipe_for

ROWS = 300


def _fitted(features: tuple[Feature, ...], values: np.ndarray, chooses: bool = False):
    """A model of numbers of which the first decides, what its fit saw, and what its stored form
    makes of the rows.

    It chooses its L2 if asked to, which it does on prepared rows alone; else it has the weakest.
    """
    from pima.model.network import TrainingData, fit
    from pima.model.preprocessing import learn_preprocessing

    recipe = recipe_for("five_seeds", features)
    recipe = recipe if chooses else replace(recipe, l2_choices=(), l2_times_rows=1.5)
    values = values.astype(np.float32)
    data = TrainingData(values, (values[:, 0] > np.median(values[:, 0])).astype(np.int8))
    model = fit(recipe, features, data, seed=3)
    return model, data, learn_preprocessing(features, values, recipe).apply(values)


@pytest.mark.parametrize(
    ("unit", "power"),
    [(1e-29, None), (1e29, 1.0), (1e-29, 0.5), (1e20, -1.0)],
)
def test_a_number_in_whatever_unit_is_fitted_and_stored_as_in_any_other(
    unit: float, power: float | None
) -> None:
    from pima.model.network import export, parity

    draw = np.random.default_rng(2)
    features = (
        Feature("x", low=unit / 10, high=10 * unit, power=power, may_be_missing=True),
        Feature("y", low=-10, high=10, may_be_missing=True),
    )
    values = np.stack(
        [unit * draw.uniform(0.2, 9, ROWS), draw.normal(0, 2, ROWS).clip(-10, 10)], axis=1
    )
    values[::17, 1] = np.nan
    model, data, prepared = _fitted(features, values, chooses=power is None)
    hidden, output = model.layers[-2:]
    said = np.asarray(model(data.features))
    assert np.asarray(output(hidden(prepared))) == pytest.approx(said, abs=1e-4)
    assert ((said[:, 0] >= 0.5) == data.outcomes).mean() > 0.95
    assert parity(export(model), data.features, features, 0.5).passed


def test_a_value_far_outside_what_the_fit_saw_is_no_more_than_large() -> None:
    draw = np.random.default_rng(2)
    features = tuple(Feature(name, low=-1e30, high=1e30, power=1.0) for name in "xy")
    model, _, _ = _fitted(features, draw.normal(0, 1e-12, (ROWS, 2)))
    far = np.array(
        [[sign * 1e30, other * 1e30] for sign in (1, -1) for other in (1, -1)], dtype=np.float32
    )
    assert np.isfinite(np.asarray(model(far))).all()


def test_values_that_are_next_to_each_other_make_no_piece_steeper_than_float32_has() -> None:
    """A range from 0 lets in numbers of which float32 has but the last digits."""
    draw = np.random.default_rng(2)
    features = (Feature("x", low=0, high=1e30, may_be_missing=True),)
    values = draw.choice([0.0, 1e-44, 1e-37, 1.0, 1e30], (ROWS, 1))
    model, data, prepared = _fitted(features, values)
    assert np.isfinite(prepared).all()
    assert np.isfinite(np.asarray(model(data.features))).all()


@pytest.mark.parametrize("scale", [SMALLEST_SCALE, LARGEST_SCALE])
@pytest.mark.parametrize("power", [1.0, 0.5, -1.0])
@pytest.mark.parametrize("unit", [10 * SMALLEST, 1.0, LARGEST / 10])
def test_each_scale_that_may_be_declared_is_one_that_the_model_s_numbers_carry(
    unit: float, power: float, scale: float
) -> None:
    import keras

    from pima.model.preprocessing import learn_preprocessing

    values = (unit * np.random.default_rng(2).uniform(0.2, 9, (ROWS, 1))).astype(np.float32)
    features = (Feature("x", low=unit / 10, high=10 * unit, power=power, scale=scale),)
    learned = learn_preprocessing(features, values, recipe_for("five_seeds", features))
    entry = keras.Input((1,))
    stored = keras.Model(entry, learned.build(entry))
    for prepared in (learned.apply(values), np.asarray(stored(values))):
        assert prepared.std() == pytest.approx(scale, rel=1e-3)
        assert np.abs(prepared.mean()) < scale / 100
