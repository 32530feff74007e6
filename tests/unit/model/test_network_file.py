"""The file of one's own network: which is read, and what it enters."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pima.errors import OwnNetworkRefused
from pima.model.network_file import recipe_asked_for, with_kept_file
from pima.model.recipes import RECIPES, fit_fingerprint, recipe_of, settings_of_fit
from pima.settings.sections import Settings
from tests.support.own_networks import SIGMOID, own_network, settings_of
from tests.support.shipped import FEATURES


def test_a_file_that_is_not_there_or_is_no_text_is_refused_with_its_place(tmp_path: Path) -> None:
    told = r"clinic_net.py.*Expected: a Python file in UTF-8, beside the settings file"
    with pytest.raises(OwnNetworkRefused, match=f"No such file.*{told}"):
        recipe_asked_for(settings_of(), tmp_path, FEATURES)
    (tmp_path / "clinic_net.py").write_bytes(b"\xff")
    with pytest.raises(OwnNetworkRefused, match=r"can't be read.*invalid start byte"):
        recipe_asked_for(settings_of(), tmp_path, FEATURES)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_refused_with_the_command_that_helps(
    tmp_path: Path, mode: int
) -> None:
    own_network(tmp_path, SIGMOID)
    file = tmp_path / "clinic_net.py"
    file.chmod(mode)
    with pytest.raises(
        OwnNetworkRefused, match=rf"mode is {mode:o}.*Expected: what `chmod go-w {file}`"
    ):
        recipe_asked_for(settings_of(), tmp_path, FEATURES)


def test_text_and_parameters_tell_fits_apart_and_are_kept(tmp_path: Path) -> None:
    found = set()
    for text, numbers in (
        (SIGMOID, {}),
        (SIGMOID + "\n", {}),
        (SIGMOID, {"members": 2}),
        (SIGMOID, {"parameters": {"units": [16]}}),
    ):
        recipe = own_network(tmp_path, text, **numbers)
        settings = Settings(retrain=settings_of(**numbers))
        stored = msgspec.json.decode(msgspec.json.encode(settings_of_fit(settings, recipe)))
        assert stored["network_text"] == text
        assert with_kept_file(recipe_of(stored), tmp_path / "clinic_net.py") == recipe
        found.add(fit_fingerprint(settings, recipe, FEATURES))
    assert len(found) == 4
    assert RECIPES.keys() == {"five_seeds", "article"}  # a file is one run's alone


def test_what_a_database_keeps_of_a_file_is_never_run(tmp_path: Path) -> None:
    recipe = own_network(tmp_path, SIGMOID)
    stored = settings_of_fit(Settings(retrain=settings_of()), recipe)
    stored["network_text"] = stored["recipe"]["text"] = "another"
    assert recipe_of(stored) == replace(recipe, text="")
    assert with_kept_file(recipe_of(stored), tmp_path / "clinic_net.py") == recipe
    (tmp_path / "clinic_net.py").write_text("another")
    with pytest.raises(
        OwnNetworkRefused, match=rf"the version's is {recipe.sha256}.*models show N"
    ):
        with_kept_file(recipe_of(stored), tmp_path / "clinic_net.py")
