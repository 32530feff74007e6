"""What tells fits apart, and that a version is fitted again as it was."""

from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from pima.core.declared.features import Feature, Features
from pima.model.recipes import (
    RECIPES,
    Article,
    FiveSeeds,
    fit_fingerprint,
    recipe_for,
    recipe_of,
    settings_of_fit,
)
from pima.settings.reading import read_settings
from pima.settings.sections import Settings
from tests.support.shipped import FEATURES, ROOT


@pytest.fixture
def shipped() -> Settings:
    return read_settings(Path(ROOT / "config" / "pima.toml"), {})


def _fingerprint(settings: Settings, features: Features) -> str:
    recipe = recipe_for(settings.retrain.network, features)
    return fit_fingerprint(settings, recipe, features)


@pytest.mark.parametrize("network", RECIPES)
def test_all_of_a_recipe_is_stored_and_read_whatever_todays_numbers_are(
    shipped: Settings, network: str
) -> None:
    settings = msgspec.structs.replace(
        shipped, retrain=msgspec.structs.replace(shipped.retrain, network=network)
    )
    stored = msgspec.json.decode(
        msgspec.json.encode(settings_of_fit(settings, recipe_for(network, FEATURES)))
    )
    assert recipe_of(stored) == recipe_for(network, FEATURES)
    stored["recipe"] |= {"batch_rows": 7}
    assert recipe_of(stored) == replace(recipe_for(network, FEATURES), batch_rows=7)


LEFT_TO_THE_FIT = (*FEATURES, Feature("creatinine", low=0, high=20))


def test_what_a_later_release_has_added_does_nothing_in_a_stored_recipe_that_lacks_it(
    shipped: Settings,
) -> None:
    recipe = recipe_for("five_seeds", LEFT_TO_THE_FIT)
    stored = msgspec.json.decode(msgspec.json.encode(settings_of_fit(shipped, recipe)))
    assert recipe_of(stored) == recipe
    for name in ("line_share", "line_strengths", "most_rows_of_line", "least_scale"):
        del stored["recipe"][name]
    earlier = recipe_of(stored)
    without_line = replace(recipe, line_share=0.0, line_strengths=(), most_rows_of_line=0)
    assert earlier == replace(without_line, least_scale=0.0)
    # So its fingerprint is what it was, too.
    again = msgspec.json.decode(msgspec.json.encode(earlier.numbers()))
    assert again == stored["recipe"]


def test_the_shipped_fit_has_the_fingerprint_that_it_had_in_0_1_0(shipped: Settings) -> None:
    assert _fingerprint(shipped, FEATURES).startswith("5b16b9fd918dd749")


@pytest.mark.parametrize("kind", [FiveSeeds, Article])
def test_a_number_that_is_not_stored_is_not_made_up(kind: type[FiveSeeds] | type[Article]) -> None:
    name = next(name for name, recipe in RECIPES.items() if isinstance(recipe, kind))
    stored = asdict(kind())
    del stored["batch_rows"]
    with pytest.raises(msgspec.ValidationError, match="batch_rows"):
        recipe_of({"network": name, "recipe": stored})


def test_every_number_of_a_recipe_tells_fits_apart(
    shipped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _fingerprint(shipped, FEATURES)
    for name, number in asdict(RECIPES["five_seeds"]).items():
        if name in ("exponents", "scales"):
            continue  # they come of what is declared
        other = (*number, 1.5) if isinstance(number, tuple) else number + 1
        monkeypatch.setitem(RECIPES, "five_seeds", replace(FiveSeeds(), **{name: other}))
        assert _fingerprint(shipped, FEATURES) != known, name
    monkeypatch.setitem(RECIPES, "five_seeds", FiveSeeds())
    another_power = (*FEATURES[:-1], msgspec.structs.replace(FEATURES[-1], power=0.5))
    assert _fingerprint(shipped, another_power) != known


def _with(feature: Feature) -> str:
    """The fingerprint of a fit on the shipped features and this one."""
    return _fingerprint(read_settings(None, {}), (*FEATURES, feature))


@pytest.mark.parametrize(
    ("network", "power"), [("five_seeds", 1.0), ("five_seeds", -1.0), ("article", None)]
)
def test_a_range_that_plays_no_part_in_a_fit_does_not_enter_its_fingerprint(
    network: str, power: float | None
) -> None:
    settings = read_settings(None, {"PIMA_RETRAIN__NETWORK": network})
    declared = (
        Feature("creatinine", low=low, high=20, power=power) for low in (0.1, 0.05, 0.0, -1.0)
    )
    assert len({_fingerprint(settings, (*FEATURES, each)) for each in declared}) == 1


@pytest.mark.parametrize(("low", "same"), [(0.1, 0.05), (0.0, -0.0), (-1.0, -2.0)])
def test_of_a_range_a_fit_depends_on_the_powers_that_it_may_choose(low: float, same: float) -> None:
    found = {
        each: _with(Feature("creatinine", low=each, high=20))
        for each in (0.2, 0.0, -3.0, low, same)
    }
    assert found[low] == found[same]
    assert len(set(found.values())) == 3
