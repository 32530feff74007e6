"""Verdicts on record: one that was given before, and a new one, written once with all that it rests on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Engine

from pima.core.contest import Measured
from pima.core.digest import sha256_of
from pima.core.drift import reference_of
from pima.core.evidence import Evidence, document
from pima.core.features import Features
from pima.core.figures import Figure
from pima.core.history import Split
from pima.core.metrics import Comparison, Scores
from pima.core.promotion import Decision, Reason, Verdict
from pima.core.subgroups import WorstSubgroup
from pima.logs import get_logger
from pima.settings.sections import Settings
from pima.store import lineage, registry
from pima.store.engine import reading, writing
from pima.store.lineage import Snapshot, TestSet
from pima.store.registry import Move, NewVersion, as_stored
from pima.train.champion import succeed
from pima.train.gate import Case, Judgement, gate_fingerprint, load_champion
from pima.train.snapshot import ids_to_parquet, to_parquet


@dataclass(frozen=True, slots=True)
class EarlierVerdict:
    """What the gate decided in an earlier run on the same data, settings and champion; it stands."""

    verdict: str
    reason: str
    explanation: str
    judged_before: bool = field(default=True, init=False)
    challenger: int | None
    """The version that was judged then."""


def earlier_verdict(engine: Engine, history: Split, settings: Settings, features: Features) -> EarlierVerdict | None:
    """Find the verdict that stands: one look per data, settings and champion, so that running the job again on the same
    data cannot fish for luck.

    Not where the champion's bytes can't be loaded, since that verdict compared with a model which is gone; not after
    `pinned` and `too_few_unseen`, which said nothing of the challenger; and not after `promoted`, since a person must
    have moved the champion back since then.
    """
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        fingerprint = gate_fingerprint(settings, features)
        row = registry.recorded_verdict(connection, history.fingerprint, fingerprint, champion.model_version)
    if row is None or row.verdict == Decision.PROMOTED or row.reason in (Reason.PINNED, Reason.TOO_FEW_UNSEEN):
        return None
    if load_champion(engine, champion)[1]:
        return None
    get_logger().info("judged before on the same data, settings and champion", explanation=row.explanation)
    return EarlierVerdict(row.verdict, row.reason, row.explanation, row.challenger)


def record(
    engine: Engine, case: Case, judgement: Judgement, run_id: int, still_ours: Callable[[Connection], None]
) -> int | None:
    """Write version, verdict and, if it won, the champion's pointer in one transaction; return the version's number.

    None, and nothing is written, where the champion has moved since it was judged against (a person's rollback).
    `still_ours` is asked within the transaction and raises where another retraining has taken over.
    """
    champion, verdict = judgement.champion, judgement.verdict
    promoted = verdict.decision is Decision.PROMOTED
    version, test_set = _new_version(case, run_id, verdict), _test_set(case, judgement)
    figures = {name: found for name, found in asdict(verdict).items() if name not in ("decision", "reason", "sentence")}
    with writing(engine) as connection:
        if registry.lock_champion(connection).sequence != judgement.champion.sequence:
            return None
        still_ours(connection)
        number = registry.add_version(connection, version)
        if promoted:
            succeed(connection, champion, number)
        lineage.keep_test_set(connection, test_set)
        move = Move(
            verdict=verdict.decision,
            reason=verdict.reason,
            explanation=verdict.sentence,
            from_version=champion.model_version,
            to_version=number if promoted else champion.model_version,
            challenger=number,
            champion_sequence=champion.sequence,
            figures=figures | {"window": case.settings.gate.window, "test_set_rows": test_set.rows},
            run_id=run_id,
            decided_by="retrain",
            data_fingerprint=case.history.fingerprint,
            settings_fingerprint=gate_fingerprint(case.settings, case.declared.features),
            test_set_fingerprint=test_set.fingerprint,
            evidence=document(judgement.evidence),
        )
        registry.record_move(connection, move)
        _keep_lineage(connection, case, number)
    return number


def _new_version(case: Case, run_id: int, verdict: Verdict) -> NewVersion:
    history, challenger, scorer = case.history, case.challenger, case.challenger.scorer
    first, last = history.labelled_between_ms
    rows = history.training.features
    probabilities = scorer.model.probabilities(rows)
    left = (history.labelled, history.rejected)
    return NewVersion(
        run_id=run_id,
        keras_artifact=challenger.artifacts.keras,
        keras_sha256=challenger.artifacts.keras_sha256,
        compiled_artifact=challenger.artifacts.compiled,
        compiled_sha256=challenger.artifacts.compiled_sha256,
        threshold=scorer.threshold,
        seed=challenger.seed,
        settings=challenger.settings,
        libraries=challenger.libraries,
        data_fingerprint=history.fingerprint,
        settings_fingerprint=challenger.settings_fingerprint,
        training_rows=len(history.training),
        holdout_rows=len(history.holdout),
        rows_left_out=history.left_out,
        first_labelled_at=_moment(first),
        last_labelled_at=_moment(last),
        metrics={
            "holdout": None if verdict.challenger is None else asdict(verdict.challenger),
            "parity": asdict(challenger.parity),
        }
        | ({"twins_kept": history.twins_kept} if history.twins_kept else {}),
        features=as_stored(case.declared.features),
        training_ids=ids_to_parquet(history.training.patient_ids),
        reference=msgspec.to_builtins(reference_of(scorer.features, rows, probabilities, scorer.threshold, *left)),
    )


def _test_set(case: Case, judgement: Judgement) -> TestSet:
    rows = case.history.holdout.rows(judgement.test_set)
    first, last = int(rows.labelled_at_ms.min()), int(rows.labelled_at_ms.max())
    return TestSet(rows.fingerprint, rows.patient_ids.tolist(), len(rows), _moment(first), _moment(last))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _keep_lineage(connection: Connection, case: Case, number: int) -> None:
    asked = case.settings.lineage
    if asked.snapshots == "off":
        lineage.drop_snapshots(connection)
    else:
        content = to_parquet(case.history.training, case.declared.names)
        kept = Snapshot(content, sha256_of(content), len(case.history.training))
        lineage.keep_snapshot(connection, number, kept)
    last_snapshots = asked.snapshots if isinstance(asked.snapshots, int) else 0
    lineage.prune(connection, last_snapshots, None if asked.model_bytes == "all" else asked.model_bytes)


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """What the gate decided in this run; figures as in `pima.core.promotion.Verdict`."""

    verdict: str
    reason: str
    """A code that scripts can rely on."""
    explanation: str
    """The reason for people."""
    champion_before: int | None
    """The version that the challenger was judged against; None where there was none."""
    challenger: int | None
    """Its version's number; None in a dry run, which stores none."""
    judged_before: bool = field(default=False, init=False)
    challenger_scores: Scores | None
    champion_scores: Scores | None
    comparison: Comparison | None
    majority_correct: int
    measured: Measured | None
    whole_rows: int
    whole_accuracy_difference: float | None
    consultations: int
    seen_rows: int
    unscorable_rows: int
    worst_subgroup: WorstSubgroup | None
    auroc: float | None
    """Whom the challenger tells apart: 0.5 is by chance, 1 is best; None where there is no evidence of it."""
    calibration_slope: float | None
    """1 is best; below it the challenger's probabilities are too extreme; None as `auroc`."""


def new_verdict(
    verdict: Verdict, evidence: Evidence, champion_before: int | None, challenger: int | None
) -> NewVerdict:
    """Return a verdict as the run's result, with two figures of its evidence, to the digits that people read."""
    found = evidence.challenger
    return NewVerdict(
        verdict=verdict.decision,
        reason=verdict.reason,
        explanation=verdict.sentence,
        champion_before=champion_before,
        challenger=challenger,
        challenger_scores=verdict.challenger,
        champion_scores=verdict.champion,
        comparison=verdict.comparison,
        majority_correct=verdict.majority_correct,
        measured=verdict.measured,
        whole_rows=verdict.whole_rows,
        whole_accuracy_difference=verdict.whole_accuracy_difference,
        consultations=verdict.consultations,
        seen_rows=verdict.seen_rows,
        unscorable_rows=verdict.unscorable_rows,
        worst_subgroup=verdict.worst_subgroup,
        auroc=None if found is None else _rounded(found.auroc),
        calibration_slope=None if found is None else _rounded(found.calibration_slope),
    )


def _rounded(figure: Figure) -> float | None:
    return None if figure.value is None else round(figure.value, 3)


def announce(judgement: Judgement, number: int | None) -> NewVerdict:
    """Return the verdict as the run's result, and say it in the log too; `number` is None in a dry run."""
    verdict = judgement.verdict
    told = new_verdict(verdict, judgement.evidence, judgement.champion.model_version, number)
    log = get_logger().error if verdict.reason is Reason.CHAMPION_UNLOADABLE else get_logger().info
    figures = {"auroc": told.auroc, "calibration_slope": told.calibration_slope}
    log("verdict", explanation=verdict.sentence, challenger=number, **figures)
    return told
