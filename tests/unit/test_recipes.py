"""A fit keeps its name across releases, and a version is fitted again as it was, whatever was added since."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import pytest

from pima.core.features import Feature
from pima.model import recipes
from pima.model.recipes import RECIPES, Article, FiveSeeds, added, fingerprinted, recipe_for, recipe_of
from pima.reading_settings import read_settings
from pima.settings import GateSettings, Settings
from pima.training import retraining
from pima.training.retraining import fit_fingerprint, gate_fingerprint, settings_of_fit
from tests.conftest import FEATURES, ROOT

FIRST_RELEASE = {
    "members": 5,
    "hidden_units": 16,
    "steps": 200,
    "learning_rate": 0.01,
    "l2_times_rows": 3.0,
    "batch_rows": 16_384,
}


@dataclass(frozen=True, slots=True)
class Later(FiveSeeds):
    """As a later release may have it: one number more, whose default changes nothing."""

    dropout: float = added(0.0, before=0.0)


class LaterGate(GateSettings, frozen=True):
    """Likewise, with an option that is off."""

    cooling_off_weeks: int = 0


@pytest.fixture
def shipped() -> Settings:
    return read_settings(Path(ROOT / "config" / "pima.toml"), {})


def test_a_version_that_was_stored_before_a_number_existed_is_fitted_as_it_was_then() -> None:
    recipe = recipe_of({"network": "five_seeds", "recipe": FIRST_RELEASE})
    assert recipe == FiveSeeds(**FIRST_RELEASE, exponents=(), scales=())


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


def test_a_fit_that_did_not_change_keeps_its_fingerprint_when_a_number_is_added(
    shipped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, gate = fit_fingerprint(shipped, FEATURES), gate_fingerprint(shipped, FEATURES)
    monkeypatch.setitem(recipes.RECIPES, "five_seeds", Later())
    assert (fit_fingerprint(shipped, FEATURES), gate_fingerprint(shipped, FEATURES)) == (fit, gate)
    monkeypatch.setitem(recipes.RECIPES, "five_seeds", Later(dropout=0.1))
    assert fit_fingerprint(shipped, FEATURES) != fit
    assert gate_fingerprint(shipped, FEATURES) != gate


def test_a_gate_that_asks_nothing_more_keeps_its_fingerprint_when_an_option_is_added(
    shipped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, gate = fit_fingerprint(shipped, FEATURES), gate_fingerprint(shipped, FEATURES)
    monkeypatch.setattr(retraining, "GateSettings", LaterGate)
    for weeks, is_the_same in ((0, True), (4, False)):
        later = msgspec.structs.replace(shipped, gate=LaterGate(cooling_off_weeks=weeks))
        assert fit_fingerprint(later, FEATURES) == fit
        assert (gate_fingerprint(later, FEATURES) == gate) is is_the_same


def test_every_number_of_a_recipe_tells_fits_apart() -> None:
    shipped = recipe_for("five_seeds", FEATURES)
    assert isinstance(shipped, FiveSeeds)
    known = fingerprinted(shipped)
    assert known == {
        name: number for name, number in asdict(shipped).items() if name in {*FIRST_RELEASE, "exponents", "scales"}
    }
    for name, number in asdict(shipped).items():
        other = (*number, 1.5) if isinstance(number, tuple) else number + 1
        assert fingerprinted(replace(shipped, **{name: other})) != known, name
    assert fingerprinted(Article()) == asdict(Article())
    assert fingerprinted(replace(shipped, exponents=())).keys() == known.keys() - {"exponents"}


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


def test_the_shipped_features_with_another_low_have_the_shipped_fingerprint() -> None:
    """All their powers are declared."""
    settings = read_settings(None, {})
    others = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], low=17.0))
    assert fit_fingerprint(settings, others) == fit_fingerprint(settings, FEATURES)
    assert gate_fingerprint(settings, others) == gate_fingerprint(settings, FEATURES)


def test_of_other_bands_an_asked_margin_is_another_question_and_else_they_are_none() -> None:
    banded = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], bands=(30, 60)))
    default, asked = Settings(), msgspec.structs.replace(Settings(), gate=GateSettings(subgroup_margin=0.05))
    assert gate_fingerprint(default, banded) == gate_fingerprint(default, FEATURES)
    assert fit_fingerprint(default, banded) == fit_fingerprint(default, FEATURES)
    assert gate_fingerprint(asked, banded) != gate_fingerprint(asked, FEATURES) != gate_fingerprint(default, FEATURES)
