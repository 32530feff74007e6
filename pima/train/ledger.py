"""The ledger: verdicts and people's decisions, each written once with all that it rests on, and the
champion moved.

Each decision by a person (to promote, roll back, suspend, pin or unpin) is one transaction and one
row, with who and why.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import msgspec
import pandas as pd
from msgspec import structs
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pima.core.nights.drift import Reference, reference_of
from pima.core.nights.kinds import GAIN_ON_LINE, Kind, State, Watched
from pima.core.nights.people import inputs_of
from pima.core.rows.history import features_of, fingerprint_of
from pima.core.statistics.estimates import Estimate
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import document
from pima.core.verdicts.gate import Verdict
from pima.core.verdicts.pairs import PairEvidence
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.verdict import VerdictFigures
from pima.errors import NoSuchVersion, NothingToRollBackTo, WrongUsage
from pima.logs import get_logger
from pima.model.recipes import fit_fingerprint, library_versions, settings_of_fit
from pima.runs.recorded_run import INLINED, never_failing
from pima.scorer import load_scorer
from pima.store.database import database_now
from pima.store.engine import reading, without_time_limit, writing
from pima.store.models import beside_verdicts, lineage, registry
from pima.store.models.beside_verdicts import TestSet
from pima.store.models.ledger import last_verdicts, list_moves, record_move, version_before
from pima.store.models.lineage import ids_to_parquet, to_parquet
from pima.store.models.registry import (
    Champion,
    NewVersion,
    as_stored,
    newest_declaration,
    sha256_of,
)
from pima.store.rows import queue
from pima.store.service.monitoring import keep_figures
from pima.train.gate import GateInput, Judgement, gate_fingerprint


def record(
    engine: Engine,
    asked: GateInput,
    judgement: Judgement,
    run_id: int,
    still_ours: Callable[[Connection], None],
) -> int | None:
    """Write version, verdict and, if it won, the champion's pointer in one transaction; return the
    version's number.

    Returns None and writes nothing if the champion has moved since the verdict, as by a person's
    rollback. `still_ours` is called within the transaction and raises if another retraining has
    taken over.
    """
    champion = judgement.champion
    verdict = judgement.verdict
    version = _new_version(asked, run_id, verdict)
    test_set = _test_set(judgement.test_set)
    learned = msgspec.convert(version.reference, Reference).features
    judged = features_of(judgement.test_set)
    inputs = dict(inputs_of(asked.challenger.scorer.features, learned, judged))
    with writing(engine) as connection:
        if registry.lock_champion(connection).sequence != judgement.champion.sequence:
            return None
        still_ours(connection)
        number = registry.add_version(connection, version)
        to_version = champion.model_version
        if verdict.decision is Decision.PROMOTED:
            to_version = number
            make_champion(connection, champion, number)
        beside_verdicts.keep_test_set(connection, test_set)
        record_move(
            connection,
            champion,
            to_version,
            verdict=verdict.decision,
            reason=verdict.reason,
            explanation=verdict.sentence,
            decided_by="retrain",
            challenger=number,
            figures=verdict.figures,
            run_id=run_id,
            data_fingerprint=asked.history.fingerprint,
            settings_fingerprint=gate_fingerprint(
                asked.settings, asked.recipe, asked.declared.features, asked.declared.dividing
            ),
            test_set_fingerprint=test_set.fingerprint,
            evidence=document(structs.replace(judgement.evidence, inputs=inputs)),
        )
        _keep_lineage(connection, asked, number)
    return number


def _new_version(asked: GateInput, run_id: int, verdict: Verdict) -> NewVersion:
    history = asked.history
    challenger = asked.challenger
    scorer = challenger.scorer
    labelled_at = pd.concat([history.training["labelled_at"], history.holdout["labelled_at"]])
    # A night has rows that will be acted upon, too.
    rows = features_of(pd.concat([history.training, history.acted_upon]))
    probabilities = scorer.model.probabilities(rows)
    metrics: dict[str, object] = {
        "holdout": None,
        "parity": asdict(challenger.parity),
        "corrected": asdict(history.corrections),
    }
    if verdict.figures.challenger_scores is not None:
        metrics["holdout"] = asdict(verdict.figures.challenger_scores)
    if history.twins_kept:
        metrics["twins_kept"] = history.twins_kept
    persons = history.training["Person"].dropna()
    if len(persons):
        metrics["persons"] = {"rows": len(persons), "persons": persons.nunique()}
    reference = reference_of(
        scorer.features,
        rows,
        probabilities,
        scorer.threshold,
        history.labelled,
        history.rejected,
        history.training["outcome"].to_numpy(),
    )
    return NewVersion(
        run_id=run_id,
        keras_artifact=challenger.artifacts.keras,
        keras_sha256=sha256_of(challenger.artifacts.keras),
        compiled_artifact=challenger.artifacts.compiled,
        compiled_sha256=sha256_of(challenger.artifacts.compiled),
        threshold=scorer.threshold,
        seed=challenger.seed,
        settings=settings_of_fit(asked.settings, asked.recipe),
        libraries=library_versions(),
        data_fingerprint=history.fingerprint,
        settings_fingerprint=fit_fingerprint(asked.settings, asked.recipe, asked.declared.features),
        training_rows=len(history.training),
        holdout_rows=len(history.holdout),
        rows_left_out=history.left_out,
        first_labelled_at=labelled_at.min(),
        last_labelled_at=labelled_at.max(),
        metrics=metrics,
        features=as_stored(asked.declared.features),
        training_ids=ids_to_parquet(history.training.index.to_numpy()),
        reference=msgspec.to_builtins(reference),
    )


def _test_set(rows: pd.DataFrame) -> TestSet:
    labelled_at = rows["labelled_at"]
    return TestSet(
        fingerprint_of(rows), rows.index.tolist(), len(rows), labelled_at.min(), labelled_at.max()
    )


def _keep_lineage(connection: Connection, asked: GateInput, number: int) -> None:
    kept = asked.settings.lineage
    if kept.snapshots == "off":
        lineage.drop_snapshots(connection)
    else:
        rows = asked.history.training
        lineage.keep_snapshot(connection, number, to_parquet(rows), len(rows))
    last_snapshots = 0
    if isinstance(kept.snapshots, int):
        last_snapshots = kept.snapshots
    last_bytes = None
    if kept.model_bytes != "all":
        last_bytes = kept.model_bytes
    lineage.prune(connection, last_snapshots, last_bytes)


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """A verdict that the gate gave in this run."""

    verdict: str
    reason: str
    explanation: str
    champion_before: int | None
    """The version that the challenger was judged against; None if there was none."""
    challenger: int | None
    """Its version's number; None in a dry run, which stores none."""
    judged_before: bool = field(default=False, init=False)
    figures: VerdictFigures = field(metadata=INLINED)
    auroc: float | None
    """How well the challenger tells cases from others: 0.5 is chance, 1 is best; None if there is
    no evidence."""
    calibration_slope: float | None
    """1 is best; below it the challenger's probabilities are too extreme; None if there is no
    evidence."""


def announce(judgement: Judgement, number: int | None) -> NewVerdict:
    """Log the verdict, and return it as the run's result with two rounded figures of its evidence.
    `number` is None in a dry run."""
    verdict = judgement.verdict
    found = judgement.evidence.of(Role.CHALLENGER)
    auroc = slope = None
    if found is not None:
        auroc = _rounded(found.auroc)
        slope = _rounded(found.calibration_slope)
    log = get_logger().info
    if verdict.reason is Reason.CHAMPION_UNLOADABLE:
        log = get_logger().error
    log(
        "verdict",
        explanation=verdict.sentence,
        challenger=number,
        auroc=auroc,
        calibration_slope=slope,
    )
    return NewVerdict(
        verdict=verdict.decision,
        reason=verdict.reason,
        explanation=verdict.sentence,
        champion_before=judgement.champion.model_version,
        challenger=number,
        figures=verdict.figures,
        auroc=auroc,
        calibration_slope=slope,
    )


def _rounded(figure: Estimate) -> float | None:
    return None if figure.value is None else round(figure.value, 3)


def leave_gain_on_line(engine: Engine, run_id: int) -> None:
    """Store how the champion stood beside a straight line in its newest verdicts, for this run."""
    with never_failing(), writing(engine) as connection:
        champion = registry.read_champion(connection).model_version
        pairs: list[PairEvidence] = []
        for each in last_verdicts(connection, VERDICTS_IN_A_ROW):
            found = beside_verdicts.evidence_beside(connection, each)
            if found is not None and each.from_version == champion:
                beside = found.shown_pairs(Role.CHAMPION)
                pairs += [pair for pair in beside if pair.role is Role.STRAIGHT_LINE]
        if champion is not None and pairs:
            keep_figures(connection, run_id, champion, Kind.LINE, [gain_on_line(pairs)])


VERDICTS_IN_A_ROW = 3
"""In so many of its verdicts the champion must be clearly worse for an alarm."""


def gain_on_line(newest: Sequence[PairEvidence]) -> Watched:
    """The champion's gain over a straight line, from its newest `VERDICTS_IN_A_ROW` verdicts or
    fewer, at least one, newest first."""
    state = State.USUAL
    if [each.clearly_better for each in newest] == [True] * VERDICTS_IN_A_ROW:
        state = State.ALERT
    gain = newest[0].log_loss_gain
    rows = newest[0].rows
    return Watched("", GAIN_ON_LINE, gain.value, rows, state=state, low=gain.low, high=gain.high)


def make_champion(connection: Connection, before: Champion, number: int, **stop: object) -> None:
    """Make a version champion; the caller holds the lock and has read `before` under it.

    If the new champion judges rows by other rules, rejected rows wait again, so that the new rules
    decide about each.
    """
    registry.set_champion(connection, number, before.pinned, **stop)
    if before.model_version is None:
        return
    declared = newest_declaration(connection)
    new = declared.rules_for(registry.features_of(connection, number))
    try:
        old = declared.rules_for(registry.features_of(connection, before.model_version))
    except (ValueError, DBAPIError, msgspec.ValidationError, KeyError):
        # Damaged: no JSON, no UTF-8 (a lost connection fails again below), no features, or such as
        # nobody declared.
        old = ()
    # The order of the rules does not matter.
    if {rule.name: rule for rule in old} != {rule.name: rule for rule in new}:
        without_time_limit(connection)
        skipped = queue.requeue_rejected(connection).skipped
        if skipped:
            get_logger().warning(
                "rejected rows that others are changing wait for `python -m jobs.requeue "
                "--rejected`",
                rows=skipped,
            )


@dataclass(frozen=True, slots=True)
class Decider:
    """The person who decides, and why."""

    name: str
    reason: str


def promote(engine: Engine, number: int, decider: Decider) -> Champion:
    """Make a version champion by hand, which ends a stop. Raises NoSuchVersion or ArtifactDamaged,
    with the pointer left as it is."""
    _require_loadable(engine, number)
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        if before.model_version == number and before.suspended_at is None:
            raise WrongUsage(
                what=f"Model version {number} is the champion already; nothing was changed."
            )
        make_champion(connection, before, number, suspended_at=None)
        return _record_move(connection, "promoted_by_hand", before, number, decider)


def roll_back(engine: Engine, decider: Decider, only_from: int | None = None) -> dict[str, object]:
    """Go back to the version that the champion replaced; with `only_from` nothing is done unless
    that is the champion.

    Returns the pointer. If it was moved, also the champion before and the time of the move before,
    by which a person sees that this rollback was one too many. Raises NothingToRollBackTo or
    ArtifactDamaged.
    """
    with reading(engine) as connection:
        seen = registry.read_champion(connection)
        if only_from not in (None, seen.model_version):
            get_logger().info(
                "nothing was done, since another version is champion", champion=seen.model_version
            )
            return asdict(seen)
        moves = list_moves(connection)
        target = None
        if seen.model_version is not None:
            target = version_before(connection, seen.model_version)
    if target is None:
        raise NothingToRollBackTo()
    _require_loadable(engine, target)
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        if before.sequence != seen.sequence:
            what = (
                f"The champion changed to version {before.model_version} meanwhile. Look again, "
                "then decide."
            )
            raise WrongUsage(what=what)
        make_champion(connection, before, target)
        after = _record_move(connection, "rolled_back", before, target, decider)
    moved_at = next(each.decided_at for each in moves if each.from_version != each.to_version)
    return asdict(after) | {"from_version": before.model_version, "last_moved_at": moved_at}


def pin(engine: Engine, pinned: bool, decider: Decider) -> Champion:
    """Pin or unpin the champion; while it is pinned, retraining still records its verdicts."""
    verdict = "pinned" if pinned else "unpinned"
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        registry.set_champion(connection, before.model_version, pinned)
        return _record_move(connection, verdict, before, before.model_version, decider)


def suspend(engine: Engine, decider: Decider) -> Champion:
    """Stop the champion until a person promotes a version: nothing is scored, runs under way end
    before their next batch, and rows wait. Raises WrongUsage if there is nothing to stop."""
    with writing(engine) as connection:
        before = registry.lock_champion(connection)
        if before.model_version is None:
            raise WrongUsage(what="There is no champion to suspend; nothing was changed.")
        if before.suspended_at is not None:
            since = f"{before.suspended_at:%Y-%m-%d %H:%M} UTC"
            what = f"The champion is suspended since {since} already; nothing was changed."
            raise WrongUsage(what=what)
        stop = {"suspended_at": database_now(), "last_stop": before.sequence + 1}
        registry.set_champion(connection, before.model_version, before.pinned, **stop)
        return _record_move(connection, "suspended", before, before.model_version, decider)


def _require_loadable(engine: Engine, number: int) -> None:
    with reading(engine) as connection:
        if number not in registry.numbers(connection):
            raise NoSuchVersion(number=number)
    load_scorer(engine, number)


def _record_move(
    connection: Connection, verdict: str, before: Champion, to: int | None, decider: Decider
) -> Champion:
    record_move(
        connection,
        before,
        to,
        verdict=verdict,
        reason="by_hand",
        explanation=decider.reason,
        decided_by=decider.name,
    )
    return registry.read_champion(connection)
