"""Which differences between a model's two forms pass, and which are refused."""

import numpy as np
import pytest

from pima.core.features import Feature
from pima.model.recipes import recipe_for
from tests.bench.accuracy.shipped import shipped_rows
from tests.conftest import FEATURES

WIDE = (
    Feature("enzyme", low=0, high=1e6, power=1.0, scale=100.0),
    Feature("platelets", low=0, high=1e6, power=0.5, scale=3.0),
    Feature("since", low=1e9, high=3e9, power=1.0, scale=3.0),
)


def _fitted(features, rows, outcomes):
    from pima.model.network import TrainingData, fit

    return fit(recipe_for("five_seeds", features), features, TrainingData(rows, outcomes.astype(np.int8)), seed=7)


@pytest.fixture(scope="module")
def wide():
    """A tail to a thousand times what most patients have, on which the model may lean; numbers whose spread is small
    beside them; and the rows."""
    draw = np.random.default_rng(5)
    enzyme, platelets = draw.lognormal(3, 1.5, 500).clip(0, 1e6), draw.normal(8e5, 1e3, 500).clip(0, 1e6)
    rows = np.stack([enzyme, platelets, draw.uniform(1.7e9, 1.7e9 + 3e6, 500)], axis=1).astype(np.float32)
    outcomes = draw.random(500) < 0.1 + 0.3 * (enzyme > 20) + 0.4 * (platelets > 8e5)
    return _fitted(WIDE, rows, outcomes), WIDE, rows


@pytest.fixture(scope="module")
def shipped():
    """The model of the shipped rows, and those rows."""
    rows = shipped_rows()
    return _fitted(FEATURES, rows.features[:568], rows.outcomes[:568]), FEATURES, rows.features[:568]


def _apart(case, by: float = 1.0):
    """What the check finds where the largest weight of the compiled form's first layer is so many times Keras's."""
    from pima.model.artifact import Artifacts, export, parity

    model, features, rows = case
    ours, hidden = export(model), model.layers[-2]
    kernel, bias = hidden.get_weights()
    wrong = kernel.copy()
    wrong[np.unravel_index(np.abs(kernel).argmax(), kernel.shape)] *= by
    hidden.set_weights([wrong, bias])
    theirs = export(model)
    hidden.set_weights([kernel, bias])
    return parity(Artifacts(ours.keras, "", theirs.compiled, ""), rows, features, 0.5)


def test_a_sound_model_of_wide_ranges_passes_although_rounding_shows(wide) -> None:
    from pima.model.artifact import PROBABILITY_ROUNDING

    found = _apart(wide)
    assert found.largest_difference > PROBABILITY_ROUNDING
    assert found.passed


def test_the_shipped_models_forms_say_the_same(shipped) -> None:
    from pima.model.artifact import PROBABILITY_ROUNDING, probe_rows

    assert np.isnan(probe_rows(FEATURES)).any()
    found = _apart(shipped)
    assert found.largest_difference <= PROBABILITY_ROUNDING
    assert found.passed


@pytest.mark.parametrize(("case", "by"), [("wide", 1.01), ("shipped", 1.03)])
def test_a_wrong_weight_is_refused(case: str, by: float, request: pytest.FixtureRequest) -> None:
    found = _apart(request.getfixturevalue(case), by)
    assert not found.passed
    assert found.beyond_bound > 0


def test_a_difference_that_passes_is_below_a_quarter_of_a_point(shipped) -> None:
    found = _apart(shipped, 1.01)
    assert found.passed
    assert found.largest_difference < 0.0025


def test_what_is_not_a_number_is_refused(wide) -> None:
    found = _apart(wide, np.nan)
    assert found.beyond_bound >= len(wide[2])
    assert not found.passed
