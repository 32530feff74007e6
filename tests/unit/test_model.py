"""The network's fit and its stored forms, with real Keras."""

import numpy as np
import pytest

from pima.core.validation import Measurements, as_features
from pima.model.recipes import recipe_for
from tests.conftest import FEATURES, SHIPPED

SHIPPED_RECIPE = recipe_for("five_seeds", FEATURES)

pytestmark = pytest.mark.xdist_group("keras")


@pytest.fixture(scope="module")
def data():
    from pima.model.network import TrainingData

    rows = np.loadtxt(SHIPPED, delimiter=",")[:568]
    features = as_features(Measurements(rows[:, :8], np.zeros((568, 8), dtype=bool)), FEATURES)
    return TrainingData(features, rows[:, 8].astype(np.int8))


@pytest.fixture(scope="module")
def model(data):
    from pima.model.network import fit

    return fit(SHIPPED_RECIPE, FEATURES, data, seed=7)


@pytest.fixture(scope="module")
def artifacts(model):
    from pima.model.artifact import export

    return export(model)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, model) -> None:
    from pima.model.network import fit

    again, other = fit(SHIPPED_RECIPE, FEATURES, data, seed=7), fit(SHIPPED_RECIPE, FEATURES, data, seed=8)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (one == two).all()
    assert any((one != two).any() for one, two in zip(model.get_weights(), other.get_weights(), strict=True))


def test_the_members_learn_alone(data) -> None:
    """Folded, five members say the mean of what each says alone, trained from its own seed."""
    from pima.model.network import fit
    from pima.model.recipes import FiveSeeds

    def logits(model) -> np.ndarray:
        probability = np.asarray(model(data.features), dtype=np.float64)[:, 0]
        return np.log(probability / (1 - probability))

    few = FiveSeeds(members=2, steps=20)
    together = fit(few, FEATURES, data, seed=3)
    kernel = together.layers[-2].get_weights()[0]
    assert kernel.shape == (8, 2 * few.hidden_units)
    # The same training, one member's read-out silenced, is the other member's half of the mean logit.
    halves = []
    for member in range(2):
        output, bias = (weights.copy() for weights in together.layers[-1].get_weights())
        silent = slice((1 - member) * few.hidden_units, (2 - member) * few.hidden_units)
        output[silent] = 0
        clone = fit(few, FEATURES, data, seed=3)
        clone.layers[-1].set_weights([output, np.zeros_like(bias)])
        halves.append(logits(clone))
    total = halves[0] + halves[1] + float(together.layers[-1].get_weights()[1][0])
    assert np.abs(total - logits(together)).max() < 1e-4


def test_the_stored_model_is_made_of_plain_layers(model) -> None:
    names = {type(layer).__name__ for layer in model.layers}
    assert names <= {"InputLayer", "Sqrt", "Reciprocal", "Normalization", "Isnan", "Where", "Dense"}


def test_both_stored_forms_say_the_same_on_probe_rows_and_data(data, artifacts) -> None:
    from pima.model.artifact import LARGEST_DIFFERENCE, parity, probe_rows

    assert np.isnan(probe_rows(FEATURES)).any()
    found = parity(artifacts, data.features, FEATURES, 0.5)
    assert found.passed
    assert found.largest_difference <= LARGEST_DIFFERENCE


def test_another_models_compiled_form_fails_parity(data, artifacts) -> None:
    from pima.model.artifact import Artifacts, export, parity
    from pima.model.network import fit
    from pima.model.recipes import Article

    other = export(fit(Article(epochs=1), FEATURES, data, seed=1))
    swapped = Artifacts(artifacts.keras, artifacts.keras_sha256, other.compiled, other.compiled_sha256)
    found = parity(swapped, data.features, FEATURES, 0.5)
    assert not found.passed
    assert found.class_flips > 0


def test_missing_values_count_as_the_training_mean_of_their_power(data, model) -> None:
    row = data.features[:1].copy()
    row[0, 4] = np.nan
    filled = row.copy()
    filled[0, 4] = np.nanmean(np.sqrt(data.features[:, 4])) ** 2
    assert np.asarray(model(row))[0, 0] == pytest.approx(np.asarray(model(filled))[0, 0], abs=1e-6)


def test_the_members_see_each_measurement_at_its_scale(data) -> None:
    from pima.model.network import learn_preprocessing

    seen = np.where(
        np.isnan(data.features),
        np.nan,
        learn_preprocessing(SHIPPED_RECIPE, FEATURES, data.features).apply(data.features),
    )
    assert np.nanmean(seen, axis=0) == pytest.approx(np.zeros(8), abs=1e-5)
    assert np.nanstd(seen, axis=0) == pytest.approx(SHIPPED_RECIPE.scales, abs=1e-5)


def test_the_articles_network_sees_plain_standardised_measurements(data) -> None:
    from pima.model.network import learn_preprocessing, observed_moments
    from pima.model.recipes import Article

    mean, variance = observed_moments(data.features)
    plain = np.nan_to_num((data.features - mean) / np.sqrt(variance))
    assert learn_preprocessing(Article(), FEATURES, data.features).apply(data.features) == pytest.approx(
        plain, abs=1e-5
    )


def test_the_stored_model_prepares_rows_as_the_fit_did(data, model) -> None:
    from pima.model.network import learn_preprocessing

    prepared = learn_preprocessing(SHIPPED_RECIPE, FEATURES, data.features).apply(data.features)
    hidden, output = model.layers[-2:]
    assert np.asarray(output(hidden(prepared))) == pytest.approx(np.asarray(model(data.features)), abs=1e-5)


def test_a_column_without_any_value_divides_by_nothing() -> None:
    from pima.model.network import observed_moments

    mean, variance = observed_moments(np.array([[np.nan, 3.0], [np.nan, 3.0]], dtype=np.float32))
    assert mean.tolist() == [0, 3]
    assert variance.tolist() == [1, 1]


def test_large_data_are_fitted_in_batches(data) -> None:
    from pima.model.network import fit
    from pima.model.recipes import FiveSeeds

    model = fit(FiveSeeds(batch_rows=100, steps=60), FEATURES, data, seed=1)
    right = (np.asarray(model(data.features))[:, 0] >= 0.5) == data.outcomes
    assert right.mean() > 0.72
