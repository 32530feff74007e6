"""Networks of one's own, as files build them."""

from pathlib import Path

import msgspec

from pima.model.network_file import recipe_asked_for
from pima.model.recipes import OwnNetwork
from pima.settings.sections import CustomSettings, RetrainSettings


def file_of(layers: str) -> str:
    """A file whose network has these layers of Keras, one after the other."""
    model = f"keras.Sequential([keras.Input((inputs,)), {layers}])"
    return f"import keras\n\ndef build(inputs, parameters):\n    return {model}\n"


SIGMOID = file_of("keras.layers.Dense(1, activation='sigmoid')")


def settings_of(**numbers: object) -> RetrainSettings:
    """The settings that name clinic_net.py, with these numbers of its fit."""
    custom = msgspec.convert({"epochs": 1, "members": 1} | numbers, CustomSettings)
    return RetrainSettings(network="clinic_net.py", custom=custom)


def own_network(folder: Path, text: str, **numbers: object) -> OwnNetwork:
    """The recipe of a file with this text."""
    file = folder / "clinic_net.py"
    file.write_text(text)
    file.chmod(0o644)
    recipe = recipe_asked_for(settings_of(**numbers), folder, ())
    assert isinstance(recipe, OwnNetwork)
    return recipe
