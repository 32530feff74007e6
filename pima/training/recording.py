"""A verdict written once: version, decision and the champion's pointer in one transaction, with what they rest on.

The champion may move while this works (a person's rollback): the write compares its sequence number under a lock, and
where it moved, the challenger is judged anew against the new champion.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from pima.core.digest import sha256_of
from pima.core.drift import reference_of
from pima.core.evidence import document
from pima.core.history import Side
from pima.core.promotion import Decision, Reason, Verdict
from pima.errors import ChampionKeepsMoving
from pima.logs import get_logger
from pima.process.recorded_run import as_json
from pima.store import lineage, registry
from pima.store.declarations import as_stored
from pima.store.engine import writing
from pima.store.lineage import Snapshot, TestSet
from pima.store.registry import Move, NewVersion
from pima.training.judging import Case, Judgement, judge, verdict_figures
from pima.training.results import Brief, NewVerdict
from pima.training.snapshot import ids_to_parquet, to_parquet
from pima.training.succession import succeed

ATTEMPTS_TO_DECIDE = 5


def decide_and_record(engine: Engine, case: Case, run_id: int, still_ours: Callable[[Connection], None]) -> NewVerdict:
    """Judge against the champion as it is, and write version, verdict and pointer in one transaction.

    `still_ours` is asked inside it and raises where another retraining has taken over. Raises ChampionKeepsMoving.
    """
    for _ in range(ATTEMPTS_TO_DECIDE):
        judgement = judge(engine, case)
        with writing(engine) as connection:
            if registry.lock_champion(connection).sequence != judgement.champion.sequence:
                continue
            still_ours(connection)
            number = registry.add_version(connection, _new_version(case, run_id, judgement.verdict))
            _record(connection, case, run_id, judgement, number)
            _keep_lineage(connection, case, number)
        return announce(judgement, number)
    raise ChampionKeepsMoving(attempts=ATTEMPTS_TO_DECIDE)


def announce(judgement: Judgement, number: int | None) -> NewVerdict:
    """The verdict as the run's result, said in the log too; `number` is None in a dry run."""
    verdict = judgement.verdict
    log = get_logger().error if verdict.reason is Reason.CHAMPION_UNLOADABLE else get_logger().info
    brief = Brief.of(judgement.evidence)
    log("verdict", explanation=verdict.sentence, challenger=number, **as_json(brief))
    return NewVerdict.of(verdict, brief, judgement.champion.model_version, number)


def _new_version(case: Case, run_id: int, verdict: Verdict) -> NewVersion:
    history, challenger = case.history, case.challenger
    first, last = history.labelled_between_ms
    return NewVersion(
        run_id=run_id,
        keras_artifact=challenger.artifacts.keras,
        keras_sha256=challenger.artifacts.keras_sha256,
        compiled_artifact=challenger.artifacts.compiled,
        compiled_sha256=challenger.artifacts.compiled_sha256,
        threshold=challenger.scorer.threshold,
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
        reference=_reference(case),
    )


def _reference(case: Case) -> Any:
    """What the nights of this version are compared with, as JSON."""
    history, scorer = case.history, case.challenger.scorer
    rows = history.training.features
    probabilities = scorer.model.probabilities(rows)
    left = (history.labelled, history.rejected)
    return msgspec.to_builtins(reference_of(scorer.features, rows, probabilities, scorer.threshold, *left))


def _record(connection: Connection, case: Case, run_id: int, judgement: Judgement, number: int) -> None:
    champion, verdict = judgement.champion, judgement.verdict
    promoted = verdict.decision is Decision.PROMOTED
    if promoted:
        succeed(connection, champion, number)
    test_set = _test_set(case.history.holdout.rows(judgement.test_set))
    lineage.keep_test_set(connection, test_set)
    move = Move(
        verdict=verdict.decision,
        reason=verdict.reason,
        explanation=verdict.sentence,
        from_version=champion.model_version,
        to_version=number if promoted else champion.model_version,
        challenger=number,
        champion_sequence=champion.sequence,
        figures=verdict_figures(verdict) | {"window": case.gate.window, "test_set_rows": test_set.rows},
        run_id=run_id,
        decided_by="retrain",
        data_fingerprint=case.history.fingerprint,
        settings_fingerprint=case.gate_fingerprint,
        test_set_fingerprint=test_set.fingerprint,
        evidence=document(judgement.evidence),
    )
    registry.record_move(connection, move)


def _test_set(rows: Side) -> TestSet:
    times = rows.labelled_at_ms
    return TestSet(
        rows.fingerprint, rows.patient_ids.tolist(), len(rows), _moment(int(times.min())), _moment(int(times.max()))
    )


def _keep_lineage(connection: Connection, case: Case, number: int) -> None:
    snapshots, model_bytes = case.lineage.snapshots, case.lineage.model_bytes
    if snapshots == "off":
        lineage.drop_snapshots(connection)
    else:
        content = to_parquet(case.history.training, case.declared.names)
        kept = Snapshot(content, sha256_of(content), len(case.history.training))
        lineage.keep_snapshot(connection, number, kept)
    last_snapshots = snapshots if isinstance(snapshots, int) else 0
    lineage.prune(connection, last_snapshots, None if model_bytes == "all" else model_bytes)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
