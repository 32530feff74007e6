"""One champion after another: how the pointer is moved, and what a person decides about it.

Each of a person's decisions (to promote, roll back, pin and unpin) is one transaction and one row of a ledger, with who
and why. A person may also take a version out as a file.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.core.digest import sha256_of
from pima.errors import ArtifactDamaged, NoSuchVersion, NothingToRollBackTo, VersionHasNoBytes, WrongUsage
from pima.scorer import load_scorer
from pima.store import queue, registry
from pima.store.engine import reading, without_time_limit, writing
from pima.store.registry import Champion, Move, newest_declaration


def succeed(connection: Connection, before: Champion, number: int) -> None:
    """Make a version champion; the caller holds the lock, and `before` is what it found.

    Where rows are judged by other rules for it, those that are rejected wait again: each ends by the new champion.
    """
    registry.set_champion(connection, number, before.pinned)
    if before.model_version is None:
        return
    declared = newest_declaration(connection)
    old, new = (declared.rules_for(registry.features_of(connection, each)) for each in (before.model_version, number))
    # In whatever order.
    if {rule.name: rule for rule in old} != {rule.name: rule for rule in new}:
        without_time_limit(connection)
        queue.requeue_rejected(connection)


@dataclass(frozen=True, slots=True)
class Decider:
    """The person whose decision it is."""

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
            try:
                written = file.write(artifact.content)
                file.flush()
            except OSError:
                # What is there in part would keep the next try from its name.
                path.unlink()
                raise
            return written
    except FileExistsError:
        raise WrongUsage(what=f"{path} exists already. Name another file.") from None
    except OSError as error:
        raise WrongUsage(what=f"{path} can't be written ({error.strerror}). Name another file.") from None
