"""What tells gates apart, the threshold of a fit, and the straight line beside it."""

from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benches.accuracy.shipped import shipped_rows
from pima.core.declared.features import Feature, Features, as_divided
from pima.core.declared.group import Group
from pima.core.statistics.logistic_regression import STRENGTHS
from pima.core.statistics.samples import sample_of
from pima.core.verdicts.verdict import Measure, performance_of
from pima.model.recipes import (
    Article,
    FiveSeeds,
    OwnNetwork,
    Recipe,
    fit_fingerprint,
    recipe_for,
    stratified_folds,
)
from pima.settings.sections import GateSettings, Settings
from pima.train.fit import FOLDS, by_straight_line, threshold_of, threshold_reaching
from pima.train.gate import gate_fingerprint, gate_options
from tests.support.shipped import FEATURES


def _of_fit(settings: Settings, features: Features) -> str:
    return fit_fingerprint(settings, recipe_for(settings.retrain.network, features), features)


def _of_gate(settings: Settings, features: Features) -> str:
    return gate_fingerprint(settings, recipe_for(settings.retrain.network, features), features)


def test_of_other_groups_an_asked_margin_is_another_question_and_else_they_are_none() -> None:
    asked = msgspec.structs.replace(Settings(), gate=GateSettings(subgroup_margin=0.05))
    recipe = recipe_for("five_seeds", FEATURES)
    site = Group("site", codes={0: "north", 1: "south"})
    divided = [(), (site,), (msgspec.structs.replace(site, codes={0: "north", 2: "east"}),)]
    divided += [(Group("beds", bands=(edge,)),) for edge in (1, 2)]
    for settings, different in ((asked, 5), (Settings(), 1)):
        found = {
            gate_fingerprint(settings, recipe, FEATURES, tuple(map(as_divided, groups)))
            for groups in divided
        }
        assert len(found) == different
    assert gate_fingerprint(asked, recipe, FEATURES) == _of_gate(asked, FEATURES)


def test_of_other_bands_an_asked_margin_is_another_question_and_else_they_are_none() -> None:
    banded = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], bands=(30, 60)))
    default, asked = (
        Settings(),
        msgspec.structs.replace(Settings(), gate=GateSettings(subgroup_margin=0.05)),
    )
    assert _of_gate(default, banded) == _of_gate(default, FEATURES)
    assert _of_fit(default, banded) == _of_fit(default, FEATURES)
    assert _of_gate(asked, banded) != _of_gate(asked, FEATURES) != _of_gate(default, FEATURES)


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize(
    ("asked", "others", "of_log_loss"), [("auto", True, False), (True, True, True), (False,) * 3]
)
def test_log_loss_is_asked_for_beside_itself_only_where_the_setting_says_so(
    measure: Measure, asked: Literal["auto"] | bool, others: bool, of_log_loss: bool
) -> None:
    expected = of_log_loss if measure is Measure.LOG_LOSS else others
    assert (
        gate_options(GateSettings(measure=measure.value, log_loss_veto=asked)).log_loss_veto
        is expected
    )


def test_a_gate_has_the_fingerprint_of_what_it_asks_not_of_how_that_is_written() -> None:
    def fingerprint(measure: str, veto: object) -> str:
        gate = GateSettings(measure=measure, log_loss_veto=veto)
        return _of_gate(msgspec.structs.replace(Settings(), gate=gate), FEATURES)

    for measure, same, other in (
        ("accuracy", True, False),
        ("net_benefit", True, False),
        ("log_loss", False, True),
    ):
        assert (
            fingerprint(measure, "auto")
            == fingerprint(measure, same)
            != fingerprint(measure, other)
        )


# ---- the threshold of a fit is chosen on rows that the fit that scores them did not see

SEED = 7
RECIPE = replace(recipe_for("five_seeds", FEATURES), steps=50)


def test_each_row_is_scored_by_a_fit_on_the_other_folds() -> None:
    from pima.model.network import TrainingData, fit

    features, outcomes = shipped_rows().features[:200], shipped_rows().outcomes[:200]
    data = TrainingData(features, outcomes)
    found = threshold_of("sensitivity >= 0.85", RECIPE, FEATURES, data, SEED)
    folds = stratified_folds(outcomes, FOLDS, SEED)
    expected = np.empty(200)
    for fold in range(FOLDS):
        inside = folds == fold
        model = fit(RECIPE, FEATURES, TrainingData(features[~inside], outcomes[~inside]), SEED)
        expected[inside] = np.asarray(model(features[inside]))[:, 0]
    assert found == threshold_reaching("sensitivity >= 0.85", expected, outcomes)
    assert performance_of(sample_of(expected, outcomes, found)).sensitivity >= 0.85


def test_a_number_is_taken_as_it_is_and_nothing_is_fitted() -> None:
    assert threshold_of(0.37, RECIPE, FEATURES, None, SEED) == 0.37


# ---- the straight line beside the network takes its inputs as the network does


@pytest.mark.parametrize(
    ("recipe", "power", "scale"),
    [
        (FiveSeeds(), None, None),
        (FiveSeeds(), 1.0, 3.0),
        (Article(), None, None),
        (OwnNetwork("", 1, 32, 0.01, 1, {}, 5, 1), 0.5, 3.0),
    ],
)
def test_a_straight_line_takes_powers_and_scales_as_the_network_and_what_is_missing_as_the_mean_or_no_code(
    recipe: Recipe, power: float | None, scale: float | None
) -> None:
    from pima.model.network import TrainingData

    features = (
        Feature("dose", low=0, high=1_000, may_be_missing=True, power=power, scale=scale),
        Feature("ward", kind="category", codes={3: "north", 7: "south"}, may_be_missing=True),
    )
    draw = np.random.default_rng(3)
    doses = np.where(draw.random(400) < 0.2, np.nan, draw.lognormal(3, 1, 400).clip(0, 1_000))
    wards = draw.choice([3, 7, np.nan], 400)
    rows = np.column_stack([doses, wards]).astype(np.float32)
    risks = 0.2 + 0.3 * (np.nan_to_num(doses) > 20) + 0.2 * (wards == 7)
    outcomes = (draw.random(400) < risks).astype(np.int8)
    data = TrainingData(rows[:300], outcomes[:300])
    taken = recipe.for_inputs(features)
    found = by_straight_line(taken, features, data, rows[300:], SEED)
    of_five_seeds = isinstance(recipe, FiveSeeds)
    # What is not declared the fit chooses: the root, of a number as skewed as this.
    powers = rows[:, 0] ** ((power or 0.5) if of_five_seeds else 1)
    mean = np.nanmean(powers[:300])
    scaled = (np.nan_to_num(powers, nan=mean) - mean) / np.nanstd(powers[:300])
    if of_five_seeds:
        scaled *= scale or 1
    inputs = np.column_stack([scaled, wards == 3, wards == 7])
    expected = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=1 / strength, tol=1e-10).fit(inputs[:300], outcomes[:300])
        expected.append(pytest.approx(model.predict_proba(inputs[300:])[:, 1], abs=1e-5))
    assert found in expected
    assert (found == by_straight_line(taken, features, data, rows[300:], SEED)).all()
