"""Fitting: a challenger on the training rows of today, and a stored version again on its own."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import Float64Array
from pima.core.features import Features
from pima.core.fit_choices import stratified_folds, threshold_reaching
from pima.core.history import Split, features_of
from pima.logs import get_logger
from pima.model.libraries import Boundary, never, training_extra
from pima.model.recipes import Article, FiveSeeds, fit_fingerprint, recipe_for, recipe_of, settings_of_fit
from pima.scorer import Scorer, load_scorer
from pima.settings.sections import RetrainSettings, Settings
from pima.store.registry import as_features
from pima.train.snapshot import version_with_rows

if TYPE_CHECKING:
    from pima.model.network import Artifacts, Parity, TrainingData

FOLDS = 5
LARGEST_DIFFERENCE = 1e-6
"""In probability. The same fit gives the same bits; what other libraries or processors make of it is told apart."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """The model that a retraining has fitted."""

    artifacts: "Artifacts"
    parity: "Parity"
    scorer: Scorer
    seed: int
    settings: dict[str, Any]
    """What, besides the data, made the fit what it is."""
    settings_fingerprint: str
    libraries: dict[str, str]


def fit_challenger(history: Split, settings: Settings, features: Features, boundary: Boundary) -> Challenger:
    """Fit, export, and reload from the exported bytes, as scoring will. Raises TrainingExtraMissing, and what the
    boundary raises."""
    network, recipe = settings.retrain.network, recipe_for(settings.retrain.network, features)
    with training_extra():
        from pima.model.network import TrainingData, export, fit, library_versions, parity
    from pima.model.compiled import CompiledModel

    seed = seed_of(history, settings.retrain)
    rows = {"training_rows": len(history.training), "holdout_rows": len(history.holdout)}
    others = {"left_out": history.left_out, "twins_kept": history.twins_kept}
    counts = {name: found for name, found in (rows | others).items() if found}
    get_logger().info("fit started", network=network, seed=seed, **counts)
    data = TrainingData(features_of(history.training), history.training["outcome"].to_numpy())
    artifacts = export(fit(recipe, features, data, seed, boundary))
    threshold = threshold_of(settings.retrain.threshold, recipe, features, data, seed, boundary)
    return Challenger(
        artifacts=artifacts,
        parity=parity(artifacts, features_of(history.holdout), features, threshold),
        scorer=Scorer(threshold, features, CompiledModel(artifacts.compiled)),
        seed=seed,
        settings=settings_of_fit(settings, features),
        settings_fingerprint=fit_fingerprint(settings, features),
        libraries=library_versions(),
    )


def seed_of(history: Split, settings: RetrainSettings) -> int:
    """Return the fit's seed, from the data and the network's name: nobody picks it, and the same data give the same
    model."""
    digest = hashlib.sha256(f"{history.fingerprint} {settings.network}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def threshold_of(
    asked: float | str,
    recipe: FiveSeeds | Article,
    features: Features,
    data: "TrainingData",
    seed: int,
    boundary: Boundary = never,
) -> float:
    """Return a number itself; of a text like "sensitivity >= 0.85" the threshold that reaches it on the training rows,
    each judged by a fit of the same recipe that did not see it. The same rows and seed give the same threshold."""
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
    """The second fit of a version beside the stored one."""

    number: int
    reproduced: bool
    """No probability differs by more than `LARGEST_DIFFERENCE`."""
    largest_difference: float
    """In probability, over the training rows and the probe rows; 0 on the same machine and libraries."""
    training_rows: int
    libraries: dict[str, str]
    """Those of today."""
    libraries_then: dict[str, str]


def reproduce(engine: Engine, number: int) -> Reproduction:
    """Fit version `number` again from its training snapshot, and compare its predictions with those of its stored
    bytes.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted, ArtifactDamaged, TrainingExtraMissing.
    """
    version, rows = version_with_rows(engine, number, all_of_them=True)
    stored = load_scorer(engine, number)
    with training_extra():
        from pima.model.network import TrainingData, export, fit, library_versions, probe_rows
    from pima.model.compiled import CompiledModel

    get_logger().info("fit started", model_version=number, seed=version.seed, training_rows=len(rows))
    features = as_features(version.features)
    data = TrainingData(features_of(rows), rows["outcome"].to_numpy())
    refitted = CompiledModel(export(fit(recipe_of(version.settings), features, data, version.seed)).compiled)
    compared = np.concatenate([data.features, probe_rows(features)])
    difference = float(np.abs(refitted.probabilities(compared) - stored.model.probabilities(compared)).max())
    return Reproduction(
        number=number,
        reproduced=difference <= LARGEST_DIFFERENCE,
        largest_difference=difference,
        training_rows=len(rows),
        libraries=library_versions(),
        libraries_then=version.libraries,
    )
