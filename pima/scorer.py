"""A model version read from the registry, its bytes checked first: to score with it, or to copy it
out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Features
from pima.errors import ArtifactDamaged, NoSuchVersion, VersionHasNoBytes
from pima.store.engine import reading
from pima.store.models import registry
from pima.store.models.registry import StoredArtifact, sha256_of, stored_features

if TYPE_CHECKING:
    from pima.model.compiled import CompiledModel


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model version in use: it gives a row its probability and its class."""

    threshold: float
    features: Features
    """The model's inputs, in its order, as they were declared when it was fitted."""
    model: "CompiledModel"
    reference: object = None
    """The distribution of the rows that it learned from, as it is stored; None if it is not from a
    database."""


def load_scorer(engine: Engine, version: int) -> Scorer:
    """Read what makes a version's predictions, check its hash, and only then parse it. Raises
    ArtifactDamaged."""
    # A Dask worker without LiteRT says so by a message, once it has imported this.
    from pima.model.compiled import CompiledModel

    with reading(engine) as connection:
        artifact = checked_artifact(connection, version)
    if artifact is None or artifact.content is None:
        raise ArtifactDamaged(number=version, what="there are none")
    try:
        model = CompiledModel(artifact.content)
    except (ValueError, RuntimeError):
        raise ArtifactDamaged(number=version, what="they are not a compiled model") from None
    return Scorer(artifact.threshold, stored_features(artifact.features), model, artifact.reference)


def checked_artifact(connection: Connection, number: int) -> StoredArtifact | None:
    """Read a version's compiled form, and check the hash of all that makes its predictions; None if
    there is no such version. Raises ArtifactDamaged."""
    try:
        artifact = registry.compiled_artifact(connection, number)
    except ValueError:  # SQLite looks into no JSON that it keeps
        raise ArtifactDamaged(
            number=number, what="its features or its reference are no JSON"
        ) from None
    if artifact is None or artifact.content is None:
        return artifact
    if registry.scorer_sha256(number, artifact.content, artifact) != artifact.scorer_sha256:
        what = (
            "the sha256 of compiled form, threshold, features and reference differs from the one "
            "stored beside them"
        )
        raise ArtifactDamaged(number=number, what=what)
    return artifact


def keras_bytes(engine: Engine, number: int) -> bytes:
    """Read a version's `.keras` file, its hash checked. Raises NoSuchVersion, VersionHasNoBytes,
    ArtifactDamaged."""
    with reading(engine) as connection:
        artifact = registry.keras_artifact(connection, number)
    if artifact is None:
        raise NoSuchVersion(number=number)
    if artifact.content is None:
        raise VersionHasNoBytes(number=number, form="Keras")
    if sha256_of(artifact.content) != artifact.sha256:
        raise ArtifactDamaged(
            number=number, what="the Keras form's sha256 differs from the one stored beside it"
        )
    return artifact.content
