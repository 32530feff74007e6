"""A model version as one file, which scores rows without a database.

The first line names the format and the sha256 of the rest, which is JSON: the compiled bytes in
base64, the threshold, the features that the version was fitted on, and the declaration in force.
The rest is read only after the hash was checked. The hash detects damage; it does not prove who
wrote the file.
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from msgspec import Struct, ValidationError, convert
from sqlalchemy import Engine

from pima.core.declared.features import Declaration, Features, names_of
from pima.errors import (
    ChampionSuspended,
    ModelFileRefused,
    NoChampion,
    NoSuchVersion,
    VersionHasNoBytes,
)
from pima.logs import tell
from pima.runs.whole_file import whole_file
from pima.scorer import Scorer, checked_artifact
from pima.store.engine import reading
from pima.store.models import registry
from pima.store.models.registry import (
    Champion,
    as_declaration,
    as_stored,
    newest_declaration,
    sha256_of,
    stored_features,
)
from pima.watch.suspension import in_words

_FIRST_LINE = re.compile(rb"pima model 1 ([0-9a-f]{64})\n")
LARGEST_BYTES = 64 * 2**20
"""The largest file that is read; the shipped model takes about 20 kB."""


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """A version, ready to score."""

    version: int
    compiled_sha256: str
    scorer: Scorer
    declared: Declaration
    """The outcome, and the model's features as cells are read."""
    rules: Features
    """The model's features with the rules that rows are judged by."""
    suspended_at: datetime | None
    """Since when a person had stopped it as its file was written; None if nobody had."""


class _Document(Struct, frozen=True):
    """The JSON document; keys that a later release adds are ignored."""

    version: int
    threshold: float
    features: object
    declaration: object
    compiled_sha256: str
    compiled: str
    suspended_at: datetime | None = None
    """Since when a person had stopped it as the file was written."""


def export_model(engine: Engine, number: int, path: Path) -> dict[str, object]:
    """Write a version with today's declaration to a new file; return the path, bytes, version and
    sha256 of all but the first line. Raises NoSuchVersion, VersionHasNoBytes or ArtifactDamaged,
    and WrongUsage if the file exists."""
    content = model_file(engine, number)
    with whole_file(path, "--out") as file:
        file.write(content)
    sha256 = sha256_of(content.partition(b"\n")[2])
    return {"path": str(path), "bytes": len(content), "number": number, "sha256": sha256}


def model_file(engine: Engine, number: int | None) -> bytes:
    """Make the content of a model file, for the champion if `number` is None. Raises NoChampion,
    ChampionSuspended, NoSuchVersion, VersionHasNoBytes or ArtifactDamaged."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        if number is None:
            number = _scoring_number(champion)
        suspended_at = warn_of_stop(champion, number)
        artifact = checked_artifact(connection, number)
        version = registry.read_version(connection, number)
        declaration = newest_declaration(connection)
    if version is None or artifact is None:
        raise NoSuchVersion(number=number)
    if artifact.content is None:
        raise VersionHasNoBytes(number=number, form="compiled")
    document = {
        "version": number,
        "threshold": artifact.threshold,
        "features": as_stored(stored_features(artifact.features)),
        "declaration": as_stored(declaration),
        "data_fingerprint": version.data_fingerprint,
        "settings_fingerprint": version.settings_fingerprint,
        "keras_sha256": version.keras_sha256,
        "libraries": version.libraries,
        "compiled_sha256": artifact.sha256,
        "compiled": base64.b64encode(artifact.content).decode("ascii"),
    }
    if suspended_at is not None:
        document["suspended_at"] = suspended_at.isoformat()
    body = json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
    return f"pima model 1 {sha256_of(body)}\n".encode() + body


def warn_of_stop(champion: Champion, number: int) -> datetime | None:
    """Tell people who take this version out if it is the champion and a person has stopped it;
    return since when."""
    if champion.model_version != number:
        return None
    if champion.suspended_at is not None:
        since = in_words(champion.suspended_at)
        tell(f"Version {number}{since}: act on none of its predictions.", "warning")
    return champion.suspended_at


def _scoring_number(champion: Champion) -> int:
    number = champion.model_version
    if number is None:
        raise NoChampion(what="it scores files unless --model names a version, or a model file")
    if champion.suspended_at is not None:
        raise ChampionSuspended(number=number, since=f"{champion.suspended_at:%Y-%m-%d %H:%M} UTC")
    return number


def content_of(path: Path) -> bytes:
    """Read a model file, up to one byte more than the largest size. Raises ModelFileRefused."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ModelFileRefused(file=path, what=f"it can't be read ({error.strerror})") from None


def read_model(path: Path, content: bytes) -> ScoringModel:
    """Check the hash of a model file's bytes, then read them. Raises ModelFileRefused, which names
    the path."""
    from pima.model.compiled import CompiledModel

    first = _FIRST_LINE.match(content)
    if first is None or len(content) > LARGEST_BYTES:
        raise ModelFileRefused(file=path, what="it is no model file")
    body = content[first.end() :]
    if sha256_of(body) != first[1].decode("ascii"):
        raise ModelFileRefused(
            file=path, what="its contents are not those that were written (their sha256 differs)"
        )
    try:
        filed = convert(json.loads(body), _Document)
        features = stored_features(filed.features)
        declaration = as_declaration(filed.declaration)
        compiled = CompiledModel(base64.b64decode(filed.compiled, validate=True))
    except (ValidationError, ValueError, RuntimeError):
        raise ModelFileRefused(file=path, what="it was written for another release") from None
    # JSON of Python has 1e400 as infinite, and NaN: no row would be called 1.
    if not 0 <= filed.threshold <= 1:
        raise ModelFileRefused(file=path, what="its threshold is not a number from 0 to 1")
    if not features or not set(names_of(features)) <= set(declaration.columns):
        raise ModelFileRefused(file=path, what="what it declares can't be used by this release")
    rules = declaration.rules_for(features)
    declared = Declaration(declaration.outcome, declaration.called(names_of(features)))
    scorer = Scorer(filed.threshold, features, compiled)
    return ScoringModel(
        filed.version, filed.compiled_sha256, scorer, declared, rules, filed.suspended_at
    )
