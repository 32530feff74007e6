"""Fitting a version again from its stored training snapshot, to show that it is what its lineage says."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import Float32Array, Float64Array
from pima.core.history import Side
from pima.logs import get_logger
from pima.model.libraries import training_extra
from pima.model.recipes import recipe_of
from pima.scorer import load_scorer
from pima.store.declarations import as_features
from pima.store.registry import VersionSummary
from pima.training.kept_rows import version_with_rows

LARGEST_DIFFERENCE = 1e-6
"""In probability. The same fit gives the same bits; what other libraries or processors make of it is told apart."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What the second fit said beside the stored one."""

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
    """Refit version `number` and compare its predictions with those of its stored bytes.

    Raises NoSuchVersion, SnapshotNotKept, SnapshotDamaged, SnapshotRedacted, ArtifactDamaged, TrainingExtraMissing.
    """
    version, rows = version_with_rows(engine, number, all_of_them=True)
    stored = load_scorer(engine, number)
    with training_extra():
        from pima.model.network import library_versions, probe_rows
    refitted = _fit_again(version, rows)
    compared = np.concatenate([rows.features, probe_rows(as_features(version.features))])
    difference = float(np.abs(refitted(compared) - stored.model.probabilities(compared)).max())
    return Reproduction(
        number=number,
        reproduced=difference <= LARGEST_DIFFERENCE,
        largest_difference=difference,
        training_rows=len(rows),
        libraries=library_versions(),
        libraries_then=version.libraries,
    )


def _fit_again(version: VersionSummary, rows: Side) -> Callable[[Float32Array], Float64Array]:
    """The second fit, through the same export: (n, features) -> (n,)."""
    from pima.model.compiled import CompiledModel
    from pima.model.network import TrainingData, export, fit

    get_logger().info("fit started", model_version=version.number, seed=version.seed, training_rows=len(rows))
    features = as_features(version.features)
    model = fit(recipe_of(version.settings), features, TrainingData(rows.features, rows.outcomes), version.seed)
    return CompiledModel(export(model).compiled).probabilities
