"""The nightly job: the story of a row, from the queue to its prediction.

Each batch is one transaction: claim, validate, score, write, commit. Whatever ends the process in between rolls the
claim back, so the rows wait again; that is the whole of crash recovery.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from pima.core.validation import Validated, validate
from pima.errors import ArtifactDamaged, NoChampion
from pima.ledger import OpenRun
from pima.logs import get_logger
from pima.stopping import StopRequest
from pima.store import predictions, queue, registry
from pima.store.engine import reading, writing
from pima.store.runs import record_progress

if TYPE_CHECKING:
    from pima.model.compiled import CompiledModel


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How much to do."""

    batch_rows: int
    limit: int | None = None
    """At most this many rows; None drains the queue."""
    dry_run: bool = False
    """Score and count, but roll every batch back."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """The champion as it was when the run began; the whole run is scored by it."""

    version: int
    threshold: float
    model: "CompiledModel"


@dataclass(slots=True)
class Tally:
    """What became of the rows so far."""

    claimed: int = 0
    predicted: int = 0
    already_scored: int = 0
    rejected: int = 0
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    batches: int = 0

    def as_counts(self, version: int | None) -> dict[str, Any]:
        """As it stands in the ledger and in the JSON."""
        return {
            "claimed": self.claimed,
            "predicted": self.predicted,
            "already_scored": self.already_scored,
            "rejected": self.rejected,
            "rejected_by_reason": dict(sorted(self.rejected_by_reason.items())),
            "batches": self.batches,
            "model_version": version,
        }


def score_queue(engine: Engine, run: OpenRun, options: ScoreOptions, stop: StopRequest) -> None:
    """Drain the queue with today's champion, or do `limit` rows of it. Fills the run's counts.

    Raises NoChampion or ArtifactDamaged before any row is touched; Interrupted between two batches.
    """
    run.counts = Tally().as_counts(None)
    champion = _champion_if_needed(engine)
    if champion is None:
        return
    scorer = load_scorer(engine, champion)
    tally = Tally()
    run.counts = tally.as_counts(scorer.version)
    after = 0
    while (rows := _rows_to_claim(options, tally)) > 0:
        stop.check()
        last = _score_batch(engine, run, scorer, options, tally, after, rows)
        if last is None and (after == 0 or options.dry_run):
            return  # a whole pass found nothing: what is left is held by others, and the next run's
        after = last or 0  # from the start again: lower ids may have come in meanwhile


def _rows_to_claim(options: ScoreOptions, tally: Tally) -> int:
    left = options.batch_rows if options.limit is None else options.limit - tally.claimed
    return min(options.batch_rows, left)


def _champion_if_needed(engine: Engine) -> int | None:
    """The champion's number; None where nothing waits, so that no model is loaded for an empty queue."""
    with reading(engine) as connection:
        if queue.is_empty(connection):
            return None
        champion = registry.read_champion(connection)
        if champion.model_version is None:
            raise NoChampion(rows=queue.waiting(connection).rows)
        return champion.model_version


def load_scorer(engine: Engine, version: int) -> Scorer:
    """Read a version's compiled bytes, check their hash, and only then parse them. Raises ArtifactDamaged."""
    from pima.model.compiled import CompiledModel, sha256_of  # only where there are rows to score

    with reading(engine) as connection:
        artifact = registry.compiled_artifact(connection, version)
    if artifact is None or artifact.content is None:
        raise ArtifactDamaged(number=version, what="there are none")
    if sha256_of(artifact.content) != artifact.sha256:
        raise ArtifactDamaged(number=version, what="their sha256 differs from the one stored beside them")
    try:
        return Scorer(version, artifact.threshold, CompiledModel(artifact.content))
    except (ValueError, RuntimeError):
        raise ArtifactDamaged(number=version, what="they are no compiled model") from None


def _score_batch(
    engine: Engine, run: OpenRun, scorer: Scorer, options: ScoreOptions, tally: Tally, after: int, rows: int
) -> int | None:
    """One batch in one transaction; the highest patient id in it, None where there was nothing to claim."""
    with writing(engine) as connection:
        batch = queue.claim(connection, after, rows)
        if len(batch) == 0:
            return None
        parted = validate(batch.measurements)
        new = _write(connection, run, scorer, batch, parted)
        _count(tally, batch, parted, new)
        if options.dry_run:
            connection.rollback()
        else:
            record_progress(connection, run.id, tally.as_counts(scorer.version), scorer.version)
    run.counts = tally.as_counts(scorer.version)
    get_logger().info("batch done", claimed=len(batch), rejected=len(parted.rejected), model_version=scorer.version)
    return int(batch.patient_ids.max())


def _write(connection: Connection, run: OpenRun, scorer: Scorer, batch: queue.Batch, parted: Validated) -> int:
    ids, versions = batch.patient_ids, batch.patient_versions
    scored = predictions.Predictions(
        ids[parted.accepted], versions[parted.accepted], scorer.model.probabilities(parted.features)
    )
    rejected = predictions.Rejections(ids[parted.rejected], versions[parted.rejected], parted.reasons, parted.fields)
    new = predictions.write_predictions(connection, scored, scorer.version, run.id, scorer.threshold)
    predictions.write_rejections(connection, rejected, run.id)
    return new


def _count(tally: Tally, batch: queue.Batch, parted: Validated, new: int) -> None:
    tally.claimed += len(batch)
    tally.predicted += new
    tally.already_scored += len(parted.accepted) - new
    tally.rejected += len(parted.rejected)
    tally.rejected_by_reason.update(parted.reasons)
    tally.batches += 1
