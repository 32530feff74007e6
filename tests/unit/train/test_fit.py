"""What tells fits apart, that a version is fitted again as it was, and the threshold of a fit."""

from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pima.core.features import Feature
from pima.core.fit_choices import stratified_folds, threshold_reaching
from pima.core.metrics import scores
from pima.model.recipes import RECIPES, Article, FiveSeeds, fit_fingerprint, recipe_for, recipe_of, settings_of_fit
from pima.settings.reading import read_settings
from pima.settings.sections import GateSettings, Settings
from pima.train.fit import FOLDS, threshold_of
from pima.train.gate import gate_fingerprint
from tests.bench.accuracy.shipped import shipped_rows
from tests.support.shipped import FEATURES, ROOT


@pytest.fixture
def shipped() -> Settings:
    return read_settings(Path(ROOT / "config" / "pima.toml"), {})


@pytest.mark.parametrize("network", RECIPES)
def test_all_of_a_recipe_is_stored_and_read_whatever_todays_numbers_are(shipped: Settings, network: str) -> None:
    settings = msgspec.structs.replace(shipped, retrain=msgspec.structs.replace(shipped.retrain, network=network))
    stored = msgspec.json.decode(msgspec.json.encode(settings_of_fit(settings, FEATURES)))
    assert recipe_of(stored) == recipe_for(network, FEATURES)
    stored["recipe"] |= {"batch_rows": 7}
    assert recipe_of(stored) == replace(recipe_for(network, FEATURES), batch_rows=7)


@pytest.mark.parametrize("kind", [FiveSeeds, Article])
def test_a_number_that_is_not_stored_is_not_made_up(kind: type[FiveSeeds | Article]) -> None:
    name = next(name for name, recipe in RECIPES.items() if isinstance(recipe, kind))
    stored = asdict(kind())
    del stored["batch_rows"]
    with pytest.raises(msgspec.ValidationError, match="batch_rows"):
        recipe_of({"network": name, "recipe": stored})


def test_every_number_of_a_recipe_tells_fits_apart(shipped: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    known = fit_fingerprint(shipped, FEATURES)
    for name, number in asdict(RECIPES["five_seeds"]).items():
        if name in ("exponents", "scales"):
            continue  # they come of what is declared
        other = (*number, 1.5) if isinstance(number, tuple) else number + 1
        monkeypatch.setitem(RECIPES, "five_seeds", replace(FiveSeeds(), **{name: other}))
        assert fit_fingerprint(shipped, FEATURES) != known, name
    monkeypatch.setitem(RECIPES, "five_seeds", FiveSeeds())
    another_power = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], power=0.5))
    assert fit_fingerprint(shipped, another_power) != known


def _with(feature: Feature) -> str:
    """The fingerprint of a fit on the shipped features and this one."""
    return fit_fingerprint(read_settings(None, {}), (*FEATURES, feature))


@pytest.mark.parametrize("power", [1.0, 0.5, -1.0])
def test_a_range_that_plays_no_part_in_a_fit_does_not_enter_its_fingerprint(power: float) -> None:
    declared = Feature("creatinine", low=0.1, high=20, power=power)
    for low in (0.05, 0.0, -1.0):
        assert _with(msgspec.structs.replace(declared, low=low)) == _with(declared)


@pytest.mark.parametrize(("low", "same"), [(0.1, 0.05), (0.0, -0.0), (-1.0, -2.0)])
def test_of_a_range_a_fit_depends_on_the_powers_that_it_may_choose(low: float, same: float) -> None:
    found = {each: _with(Feature("creatinine", low=each, high=20)) for each in (0.2, 0.0, -3.0, low, same)}
    assert found[low] == found[same]
    assert len(set(found.values())) == 3


def test_the_articles_fit_chooses_no_powers() -> None:
    settings = read_settings(None, {"PIMA_RETRAIN__NETWORK": "article"})
    declared = Feature("creatinine", low=0.1, high=20)
    others = [{"low": 0.0}, {"low": -1.0}, {"power": 1.0}]
    found = {
        fit_fingerprint(settings, (*FEATURES, msgspec.structs.replace(declared, **each))) for each in ({}, *others)
    }
    assert len(found) == 1


def test_of_other_bands_an_asked_margin_is_another_question_and_else_they_are_none() -> None:
    banded = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], bands=(30, 60)))
    default, asked = Settings(), msgspec.structs.replace(Settings(), gate=GateSettings(subgroup_margin=0.05))
    assert gate_fingerprint(default, banded) == gate_fingerprint(default, FEATURES)
    assert fit_fingerprint(default, banded) == fit_fingerprint(default, FEATURES)
    assert gate_fingerprint(asked, banded) != gate_fingerprint(asked, FEATURES) != gate_fingerprint(default, FEATURES)


# ---- the threshold of a fit is chosen on rows that the fit that scores them did not see ------------------------------

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
    assert scores(expected, outcomes, found).sensitivity >= 0.85
    # The same rows and seed: the same probabilities, whatever is asked of them.
    by_specificity = threshold_of("specificity >= 0.85", RECIPE, FEATURES, data, SEED)
    assert by_specificity == threshold_reaching("specificity >= 0.85", expected, outcomes) > found


def test_a_number_is_taken_as_it_is_and_nothing_is_fitted() -> None:
    assert threshold_of(0.37, RECIPE, FEATURES, None, SEED) == 0.37
