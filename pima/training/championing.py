"""What a person decides: to promote, roll back, pin and unpin the champion; and taking a version out as a file.

Each decision is one transaction and one row of a ledger, with who and why.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, Engine

from pima.core.digest import sha256_of
from pima.errors import ArtifactDamaged, NoSuchVersion, NothingToRollBackTo, VersionHasNoBytes, WrongUsage
from pima.scorer import load_scorer
from pima.store import registry
from pima.store.engine import reading, writing
from pima.store.registry import Champion, Move
from pima.training.succession import succeed


@dataclass(frozen=True, slots=True)
class Decider:
    """Whose decision it is."""

    name: str
    reason: str


def promote(engine: Engine, number: int, decider: Decider) -> Champion:
    """Make a version champion by hand. Raises NoSuchVersion or ArtifactDamaged, the pointer untouched."""
    _require_loadable(engine, number)
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        if before.model_version == number:
            raise WrongUsage(what=f"Model version {number} is the champion already; nothing was changed.")
        succeed(connection, before, number)
        return _record(connection, "promoted_by_hand", before, number, decider)


def roll_back(engine: Engine, decider: Decider) -> Champion:
    """Go back to the version that the champion replaced. Raises NothingToRollBackTo or ArtifactDamaged."""
    with reading(engine) as connection:
        seen = registry.read_champion(connection)
        target = None if seen.model_version is None else registry.version_before(connection, seen.model_version)
    if target is None:
        raise NothingToRollBackTo()
    _require_loadable(engine, target)
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        if before.sequence != seen.sequence:
            what = f"The champion changed to version {before.model_version} meanwhile. Look again, and decide anew."
            raise WrongUsage(what=what)
        succeed(connection, before, target)
        return _record(connection, "rolled_back", before, target, decider)


def pin(engine: Engine, pinned: bool, decider: Decider) -> Champion:
    """Hold the champion where it is, or let it go; retraining still records its verdicts meanwhile."""
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        registry.set_champion(connection, before.model_version, pinned)
        return _record(connection, "pinned" if pinned else "unpinned", before, before.model_version, decider)


def _require_loadable(engine: Engine, number: int) -> None:
    with reading(engine) as connection:
        if registry.read_version(connection, number) is None:
            raise NoSuchVersion(number=number)
    load_scorer(engine, number)


def _record(connection: Connection, verdict: str, before: Champion, to: int | None, decider: Decider) -> Champion:
    move = Move(
        verdict=verdict,
        reason="by_hand",
        explanation=decider.reason,
        from_version=before.model_version,
        to_version=to,
        challenger=None,
        champion_sequence=before.sequence,
        figures={},
        run_id=None,
        decided_by=decider.name,
    )
    registry.record_move(connection, move)
    return registry.read_champion(connection)


def export_keras(engine: Engine, number: int, path: Path) -> int:
    """Write a version's `.keras` file, its hash checked; returns its size in bytes. An existing file is not touched."""
    with reading(engine) as connection:
        artifact = registry.keras_artifact(connection, number)
    if artifact is None:
        raise NoSuchVersion(number=number)
    if artifact.content is None:
        raise VersionHasNoBytes(number=number, form="Keras")
    if sha256_of(artifact.content) != artifact.sha256:
        raise ArtifactDamaged(number=number, what="the Keras form's sha256 differs from the one stored beside it")
    try:
        with path.open("xb") as file:
            return _written(file, path, artifact.content)
    except FileExistsError:
        raise WrongUsage(what=f"{path} exists already. Name another file.") from None
    except OSError as error:
        raise WrongUsage(what=f"{path} can't be written ({error.strerror}). Name another file.") from None


def _written(file: BinaryIO, path: Path, content: bytes) -> int:
    """What is there in part would keep the next try from its name."""
    try:
        written = file.write(content)
        file.flush()
    except OSError:
        path.unlink()
        raise
    return written
