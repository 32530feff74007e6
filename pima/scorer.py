"""A model version read from the registry, its bytes checked first: to score with it, or to copy it out."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from pima.core.features import Features
from pima.errors import ArtifactDamaged, NoSuchVersion, VersionHasNoBytes
from pima.store import registry
from pima.store.engine import reading

if TYPE_CHECKING:
    from pima.model.compiled import CompiledModel


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model version in use: it gives a row its probability and its class."""

    threshold: float
    features: Features
    """The model's inputs, in its order, as they were declared when it was fitted."""
    model: "CompiledModel"


def load_scorer(engine: Engine, version: int) -> Scorer:
    """Read a version's compiled bytes, check their hash, and only then parse them. Raises ArtifactDamaged."""
    from pima.model.compiled import CompiledModel  # imported only if there are rows to score

    with reading(engine) as connection:
        artifact = registry.compiled_artifact(connection, version)
    if artifact is None or artifact.content is None:
        raise ArtifactDamaged(number=version, what="there are none")
    if hashlib.sha256(artifact.content).hexdigest() != artifact.sha256:
        raise ArtifactDamaged(number=version, what="their sha256 differs from the one stored beside them")
    try:
        return Scorer(artifact.threshold, artifact.features, CompiledModel(artifact.content))
    except (ValueError, RuntimeError):
        raise ArtifactDamaged(number=version, what="they are not a compiled model") from None


def keras_bytes(engine: Engine, number: int) -> bytes:
    """Read a version's `.keras` file, its hash checked. Raises NoSuchVersion, VersionHasNoBytes, ArtifactDamaged."""
    with reading(engine) as connection:
        artifact = registry.keras_artifact(connection, number)
    if artifact is None:
        raise NoSuchVersion(number=number)
    if artifact.content is None:
        raise VersionHasNoBytes(number=number, form="Keras")
    if hashlib.sha256(artifact.content).hexdigest() != artifact.sha256:
        raise ArtifactDamaged(number=number, what="the Keras form's sha256 differs from the one stored beside it")
    return artifact.content
