"""Fitting: a challenger on today's training rows, and a stored version again on its own."""

import gc
import hashlib
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.declared.features import Features
from pima.core.rows.history import Split, features_of
from pima.core.statistics.logistic_regression import predict
from pima.errors import extra_missing
from pima.logs import get_logger, quiet_native_code
from pima.model.compiled import CompiledModel
from pima.model.line import learn_line
from pima.model.network_file import with_kept_file
from pima.model.recipes import (
    MOST_ROWS_OF_LINE,
    CancelCheck,
    FiveSeeds,
    OwnNetwork,
    Recipe,
    library_versions,
    never,
    recipe_of,
    stratified_folds,
)
from pima.scorer import Scorer, load_scorer
from pima.settings.sections import RetrainSettings, Settings
from pima.store.models.lineage import version_with_rows
from pima.store.models.registry import stored_features

if TYPE_CHECKING:
    from pima.model.network import Artifacts, Parity, TrainingData

FOLDS = 5
LARGEST_DIFFERENCE = 1e-6
"""A second fit that differs by no more, in probability, counts as equal: libraries and processors
differ slightly."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """The model that a retraining has fitted."""

    artifacts: "Artifacts"
    parity: "Parity"
    scorer: Scorer
    seed: int
    straight_line: Float64Array
    """What a straight line of the same training rows says of the holdout, (n,)."""


def fit_challenger(
    history: Split,
    settings: Settings,
    recipe: Recipe,
    features: Features,
    boundary: CancelCheck,
) -> Challenger:
    """Fit and export a model, and reload it from the exported bytes, as scoring will. Raises
    ExtraMissing, OwnNetworkRefused, and whatever `boundary` raises."""
    with training_extra():
        from pima.model.network import TrainingData, export, fit, parity

    seed = seed_of(history, settings.retrain)
    rows = {"training_rows": len(history.training), "holdout_rows": len(history.holdout)}
    others = {"left_out": history.left_out, "twins_kept": history.twins_kept}
    counts = {name: found for name, found in (rows | others).items() if found}
    get_logger().info("fit started", network=settings.retrain.network, seed=seed, **counts)
    data = TrainingData(features_of(history.training), history.training["outcome"].to_numpy())
    artifacts = export(fit(recipe, features, data, seed, boundary))
    threshold = threshold_of(settings.retrain.threshold, recipe, features, data, seed, boundary)
    checked = parity(artifacts, features_of(history.holdout), features, threshold)
    scorer = Scorer(threshold, features, CompiledModel(artifacts.compiled))
    holdout = features_of(history.holdout)
    line = by_straight_line(recipe, features, data, holdout, seed, boundary)
    return Challenger(artifacts, checked, scorer, seed, line)


def by_straight_line(
    recipe: Recipe,
    features: Features,
    data: "TrainingData",
    asked: Float32Array,
    seed: int,
    boundary: CancelCheck = never,
) -> Float64Array:
    """The probabilities of the rows `asked` (n, features) by a straight line that is fitted on the
    data. It takes its inputs as the network takes them, but for pieces. `boundary` is called
    between steps and may raise."""
    from pima.model.preprocessing import learn_preprocessing

    taken = learn_preprocessing(features, data.features, recipe.for_line())
    numbers = FiveSeeds(most_rows_of_line=MOST_ROWS_OF_LINE)
    line = learn_line(numbers, taken.apply(data.features), data.outcomes, seed, boundary)
    return predict(line, taken.apply(asked))


def seed_of(history: Split, settings: RetrainSettings) -> int:
    """Derive the fit's seed from the data and the network's name: no one picks it, and the same
    data give the same model."""
    digest = hashlib.sha256(f"{history.fingerprint} {settings.network}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def threshold_of(
    asked: float | str,
    recipe: Recipe,
    features: Features,
    data: "TrainingData",
    seed: int,
    boundary: CancelCheck = never,
) -> float:
    """Return a number as it is; for a text like "sensitivity >= 0.85", find the threshold that
    reaches it on the training rows, each judged by a fit of the same recipe that did not see it.
    Rows and seed determine it."""
    if not isinstance(asked, str):
        return asked
    from pima.model.network import TrainingData, fit

    folds = stratified_folds(data.outcomes, FOLDS, seed)
    out_of_fold: Float64Array = np.empty(len(folds), dtype=np.float64)
    for fold in range(FOLDS):
        others = folds != fold
        rest = TrainingData(data.features[others], data.outcomes[others])
        model = fit(recipe, features, rest, seed, boundary)
        out_of_fold[~others] = np.asarray(model(data.features[~others]), dtype=np.float64)[:, 0]
    threshold = threshold_reaching(asked, out_of_fold, data.outcomes)
    get_logger().info("threshold chosen", to_reach=asked, threshold=threshold, folds=FOLDS)
    return threshold


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The comparison of a second fit of a version with the stored one."""

    number: int
    reproduced: bool
    """No probability differs by more than `LARGEST_DIFFERENCE`."""
    largest_difference: float
    """The largest over the training and probe rows, in probability; 0 on the same machine and
    libraries."""
    training_rows: int
    libraries: dict[str, str]
    """Their versions today."""
    libraries_then: dict[str, str]


def reproduce(engine: Engine, number: int, folder: Path) -> Reproduction:
    """Fit version `number` again from its training snapshot, and compare its predictions with those
    of its stored bytes. The file of one's own network is taken from `folder`, that of the settings.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted, ArtifactDamaged,
    ExtraMissing, OwnNetworkRefused.
    """
    version, rows = version_with_rows(engine, number, all_of_them=True)
    recipe = recipe_of(version.settings)
    if isinstance(recipe, OwnNetwork):
        # Only its name: a database must not lead to a file elsewhere.
        recipe = with_kept_file(recipe, folder / Path(version.settings["network"]).name)
    stored = load_scorer(engine, number)
    with training_extra():
        from pima.model.network import TrainingData, export, fit, probe_rows

    get_logger().info(
        "fit started", model_version=number, seed=version.seed, training_rows=len(rows)
    )
    features = stored_features(version.features)
    data = TrainingData(features_of(rows), rows["outcome"].to_numpy())
    model = fit(recipe, features, data, version.seed)
    refitted = CompiledModel(export(model).compiled)
    compared = np.concatenate([data.features, probe_rows(features)])
    differences = refitted.probabilities(compared) - stored.model.probabilities(compared)
    difference = float(np.abs(differences).max())
    return Reproduction(
        number=number,
        reproduced=difference <= LARGEST_DIFFERENCE,
        largest_difference=difference,
        training_rows=len(rows),
        libraries=library_versions(),
        libraries_then=version.libraries,
    )


def threshold_reaching(to_reach: str, probabilities: Float64Array, outcomes: Int8Array) -> float:
    """Find the largest threshold that reaches "sensitivity >= 0.85" on these rows (n,); for
    specificity, the smallest.

    Both classes must be present. The probabilities must come from models that did not learn from
    these rows: on its own training rows a model looks surer than it is. A NaN counts as a
    probability of 0.
    """
    what, _, share = to_reach.split()
    known = np.where(np.isnan(probabilities), 0.0, probabilities)
    if what == "sensitivity":
        of_cases = np.sort(known[outcomes == 1])[::-1]
        return float(of_cases[_needed(share, len(of_cases)) - 1])
    of_others = np.sort(known[outcomes == 0])
    return float(np.nextafter(of_others[_needed(share, len(of_others)) - 1], 2))


def _needed(share: str, rows: int) -> int:
    """The smallest number of rows that is at least this share of them, computed from the decimal
    text without error."""
    return math.ceil(Fraction(share) * rows)


# ---- The import of TensorFlow and Keras.


@contextmanager
def training_extra() -> Iterator[None]:
    """Surround imports that need TensorFlow; raises ExtraMissing if it is not installed."""
    # The recipe alone decides what a fit is: no keras.json may set its precision or its backend.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}
    try:
        with (
            quiet_native_code(),
            _as_if_not_installed("matplotlib", "sklearn"),
            _not_looked_through(),
        ):
            yield
    except ImportError:
        raise extra_missing("train") from None


@contextmanager
def _not_looked_through() -> Iterator[None]:
    """Switch the garbage collector off: nearly all objects of the first import live until the end.
    Scanning them takes a third of the import's time, and later 0.3 s in each collection, which
    every export runs."""
    is_first = "keras" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        gc.enable()


@contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """Hide packages that were not imported before; afterwards they can be imported again. Keras
    imports these for its own plots and wrappers, which no fit uses and which take over a second of
    each start."""
    hidden = [name for name in packages if name not in sys.modules]
    modules: dict[str, Any] = sys.modules  # an entry of None makes the import fail
    modules |= dict.fromkeys(hidden)
    try:
        yield
    finally:
        for name in hidden:
            modules.pop(name, None)
