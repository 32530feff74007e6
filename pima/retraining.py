"""The weekly job: from the labelled history to a verdict.

Read once, part, fit, export, reload what was exported, judge both models on the same rows now, and write version,
verdict and (only if it won) the champion's pointer in one transaction.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from pima.core.history import Parted, part, shortage
from pima.core.promotion import Contest, Decision, Reason, Verdict, decide
from pima.errors import ArtifactDamaged, ChampionKeepsMoving, LeaseHeld, PimaError, TooFewLabels, TrainingExtraMissing
from pima.heartbeat import beating
from pima.ledger import OpenRun
from pima.logs import get_logger
from pima.model.quiet import quiet_native_code
from pima.model.recipes import RECIPES
from pima.scoring import Scorer, load_scorer
from pima.settings import RetrainSettings, Settings
from pima.stopping import StopRequest
from pima.store import leases, registry, runs
from pima.store.engine import reading, writing
from pima.store.patients import labelled_history
from pima.store.registry import Champion, Move, NewVersion
from pima.store.schema import holdout_salt

if TYPE_CHECKING:
    from pima.model.artifact import Artifacts, Parity

LEASE = "retrain"
ATTEMPTS_TO_DECIDE = 5


@dataclass(frozen=True, slots=True)
class Challenger:
    """What this retraining has fitted."""

    artifacts: "Artifacts"
    parity: "Parity"
    scorer: Scorer
    seed: int


def retrain(engine: Engine, settings: Settings, run: OpenRun, stop: StopRequest, dry_run: bool) -> None:
    """One retraining; fills the run's counts with the verdict. A dry run decides and writes nothing but its run.

    Raises TooFewLabels, LeaseHeld, ChampionKeepsMoving, TrainingExtraMissing; Interrupted while nothing is written.
    """
    with _only_one(engine, settings.retrain, run, dry_run) as fence:
        with stop.at_once():
            history = read_history(engine, settings)
            _count_rows(run, history)
            _require_enough(history, settings.retrain)
            if _judged_before(engine, run, history, settings):
                return
            challenger = fit_challenger(history, settings.retrain, run)
        _decide(engine, settings, run, history, challenger, fence, dry_run)


@contextmanager
def _only_one(engine: Engine, settings: RetrainSettings, run: OpenRun, dry_run: bool) -> Iterator[int | None]:
    """Hold the lease for the whole retraining; yields its fence. A dry run changes nothing and needs none."""
    if dry_run:
        yield None
        return
    with writing(engine) as connection:
        fence = leases.take_lease(connection, LEASE, f"run {run.id}", settings.lease_seconds)
        if fence is None:
            owner, expires_at = leases.lease_holder(connection, LEASE)
            raise LeaseHeld(job="retrain", owner=owner, expires_at=expires_at)

    def beat() -> None:
        with writing(engine) as connection:
            runs.beat(connection, run.id)
            leases.renew_lease(connection, LEASE, fence, settings.lease_seconds)

    try:
        with beating(beat, settings.lease_seconds / 4):
            yield fence
    finally:
        # Where the database is away the lease runs out by itself; what ended the run is what must be reported.
        with suppress(PimaError), writing(engine) as connection:
            leases.release_lease(connection, LEASE, fence)


def read_history(engine: Engine, settings: Settings) -> Parted:
    """The labelled rows, validated and parted into training and holdout."""
    with reading(engine) as connection:
        salt = holdout_salt(connection, settings.holdout.salt)
        labelled = labelled_history(connection)
    return part(labelled.patient_ids, labelled.measurements, labelled.outcomes, salt, settings.holdout.share)


def _count_rows(run: OpenRun, history: Parted) -> None:
    run.counts = {
        "training_rows": len(history.training),
        "holdout_rows": len(history.holdout),
        "left_out": history.left_out,
    }


def _require_enough(history: Parted, settings: RetrainSettings) -> None:
    what = shortage(history, settings.minimum_labels, settings.minimum_of_each_class)
    if what is not None:
        raise TooFewLabels(what=what)


def _judged_before(engine: Engine, run: OpenRun, history: Parted, settings: Settings) -> bool:
    """One look per data, settings and champion: running the job again on the same data cannot fish for luck.

    Not where the champion's bytes can't be loaded, since that verdict compared with a model which is gone; not after
    `pinned`, which said nothing of the challenger; and not after `promoted`, since a person must have moved the
    champion back since then.
    """
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        fingerprint = settings_fingerprint(settings)
        row = registry.recorded_verdict(connection, history.fingerprint, fingerprint, champion.model_version)
    if row is None or row.verdict == Decision.PROMOTED or row.reason == Reason.PINNED or _load(engine, champion)[1]:
        return False
    run.counts |= {"verdict": row.verdict, "reason": row.reason, "judged_before": True, "challenger": row.challenger}
    get_logger().info("judged before on the same data, settings and champion", explanation=row.explanation)
    return True


def settings_of_fit(settings: Settings) -> dict[str, Any]:
    """What, besides the data, makes one fit differ from another."""
    return {
        "network": settings.retrain.network,
        "recipe": asdict(RECIPES[settings.retrain.network]),
        "threshold": settings.retrain.threshold,
        "holdout_share": settings.holdout.share,
    }


def settings_fingerprint(settings: Settings) -> str:
    """sha256 over the settings of a fit."""
    return hashlib.sha256(json.dumps(settings_of_fit(settings), sort_keys=True).encode()).hexdigest()


def seed_of(history: Parted, settings: RetrainSettings) -> int:
    """The fit's seed, from the data and the network's name: nobody picks it, and the same data give the same model."""
    digest = hashlib.sha256(f"{history.fingerprint} {settings.network}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def fit_challenger(history: Parted, settings: RetrainSettings, run: OpenRun) -> Challenger:
    """Fit, export, and reload from the exported bytes, as scoring will."""
    try:
        with quiet_native_code():
            from pima.model.artifact import export, parity
            from pima.model.network import TrainingData, fit
    except ImportError:
        raise TrainingExtraMissing() from None
    from pima.model.compiled import CompiledModel

    seed = seed_of(history, settings)
    get_logger().info("fit started", network=settings.network, seed=seed, **run.counts)
    model = fit(RECIPES[settings.network], TrainingData(history.training.features, history.training.outcomes), seed)
    artifacts = export(model)
    agreement = parity(artifacts, history.holdout.features, settings.threshold)
    # The number is given when the version is stored; until then the challenger has none.
    return Challenger(artifacts, agreement, Scorer(0, settings.threshold, CompiledModel(artifacts.compiled)), seed)


def _decide(
    engine: Engine,
    settings: Settings,
    run: OpenRun,
    history: Parted,
    challenger: Challenger,
    fence: int | None,
    dry_run: bool,
) -> None:
    """Judge against the champion as it is, and write; where the champion moved meanwhile, judge again."""
    for _ in range(ATTEMPTS_TO_DECIDE):
        with reading(engine) as connection:
            champion = registry.read_champion(connection)
            data, fit = history.fingerprint, settings_fingerprint(settings)
            rolled_back = registry.was_rolled_back(connection, data, fit)
        verdict = judge(engine, history, challenger, champion, rolled_back)
        if dry_run:
            return _report(run, verdict, champion, None)
        with writing(engine) as connection:
            if registry.lock_champion(connection).sequence != champion.sequence:
                continue
            _require_lease(connection, settings.retrain, fence)
            number = registry.add_version(connection, _new_version(settings, run, history, challenger, verdict))
            _record(connection, settings, run, history, champion, number, verdict)
        return _report(run, verdict, champion, number)
    raise ChampionKeepsMoving(attempts=ATTEMPTS_TO_DECIDE)


def _require_lease(connection: Connection, settings: RetrainSettings, fence: int | None) -> None:
    """A process that slept past its lease must not write over its successor."""
    if fence is not None and not leases.renew_lease(connection, LEASE, fence, settings.lease_seconds):
        owner, expires_at = leases.lease_holder(connection, LEASE)
        raise LeaseHeld(job="retrain", owner=owner, expires_at=expires_at)


def _load(engine: Engine, champion: Champion) -> tuple[Scorer | None, bool]:
    """The champion's model, and whether there is a champion whose bytes can't be loaded."""
    if champion.model_version is None:
        return None, False
    try:
        return load_scorer(engine, champion.model_version), False
    except ArtifactDamaged as error:
        get_logger().error("the champion can't be loaded", model_version=champion.model_version, error_code=error.code)
        return None, True


def judge(engine: Engine, history: Parted, challenger: Challenger, champion: Champion, rolled_back: bool) -> Verdict:
    """Both models on the same holdout rows, now, by the same code."""
    current, unloadable = _load(engine, champion)
    holdout = history.holdout
    return decide(
        Contest(
            outcomes=holdout.outcomes,
            challenger=challenger.scorer.model.probabilities(holdout.features),
            challenger_threshold=challenger.scorer.threshold,
            champion=None if current is None else current.model.probabilities(holdout.features),
            champion_threshold=0.5 if current is None else current.threshold,
            champion_unloadable=unloadable,
            parity_passed=challenger.parity.passed,
            pinned=champion.pinned,
            rolled_back_before=rolled_back,
        )
    )


def _new_version(
    settings: Settings, run: OpenRun, history: Parted, challenger: Challenger, verdict: Verdict
) -> NewVersion:
    from pima.model.artifact import library_versions

    return NewVersion(
        run_id=run.id,
        keras_artifact=challenger.artifacts.keras,
        keras_sha256=challenger.artifacts.keras_sha256,
        compiled_artifact=challenger.artifacts.compiled,
        compiled_sha256=challenger.artifacts.compiled_sha256,
        threshold=challenger.scorer.threshold,
        seed=challenger.seed,
        settings=settings_of_fit(settings),
        libraries=library_versions(),
        data_fingerprint=history.fingerprint,
        settings_fingerprint=settings_fingerprint(settings),
        training_rows=len(history.training),
        holdout_rows=len(history.holdout),
        rows_left_out=history.left_out,
        metrics={
            "holdout": None if verdict.challenger is None else asdict(verdict.challenger),
            "parity": asdict(challenger.parity),
        },
    )


def _record(
    connection: Connection,
    settings: Settings,
    run: OpenRun,
    history: Parted,
    champion: Champion,
    number: int,
    verdict: Verdict,
) -> None:
    promoted = verdict.decision is Decision.PROMOTED
    if promoted:
        registry.set_champion(connection, number, champion.pinned)
    move = Move(
        verdict=verdict.decision,
        reason=verdict.reason,
        explanation=verdict.sentence,
        from_version=champion.model_version,
        to_version=number if promoted else champion.model_version,
        challenger=number,
        champion_sequence=champion.sequence,
        figures={**_scores(verdict), "majority_correct": verdict.majority_correct},
        run_id=run.id,
        decided_by="retrain",
        data_fingerprint=history.fingerprint,
        settings_fingerprint=settings_fingerprint(settings),
    )
    registry.record_move(connection, move)


def _scores(verdict: Verdict) -> dict[str, Any]:
    both = {"challenger": verdict.challenger, "champion": verdict.champion}
    return {name: None if scores is None else asdict(scores) for name, scores in both.items()}


def _report(run: OpenRun, verdict: Verdict, champion: Champion, number: int | None) -> None:
    run.counts |= {
        "verdict": verdict.decision,
        "reason": verdict.reason,
        "champion_before": champion.model_version,
        "challenger": number,
        "judged_before": False,
        **{f"{name}_scores": scores for name, scores in _scores(verdict).items()},
        "majority_correct": verdict.majority_correct,
    }
    get_logger().info("verdict", explanation=verdict.sentence, challenger=number)
