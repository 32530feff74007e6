"""From a fitted Keras model to the bytes that are stored, and the check that both forms say the same."""

import importlib.metadata
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pima.core.arrays import Float32Array, Float64Array
from pima.core.digest import sha256_of
from pima.core.features import Feature, Features
from pima.model.compiled import CompiledModel

LIBRARIES = ("tensorflow", "keras", "numpy", "ai-edge-litert")
LOGIT_BOUND = 0.01
"""The largest difference of the two forms' logits that passes, at most 0.0025 of probability.

Float32 rounding alone reaches 0.0014 on ranges with a tail of a thousand times the median, and nothing that can be
measured on the shipped data. What passes is a compiled form that is wrong by as little: on the shipped model, its
largest first-layer weight off by 1 % (0.006). Off by 3 %, it is refused.
"""
PROBABILITY_ROUNDING = 1e-6
"""What the two libraries' own sigmoids differ by in float32, in probability; measured: 3e-7."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Both stored forms of one model."""

    keras: bytes
    keras_sha256: str
    compiled: bytes
    compiled_sha256: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the compiled form is from Keras."""

    largest_difference: float
    """Over the holdout and the probe rows, in probability."""
    class_flips: int
    """Rows whose class differs though their probability is further from the threshold than the bound."""
    beyond_bound: int = 0
    """Rows whose probability differs by more than the bound, or is not a number."""

    @property
    def passed(self) -> bool:
        """Whether scoring may rely on the compiled form."""
        return self.beyond_bound == 0 and self.class_flips == 0


def export(model: keras.Model) -> Artifacts:
    """The `.keras` file and the compiled form of a model, as bytes with their hashes."""
    with tempfile.TemporaryDirectory(prefix="pima-") as folder:
        keras_path, compiled_path = Path(folder, "model.keras"), Path(folder, "model.tflite")
        model.save(keras_path)
        model.export(compiled_path, format="litert", verbose=False)
        keras_bytes, compiled_bytes = keras_path.read_bytes(), compiled_path.read_bytes()
    return Artifacts(keras_bytes, sha256_of(keras_bytes), compiled_bytes, sha256_of(compiled_bytes))


def keras_probabilities(content: bytes, features: Float32Array) -> Float64Array:
    """What the stored `.keras` bytes say: (n, features) -> (n,). The caller has checked their hash."""
    with tempfile.TemporaryDirectory(prefix="pima-") as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    return np.asarray(model(features), dtype=np.float64)[:, 0]


def parity(artifacts: Artifacts, rows: Float32Array, features: Features, threshold: float) -> Parity:
    """Compare both forms, reloaded from their stored bytes, on `rows` (n, features) and on the probe rows."""
    rows = np.concatenate([rows, probe_rows(features)])
    by_keras = keras_probabilities(artifacts.keras, rows)
    compiled = CompiledModel(artifacts.compiled).probabilities(rows)
    difference = np.abs(by_keras - compiled)
    # The bound on logits in probability: a logit in the flat end of the sigmoid can't be told from its float32 value.
    allowed = PROBABILITY_ROUNDING + LOGIT_BOUND * by_keras * (1 - by_keras)
    flipped = (by_keras >= threshold) != (compiled >= threshold)
    near = np.abs(by_keras - threshold) <= allowed
    beyond = ~(difference <= allowed)  # so that NaN is beyond
    return Parity(float(difference.max()), int((flipped & ~near).sum()), int(beyond.sum()))


def probe_rows(features: Features) -> Float32Array:
    """Rows that real data may lack: each feature at its lowest and highest, or at each of its codes, and missing; and
    all of them at once."""
    extremes = [_extremes(feature) for feature in features]
    low = np.array([values[0] for values in extremes])
    high = np.array([values[-1] for values in extremes])
    middle = np.array([_middle(feature) for feature in features])
    may_be_missing = [feature.may_be_missing for feature in features]
    rows = [low, high, middle, np.where(may_be_missing, np.nan, middle)]
    for position, values in enumerate(extremes):
        for value in (*values, np.nan if may_be_missing[position] else middle[position]):
            row = middle.copy()
            row[position] = value
            rows.append(row)
    return np.array(rows, dtype=np.float32)


def _extremes(feature: Feature) -> tuple[float, ...]:
    if feature.kind == "category":
        return tuple(map(float, sorted(feature.codes)))
    return (feature.low or 0.0, feature.high or 0.0)


def _middle(feature: Feature) -> float:
    extremes = _extremes(feature)
    return extremes[len(extremes) // 2] if feature.kind == "category" else sum(extremes) / 2


def library_versions() -> dict[str, str]:
    """What a model version was made with."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}
