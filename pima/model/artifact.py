"""From a fitted Keras model to the bytes that are stored, and the check that both forms say the same."""

import importlib.metadata
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pima.core.arrays import Float32Array, Float64Array
from pima.core.digest import sha256_of
from pima.core.features import FEATURES
from pima.core.validation import MAY_BE_MISSING
from pima.model.compiled import CompiledModel

# Float32 arithmetic in another order: measured 2e-7 on the shipped data.
LARGEST_DIFFERENCE = 1e-6

LIBRARIES = ("tensorflow", "keras", "numpy", "ai-edge-litert")


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
    """Rows whose class differs though their probability is further from the threshold than the tolerance."""

    @property
    def passed(self) -> bool:
        """Whether scoring may rely on the compiled form. False, too, where a difference is NaN."""
        return self.largest_difference <= LARGEST_DIFFERENCE and self.class_flips == 0


def export(model: keras.Model) -> Artifacts:
    """The `.keras` file and the compiled form of a model, as bytes with their hashes."""
    with tempfile.TemporaryDirectory(prefix="pima-") as folder:
        keras_path, compiled_path = Path(folder, "model.keras"), Path(folder, "model.tflite")
        model.save(keras_path)
        model.export(compiled_path, format="litert", verbose=False)
        keras_bytes, compiled_bytes = keras_path.read_bytes(), compiled_path.read_bytes()
    return Artifacts(keras_bytes, sha256_of(keras_bytes), compiled_bytes, sha256_of(compiled_bytes))


def keras_probabilities(content: bytes, features: Float32Array) -> Float64Array:
    """What the stored `.keras` bytes say: (n, 8) -> (n,). The caller has checked their hash."""
    with tempfile.TemporaryDirectory(prefix="pima-") as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    return np.asarray(model(features), dtype=np.float64)[:, 0]


def parity(artifacts: Artifacts, features: Float32Array, threshold: float) -> Parity:
    """Compare both forms, reloaded from their stored bytes, on `features` (n, 8) and on the probe rows."""
    rows = np.concatenate([features, probe_rows()])
    by_keras = keras_probabilities(artifacts.keras, rows)
    compiled = CompiledModel(artifacts.compiled).probabilities(rows)
    difference = np.abs(by_keras - compiled)
    flipped = (by_keras >= threshold) != (compiled >= threshold)
    near = np.abs(by_keras - threshold) <= LARGEST_DIFFERENCE
    return Parity(float(difference.max()), int((flipped & ~near).sum()))


def probe_rows() -> Float32Array:
    """Rows that real data may lack: each measurement at its lowest and highest, missing, and all of them at once."""
    low = np.array([feature.low for feature in FEATURES])
    high = np.array([feature.high for feature in FEATURES])
    middle = (low + high) / 2
    rows = [low, high, middle, np.where(MAY_BE_MISSING, np.nan, middle)]
    for position in range(len(FEATURES)):
        for value in (low[position], high[position], np.nan if MAY_BE_MISSING[position] else middle[position]):
            row = middle.copy()
            row[position] = value
            rows.append(row)
    return np.array(rows, dtype=np.float32)


def library_versions() -> dict[str, str]:
    """What a model version was made with."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}
