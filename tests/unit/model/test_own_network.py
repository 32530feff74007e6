"""A network of one's own, with real Keras: its fit, and what is refused with what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benches.accuracy.shipped import shipped_rows
from pima.errors import OwnNetworkRefused
from tests.support.own_networks import SIGMOID, file_of, own_network
from tests.support.shipped import FEATURES


def _data() -> Any:
    from pima.model.network import TrainingData

    rows = shipped_rows()
    return TrainingData(rows.features[:200], rows.outcomes[:200])


def _fit(folder: Path, text: str, boundary: Any = lambda: None, **numbers: object) -> Any:
    from pima.model.network import fit

    return fit(own_network(folder, text, **numbers), FEATURES, _data(), 7, boundary)


DENSE = file_of(
    "keras.layers.Dense(parameters['units']), keras.layers.Dense(1, activation='sigmoid')"
)
OWN_CLASS = """
import keras

@keras.saving.register_keras_serializable()
class Doubled(keras.layers.Layer):
    def call(self, tensor):
        return 2 * tensor

def build(inputs, parameters):
    return keras.Sequential([keras.Input((inputs,)), Doubled(), keras.layers.Dense(1, activation="sigmoid")])
"""
OWN_MODEL = """
import keras

class Mine(keras.Model):
    def __init__(self):
        super().__init__()
        self.last = keras.layers.Dense(1, activation="sigmoid")

    def call(self, rows):
        return self.last(rows)

def build(inputs, parameters):
    return Mine()
"""
STORED = "a trial to store it and to read it back ended with "
REFUSED = {
    "a file that raises": ("import keras\nimport absent_here", r"its file ended with ModuleNotFoundError in line 2"),
    "a file that exits": ("raise SystemExit(0)", r"its file ended with SystemExit in line 1"),
    "no python": ("def build(:", r"its file ended with SyntaxError: .*line 1"),
    "no build": ("import keras", r"it has no function `build`.*Expected: .*build\(inputs, parameters\)"),
    "a build that raises": (DENSE, r"build ended with KeyError in line 4: 'units'.*\[retrain.custom\]: none"),
    "no model": ("def build(inputs, parameters): return 5", r"build returned a int of None -> None"),
    "two outputs": (
        file_of("keras.layers.Dense(2, activation='sigmoid')"),
        r"a Sequential of \(None, 8\) -> \(None, 2\)\..* Expected: .*\(None, 8\) -> \(None, 1\)",
    ),
    "too many inputs": (SIGMOID.replace("(inputs,)", "(9,)"), r"\(None, 9\) -> \(None, 1\)\. "),
    "a Lambda": (
        file_of("keras.layers.Lambda(keras.ops.abs), keras.layers.Dense(1, activation='sigmoid')"),
        f"{STORED}TypeError: it has a Lambda layer.*no Lambda layer",
    ),
    "a class of its own": (OWN_CLASS, f"{STORED}TypeError: Could not locate class 'Doubled'.*no class"),
    "what LiteRT lacks": (
        file_of("keras.layers.Reshape((8, 1)), keras.layers.LSTM(1, activation='sigmoid')"),
        f"{STORED}RuntimeError: .*FlexTensorList.*Expected: .*that LiteRT has too",
    ),
    "a Sequential without Input": (
        SIGMOID.replace("keras.Input((inputs,)), ", ""),
        r"Sequential of None -> None\. .*begins with keras\.Input\(\(inputs,\)\).*class of your own can't be stored",
    ),
    "a model of its own class": (OWN_MODEL, r"a Mine of None -> None\. .*keras\.Input\(\(inputs,\)\).*can't be stored"),
    "logits": (file_of("keras.layers.Dense(1)"), r"its last layer, a Dense, has the activation linear\. .*sigmoid"),
    "a softmax of one": (
        file_of("keras.layers.Dense(1, 'softmax')"),
        r"its last layer, a Dense, has the activation softmax\. .*sigmoid",
    ),
    "logits from a layer": (
        file_of("keras.layers.Dense(1, 'sigmoid'), keras.layers.Softmax()"),
        "its last layer, a Softmax, has the activation softmax",
    ),
    "above 1": (
        file_of("keras.layers.Dense(1, 'softplus', bias_initializer=keras.initializers.Constant(5))"),
        r"for \d+ of \d+ rows it says something below 0 or above 1.*sigmoid",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_used_is_refused_with_what_to_do(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(OwnNetworkRefused, match=told):
        _fit(tmp_path, text)


BY_OPERATION = """
import keras

def build(inputs, parameters):
    row = keras.Input((inputs,))
    return keras.Model(row, keras.ops.sigmoid(keras.layers.Dense(1)(row)))
"""


@pytest.mark.parametrize(
    "text",
    [
        file_of("keras.layers.Dense(1), keras.layers.Activation('sigmoid')"),
        file_of("keras.layers.Dense(1, keras.activations.sigmoid)"),
        BY_OPERATION,
    ],
    ids=["a layer", "a function", "an operation"],
)
def test_a_sigmoid_may_be_spelled_in_any_way(tmp_path: Path, text: str) -> None:
    _fit(tmp_path, text)


def test_a_model_says_the_mean_of_its_members_each_of_which_stopped_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pima.model.preprocessing import learn_preprocessing

    text = DENSE.replace("return ", "model = ").replace("])\n", "], name='net')\n")
    text += "    model.summary()\n    parameters.clear()\n    return model\n"
    # So fast that soon nothing becomes better; a step an epoch.
    numbers = {"members": 2, "epochs": 10_000, "batch_rows": 200, "learning_rate": 1}
    steps: list[int] = []
    model = _fit(tmp_path, text, lambda: steps.append(1), **numbers, parameters={"units": 1})
    assert 22 <= len(steps) < 200
    rows = _data().features
    standardised = learn_preprocessing(FEATURES, rows).apply(rows)
    members = [np.asarray(model.get_layer(f"member_{n}")(standardised)) for n in (1, 2)]
    assert np.asarray(model(rows)) == pytest.approx(sum(members) / 2, abs=1e-6)
    assert np.abs(members[0] - members[1]).max() > 0.01
    assert capsys.readouterr().out == ""
