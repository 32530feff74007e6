"""The network's fit and its stored forms, with real Keras."""

import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benches.accuracy.shipped import shipped_rows
from pima.core.declared.features import Feature
from pima.core.statistics.estimates import lower_p
from pima.core.statistics.logistic_regression import choose_strength, fit_penalised
from pima.errors import FileNotWritten, Interrupted
from pima.model.recipes import (
    Article,
    FiveSeeds,
    Recipe,
    drawn,
    recipe_for,
    stratified_folds,
)
from tests.support.databases import clean_environ
from tests.support.shipped import FEATURES, ROOT

SHIPPED_RECIPE = recipe_for("five_seeds", FEATURES)


@pytest.fixture(scope="module")
def network():
    """Imported where it is asked for: it brings TensorFlow along."""
    from pima.model import network

    return network


@pytest.fixture(scope="module")
def preprocessing():
    from pima.model import preprocessing

    return preprocessing


@pytest.fixture(scope="module")
def data(network):
    rows = shipped_rows()
    return network.TrainingData(rows.features[:568], rows.outcomes[:568])


@pytest.fixture(scope="module")
def model(network, data):
    return network.fit(SHIPPED_RECIPE, FEATURES, data, seed=7)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(network, data, model) -> None:
    again, other = (network.fit(SHIPPED_RECIPE, FEATURES, data, seed=seed) for seed in (7, 8))
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (one == two).all()
    assert any(
        (one != two).any()
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True)
    )


@pytest.mark.parametrize("prevalence", [0.05, 0.3, 0.95])
def test_the_mean_prediction_is_the_prevalence_of_the_rows_however_rare_the_outcome(
    network, prevalence: float
) -> None:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(800, 2)).astype(np.float32)
    features = tuple(Feature(name, low=-9, high=9, power=1) for name in ("one", "other"))
    odds = np.exp(0.8 * rows[:, 0]) * prevalence / (1 - prevalence)
    outcomes = (draw.random(800) < odds / (1 + odds)).astype(np.int8)
    recipe = recipe_for("five_seeds", features)
    fitted = network.fit(recipe, features, network.TrainingData(rows, outcomes), seed=7)
    predicted = float(np.asarray(fitted(rows)).mean())
    rarer = min(outcomes.mean(), 1 - outcomes.mean())
    assert abs(predicted - outcomes.mean()) < 0.03 * rarer


@pytest.mark.parametrize(
    "recipe", [SHIPPED_RECIPE, Article(), FiveSeeds(l2_choices=(1.0,), most_rows_to_choose=5_000)]
)
def test_a_fit_is_dropped_between_two_of_its_steps(network, data, recipe: Recipe) -> None:
    steps: list[int] = []

    def drop_the_third() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise Interrupted(143)

    with pytest.raises(Interrupted):
        network.fit(recipe, FEATURES, data, seed=7, boundary=drop_the_third)
    assert len(steps) == 3


def test_a_fit_says_the_mean_of_what_its_members_say(network, preprocessing, data) -> None:
    from pima.model.network import train

    few = FiveSeeds(members=2, steps=20)
    said = np.asarray(network.fit(few, FEATURES, data, seed=3)(data.features), dtype=np.float64)[
        :, 0
    ]
    prepared = preprocessing.learn_preprocessing(FEATURES, data.features, few).apply(data.features)
    outcomes = data.outcomes.astype(np.float32)[:, None]
    members = train(few, [few.l2_times_rows / len(outcomes)], prepared, outcomes, seed=3)
    assert np.log(said / (1 - said)) == pytest.approx(
        members.logits(prepared).mean(axis=1), abs=1e-4
    )


def test_the_stored_model_is_made_of_plain_layers(model) -> None:
    names = {type(layer).__name__ for layer in model.layers}
    assert names <= {"InputLayer", "Sqrt", "Reciprocal", "Normalization", "Isnan", "Where", "Dense"}


def test_a_model_that_finds_no_room_for_its_files_says_so(network, model, shipped) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Keras writes the first file, TensorFlow then others.
    for room in (1_000, len(shipped[1].keras) + 1_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, usual[1]))
        try:
            with pytest.raises(FileNotWritten, match="a temporary file could not be written: "):
                network.export(model)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_another_models_compiled_form_fails_parity(network, data, shipped) -> None:
    other = network.export(network.fit(Article(epochs=1), FEATURES, data, seed=1))
    found = network.parity(
        network.Artifacts(shipped[1].keras, other.compiled), data.features, FEATURES, 0.5
    )
    assert not found.passed
    assert found.class_flips > 0


def test_the_articles_network_sees_plain_standardised_measurements(preprocessing, data) -> None:
    mean, variance = preprocessing.observed_moments(data.features)
    plain = np.nan_to_num((data.features - mean) / np.sqrt(variance))
    assert preprocessing.learn_preprocessing(FEATURES, data.features).apply(
        data.features
    ) == pytest.approx(plain, abs=1e-5)


def test_a_column_without_any_value_divides_by_nothing(preprocessing) -> None:
    mean, variance = preprocessing.observed_moments(
        np.array([[np.nan, 3.0], [np.nan, 3.0]], dtype=np.float32)
    )
    assert mean.tolist() == [0, 3]
    assert variance.tolist() == [1, 1]


def test_large_data_are_fitted_in_batches(network, data) -> None:
    model = network.fit(FiveSeeds(batch_rows=100, steps=60), FEATURES, data, seed=1)
    right = (np.asarray(model(data.features))[:, 0] >= 0.5) == data.outcomes
    assert right.mean() > 0.72


UNDECLARED = (
    Feature(name="skewed", low=0, high=1000, may_be_missing=True),
    Feature(name="symmetric", low=-10, high=10, may_be_missing=True),
    Feature(name="declared", low=0, high=1000, power=1.0, scale=2.0),
    Feature(
        name="ward", kind="category", codes={3: "north", 7: "south", 9: "west"}, may_be_missing=True
    ),
)
LEFT_TO_THE_FIT = recipe_for("five_seeds", UNDECLARED)


@pytest.fixture(scope="module")
def undeclared_data(network):
    """A threshold on the skewed number and one of the codes make the outcome likely."""
    draw = np.random.default_rng(5)
    rows = 600
    skewed, symmetric, declared = (
        draw.lognormal(3, 1, rows).clip(0, 1000),
        draw.normal(0, 2, rows),
        draw.gamma(2, 9, rows),
    )
    ward = draw.choice([3.0, 7.0, 9.0], rows)
    risk = 0.05 + 0.6 * (skewed > 30) + 0.3 * (ward == 7)
    features = np.stack([skewed, symmetric.clip(-10, 10), declared, ward], axis=1).astype(
        np.float32
    )
    features[::9, 0] = features[::7, 1] = features[::11, 3] = np.nan
    return network.TrainingData(features, (draw.random(rows) < risk).astype(np.int8))


@pytest.fixture(scope="module")
def undeclared_model(network, undeclared_data):
    return network.fit(LEFT_TO_THE_FIT, UNDECLARED, undeclared_data, seed=7)


def _log_odds(model, data) -> np.ndarray:
    said = np.asarray(model(data.features), dtype=np.float64)[:, 0]
    return np.log(said / (1 - said))


def test_numbers_in_pieces_and_categories_are_prepared_by_the_stored_model_as_by_the_fit(
    preprocessing, undeclared_data, undeclared_model
) -> None:
    learned = preprocessing.learn_preprocessing(
        UNDECLARED, undeclared_data.features, LEFT_TO_THE_FIT
    )
    prepared = learned.apply(undeclared_data.features)
    assert learned.exponents.tolist() == [0.5, 1, 1]
    # Three numbers, four pieces of each of the two that nothing is declared of, three codes.
    assert prepared.shape == (600, 3 + 2 * 4 + 3)
    hidden, output = undeclared_model.layers[-2:]
    by_hand = np.asarray(output(hidden(prepared)))
    assert by_hand == pytest.approx(
        np.asarray(undeclared_model(undeclared_data.features)), abs=1e-5
    )


def test_a_line_on_the_same_inputs_has_a_third_of_the_log_odds(
    network, preprocessing, undeclared_data, undeclared_model
) -> None:
    data = undeclared_data
    alone = replace(LEFT_TO_THE_FIT, line_share=0.0)
    model_alone = network.fit(alone, UNDECLARED, data, seed=7)
    networks = _log_odds(model_alone, data)
    learned = preprocessing.learn_preprocessing(UNDECLARED, data.features, LEFT_TO_THE_FIT)
    inputs = learned.apply(data.features).astype(np.float64)
    said = _log_odds(undeclared_model, data)
    lines = []
    for strength in LEFT_TO_THE_FIT.line_strengths:
        line = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10)
        lines.append(line.fit(inputs, data.outcomes).decision_function(inputs))
    assert said in [pytest.approx((line + 2 * networks) / 3, abs=2e-5) for line in lines]
    assert said != pytest.approx(networks, abs=0.05)
    sizes = [fitted.layers[-2].units for fitted in (undeclared_model, model_alone)]
    assert sizes == [82, 80]


def test_a_line_is_fitted_on_a_draw_of_many_rows() -> None:
    from pima.model.line import learn_line

    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(300, 2)).astype(np.float32)
    outcomes = (inputs[:, 0] + draw.normal(size=300) > 0).astype(np.int8)
    few = FiveSeeds(line_strengths=(1.0,), most_rows_of_line=100)
    lines = [learn_line(few, inputs, outcomes, seed) for seed in (5, 5, 6)]
    asked = drawn(300, 100, 5)
    assert len(set(asked.tolist())) == 100
    assert lines[0].tolist() == fit_penalised(inputs[asked], outcomes[asked], 1.0).tolist()
    assert lines[0].tolist() == lines[1].tolist() != lines[2].tolist()
    assert drawn(100, 100, 5).tolist() == list(range(100))


def test_a_missing_number_is_its_mean_and_the_pieces_of_its_median_and_a_missing_category_no_code(
    preprocessing,
    undeclared_data,
) -> None:
    features = undeclared_data.features
    learned = preprocessing.learn_preprocessing(UNDECLARED, features, LEFT_TO_THE_FIT)
    missing = np.array([[np.nan, np.nan, 5, np.nan]], dtype=np.float32)
    medians = missing.copy()
    medians[0, :2] = np.nanmedian(features[:, :2], axis=0)
    prepared = learned.apply(missing)[0]
    assert prepared[:2].tolist() == [0, 0]
    assert prepared[3:11] == pytest.approx(learned.apply(medians)[0, 3:11])
    assert prepared[11:].tolist() == [0, 0, 0]


def test_both_forms_of_a_model_of_undeclared_numbers_say_the_same_and_run_no_code(
    undeclared_data, undeclared_model
) -> None:
    from pima.model.network import export, parity, probe_rows

    assert {type(layer).__module__.split(".")[0] for layer in undeclared_model.layers} == {"keras"}
    probes = probe_rows(UNDECLARED)
    assert {3.0, 7.0, 9.0} <= set(probes[:, 3].tolist())
    assert parity(export(undeclared_model), undeclared_data.features, UNDECLARED, 0.5).passed


def test_a_number_that_is_hardly_there_or_always_the_same_has_no_pieces(preprocessing) -> None:
    features = np.full((200, 4), 4, dtype=np.float32)
    features[19:, 0] = np.nan
    features[:19, 0] = np.arange(19)
    learned = preprocessing.learn_preprocessing(UNDECLARED, features, LEFT_TO_THE_FIT)
    assert (learned.apply(features)[:, 3:11] == 0).all()


@pytest.mark.parametrize(
    ("rows", "numbers", "expected"), [(100, 1, 4), (1000, 1, 6), (9999, 1, 16), (9999, 40, 6)]
)
def test_more_rows_give_more_pieces_and_more_numbers_fewer(
    rows: int, numbers: int, expected: int
) -> None:
    from pima.model.preprocessing import learn_pieces

    values = np.random.default_rng(1).normal(size=(rows, numbers)).astype(np.float32)
    learned = learn_pieces(LEFT_TO_THE_FIT, list(range(numbers)), values)
    assert learned is not None
    assert learned.rates.shape == (numbers, expected)
    assert (
        learn_pieces(LEFT_TO_THE_FIT, list(range(200)), np.zeros((100, 200), dtype=np.float32))
        is None
    )


def test_the_l2_is_chosen_by_folds_within_the_training_rows() -> None:
    """Noise wants a strong one; a clear line through the middle wants a weak one."""
    from pima.model.network import choose_l2

    draw = np.random.default_rng(3)
    inputs = draw.normal(size=(150, 6)).astype(np.float32)
    noise, clear = draw.integers(0, 2, 150).astype(np.int8), (inputs[:, 0] > 0).astype(np.int8)
    recipe = FiveSeeds(l2_choices=(0.3, 30.0))
    plain = np.ones((5, 6), dtype=np.float32)
    for outcomes, best in ((noise, 30), (clear, 0.3)):
        folds = stratified_folds(outcomes, 5, 1)
        found, losses = choose_l2(recipe, inputs, outcomes, folds, plain, seed=1)
        assert found == best
        assert len(losses) == 150
    # What does not say anything is scaled away: the loss is that of the other folds' share.
    _, nothing = choose_l2(recipe, inputs, clear, folds, 0 * plain, seed=1)
    assert nothing.mean() > 0.6 > 0.2 > losses.mean()


def _of_noise(rows: int, numbers: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of so many numbers, the first two of which say something."""
    draw = np.random.default_rng(6)
    values = draw.normal(size=(rows, numbers)).clip(-9, 9).astype(np.float32)
    log_odds = effect * (values[:, 0] - values[:, 1])
    return values, (draw.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)


def _with_scales_and_without(network, values, outcomes) -> list:
    features = tuple(Feature(f"value_{n}", low=-9, high=9) for n in range(values.shape[1]))
    recipe = recipe_for("five_seeds", features)
    data = network.TrainingData(values, outcomes)
    recipes = (recipe, replace(recipe, least_scale=0.0))
    return [network.fit(each, features, data, seed=1) for each in recipes]


def _p_that_a_line_is_no_better_with_scales(values: np.ndarray, outcomes: np.ndarray) -> float:
    from pima.model.preprocessing import learn_preprocessing

    features = tuple(Feature(f"value_{n}", low=-9, high=9) for n in range(values.shape[1]))
    recipe = recipe_for("five_seeds", features)
    learned = learn_preprocessing(features, values, recipe)
    inputs = learned.apply(values)
    folds = stratified_folds(outcomes, 5, 1)
    scaled = []
    for fold in range(5):
        others = folds != fold
        scales = learned.scales(inputs[others], outcomes[others], recipe.least_scale)
        scaled.append(inputs * scales)
    _, losses = choose_strength(scaled, outcomes, folds)
    return lower_p(losses - choose_strength([inputs] * 5, outcomes, folds)[1])


def test_with_sixty_columns_of_noise_scales_by_evidence_help_and_both_forms_have_them(
    network,
) -> None:
    values, outcomes = _of_noise(1_400, 62, 1.0)
    model, without = _with_scales_and_without(network, values[:400], outcomes[:400])
    said = [np.asarray(each(values[400:]), dtype=np.float64)[:, 0] for each in (model, without)]
    losses = [log_loss(outcomes[400:], each) for each in said]
    assert losses[0] < losses[1] - 0.02
    # The stored model has no scales but those in the kernel.
    kernels = [np.abs(each.layers[-2].get_weights()[0]).mean(axis=1) for each in (model, without)]
    noise, others = [kernel[2:62].mean() / kernel[:2].mean() for kernel in kernels]
    assert noise < others / 3
    features = tuple(Feature(f"value_{n}", low=-9, high=9) for n in range(62))
    assert network.parity(network.export(model), values, features, 0.5).passed


@pytest.mark.parametrize("case", ["all matter", "only together"])
def test_where_line_or_networks_are_not_clearly_better_with_scales_the_fit_is_as_without(
    network, case: str
) -> None:
    values, outcomes = _of_noise(400, 2, 1.0)
    if case == "only together":
        draw = np.random.default_rng(1)
        values = draw.normal(size=(400, 12)).clip(-9, 9).astype(np.float32)
        log_odds = 2 * values[:, 0] * values[:, 1] + values[:, 2]
        outcomes = (draw.random(400) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
        assert _p_that_a_line_is_no_better_with_scales(values, outcomes) < 0.001
    model, without = _with_scales_and_without(network, values, outcomes)
    for one, other in zip(model.get_weights(), without.get_weights(), strict=True):
        assert (one == other).all()


def test_a_scale_is_by_the_score_test_of_a_number_its_pieces_or_codes(
    preprocessing, undeclared_data
) -> None:
    """Where nothing is said, c is near 1 and the scale the least."""
    data = undeclared_data
    learned = preprocessing.learn_preprocessing(UNDECLARED, data.features, LEFT_TO_THE_FIT)
    inputs = learned.apply(data.features)
    scales = learned.scales(inputs, data.outcomes, 0.2)
    # By hand: the squared score over its variance, n times the squared correlation.
    varies = inputs.std(axis=0) > 0
    c = np.zeros(inputs.shape[1])
    c[varies] = [600 * np.corrcoef(each, data.outcomes)[0, 1] ** 2 for each in inputs.T[varies]]
    expected = [max(c[0], c[3:7].mean()), max(c[1], c[7:11].mean()), c[2], c[11:].mean()]
    of_features = [max(1 - 2 / max(each, 2), 0.04) ** 0.5 for each in expected]
    by_input = [0, 1, 2, *[0] * 4, *[1] * 4, *[3] * 3]
    assert scales == pytest.approx(np.array(of_features)[by_input], abs=1e-4)
    assert min(scales[0], scales[11]) > 0.9 > 0.2 == pytest.approx(scales[1])
    always = np.ones_like(inputs)
    assert learned.scales(always, data.outcomes, 0.2) == pytest.approx(0.2)


def test_many_numbers_of_which_few_say_anything_are_no_reason_to_be_worse_than_a_constant(
    network,
) -> None:
    """Twenty-five numbers, one of which matters: without a strong L2 the fit learns the others'
    noise by heart."""
    draw = np.random.default_rng(7)
    values = draw.normal(50, 10, size=(1_200, 25)).astype(np.float32)
    outcomes = (draw.random(1_200) < 1 / (1 + np.exp(1.2 - 0.08 * (values[:, 0] - 50)))).astype(
        np.int8
    )
    declared = tuple(Feature(name=f"value_{n}", low=0, high=120) for n in range(25))
    recipe = recipe_for("five_seeds", declared)
    model = network.fit(
        recipe, declared, network.TrainingData(values[:600], outcomes[:600]), seed=1
    )
    answers = np.asarray(model(values[600:]), dtype=np.float64)[:, 0]
    constant = np.full(600, outcomes[:600].mean())
    assert log_loss(outcomes[600:], answers) < log_loss(outcomes[600:], constant)


def test_networks_side_by_side_that_have_rows_of_their_own_learn_alone() -> None:
    """One whose rows are the first half fits what it would fit with them as its only data."""
    from pima.model.network import train

    draw = np.random.default_rng(4)
    inputs = draw.normal(size=(80, 3)).astype(np.float32)
    outcomes = (inputs[:, 0] + draw.normal(size=80) > 0).astype(np.float32)[:, None]
    weights = np.zeros((80, 2), dtype=np.float32)
    weights[:40, 0] = weights[40:, 1] = 2
    recipe = FiveSeeds(members=2, steps=50)
    both = train(recipe, [0.01], inputs, np.concatenate([outcomes, weights], axis=1), seed=9)
    first = train(recipe, [0.01], inputs[:40], outcomes[:40], seed=9)
    assert both.logits(inputs)[:, 0] == pytest.approx(first.logits(inputs)[:, 0], abs=1e-4)
    assert both.logits(inputs)[:, 1] != pytest.approx(first.logits(inputs)[:, 1], abs=1e-2)


def test_where_each_number_has_a_power_nothing_is_left_to_the_fit() -> None:
    assert (SHIPPED_RECIPE.l2_choices, SHIPPED_RECIPE.rows_a_piece) == ((), 0)
    assert SHIPPED_RECIPE.line_share == 0
    assert (LEFT_TO_THE_FIT.l2_choices, LEFT_TO_THE_FIT.rows_a_piece) == ((1.5, 12.0, 48.0), 160)
    assert LEFT_TO_THE_FIT.exponents == (None, None, 1)


# ---- which differences between a model's two forms pass, and which are refused

WIDE = (
    Feature("enzyme", low=0, high=1e6, power=1.0, scale=100.0),
    Feature("platelets", low=0, high=1e6, power=0.5, scale=3.0),
    Feature("since", low=1e9, high=3e9, power=1.0, scale=3.0),
)


@pytest.fixture(scope="module")
def wide(network):
    """A tail to a thousand times what most patients have, on which the model may lean; numbers
    whose spread is small beside them; and the rows."""
    draw = np.random.default_rng(5)
    enzyme, platelets = (
        draw.lognormal(3, 1.5, 500).clip(0, 1e6),
        draw.normal(8e5, 1e3, 500).clip(0, 1e6),
    )
    rows = np.stack([enzyme, platelets, draw.uniform(1.7e9, 1.7e9 + 3e6, 500)], axis=1).astype(
        np.float32
    )
    outcomes = draw.random(500) < 0.1 + 0.3 * (enzyme > 20) + 0.4 * (platelets > 8e5)
    data = network.TrainingData(rows, outcomes.astype(np.int8))
    model = network.fit(recipe_for("five_seeds", WIDE), WIDE, data, seed=7)
    return model, network.export(model), WIDE, rows


@pytest.fixture(scope="module")
def shipped(network, model, data):
    """The model of the shipped rows, its forms, and those rows."""
    return model, network.export(model), FEATURES, data.features


def _apart(case, by: float = 1.0):
    """What the check finds where the largest weight of the compiled form's first layer is so many
    times Keras's."""
    from pima.model.network import Artifacts, export, parity

    model, ours, features, rows = case
    if by == 1:
        return parity(ours, rows, features, 0.5)
    kernel, bias = model.layers[-2].get_weights()
    wrong = kernel.copy()
    wrong[np.unravel_index(np.abs(kernel).argmax(), kernel.shape)] *= by
    model.layers[-2].set_weights([wrong, bias])
    theirs = export(model)
    model.layers[-2].set_weights([kernel, bias])
    return parity(Artifacts(ours.keras, theirs.compiled), rows, features, 0.5)


def test_a_sound_model_of_wide_ranges_passes_although_rounding_shows(wide) -> None:
    from pima.model.network import PROBABILITY_ROUNDING

    found = _apart(wide)
    assert found.largest_difference > PROBABILITY_ROUNDING
    assert found.passed


def test_the_shipped_models_forms_say_the_same_and_a_difference_that_passes_is_below_a_quarter_of_a_point(
    shipped,
) -> None:
    from pima.model.network import PROBABILITY_ROUNDING, probe_rows

    assert np.isnan(probe_rows(FEATURES)).any()
    found, apart = _apart(shipped), _apart(shipped, 1.01)
    assert found.largest_difference <= PROBABILITY_ROUNDING < apart.largest_difference < 0.0025
    assert found.passed
    assert apart.passed


@pytest.mark.parametrize(("case", "by"), [("wide", 1.01), ("wide", np.nan), ("shipped", 1.03)])
def test_a_wrong_weight_is_refused(case: str, by: float, request: pytest.FixtureRequest) -> None:
    found = _apart(request.getfixturevalue(case), by)
    assert not found.passed
    assert found.beyond_bound > 0


EXPORTS_AND_IS_KILLED = """
import os, keras
from pima.model.network import export
export(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
os.kill(os.getpid(), 9)
"""


def test_an_export_leaves_nothing_in_the_temporary_folder(tmp_path) -> None:
    """TensorFlow removes files of its own only where the process ends by itself."""
    environ = clean_environ() | {"KERAS_BACKEND": "tensorflow", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", EXPORTS_AND_IS_KILLED]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    assert (ended.returncode, list(tmp_path.iterdir())) == (-9, []), ended.stderr
