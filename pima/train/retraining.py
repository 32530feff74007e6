"""The weekly job, as a table of contents: from the labelled history to a verdict, and what is left
beside it.

Read once, split, fit, export, reload what was exported, judge both models on the same rows now, and
write version, verdict and (only if it won) the champion's pointer in one transaction.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration, names_of, same_measurements
from pima.core.nights.kinds import FOLLOWED_UP
from pima.core.outcomes.followed_up import follow_up_in_words
from pima.core.outcomes.horizon import NEVER_PREDICTED
from pima.core.rows.hindsight import COUNTED_WEEKS, Corrections, corrections
from pima.core.rows.history import MOST_TWINS, UNCLAIMED, Split, as_predicted_on, shortage, split
from pima.errors import ChampionKeepsMoving, HardlyFollowedUp, Interrupted, TooFewLabels
from pima.model.network_file import recipe_asked_for
from pima.model.recipes import Recipe
from pima.report.making import leave_report
from pima.runs.lease import HeldLease, only_one
from pima.runs.recorded_run import INLINED, OpenRun
from pima.runs.stop_request import StopRequest
from pima.settings.reading import SHIPPED, require_score_to_beat
from pima.settings.sections import Settings
from pima.store.engine import clock, reading, without_time_limit
from pima.store.models.registry import (
    HoldoutRule,
    holdout_rule,
    read_champion,
    require_same_holdout,
)
from pima.store.rows.histories import labelled_history, predicted_in_time, predicted_on
from pima.store.rows.settling import settling
from pima.store.service.leases import RETRAINING
from pima.train.fit import fit_challenger
from pima.train.gate import EarlierVerdict, GateInput, earlier_verdict, gate_fingerprint, judge
from pima.train.ledger import NewVerdict, announce, leave_gain_on_line, record
from pima.train.newest_weeks import all_or_newest
from pima.watch.realised import leave_counts, leave_realised

ATTEMPTS_TO_DECIDE = 5


@dataclass(frozen=True, slots=True)
class HistoryRows:
    """The numbers of labelled rows."""

    training_rows: int
    """Rows that a model may learn from."""
    holdout_rows: int
    """Rows that models are judged on, all of them or the recent ones."""
    left_out: Mapping[str, int]
    corrected: Corrections
    """Rows that were corrected after their prediction."""
    twins_kept: int = 0
    """Training rows that equal a holdout row, kept since there are so many that equality says
    nothing."""
    followed_up: str | None = None
    """How many rows are followed up, in words; None without a horizon."""
    newest_weeks: int | None = None
    """The newest weeks, which alone are learned from; None if all rows are."""


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """The result of a retraining so far; the fields of its two parts are the keys of the run's
    JSON."""

    rows: HistoryRows = field(metadata=INLINED)
    verdict: NewVerdict | EarlierVerdict | None = field(default=None, metadata=INLINED)
    """The verdict; None until the gate has decided."""


def retrain(
    engine: Engine,
    settings: Settings,
    folder: Path,
    declared: Declaration,
    opened: AbstractContextManager[OpenRun],
    stop: StopRequest,
    dry_run: bool,
) -> OpenRun:
    """Retrain once, within a run; report the rows and then the verdict. A dry run decides, but
    writes nothing except its run. `folder` is that of the settings.

    What a retraining leaves beside its verdict, before the run is closed: each version's figures
    over the newest outcomes, the champion's gain on a straight line, and a report.

    Raises WrongConfiguration, OwnNetworkRefused, TooFewLabels, LeaseHeld, ChampionKeepsMoving,
    ExtraMissing; Interrupted, before anything is written.
    """
    with opened as run:
        recipe = recipe_asked_for(settings.retrain, folder, declared.features)
        with reading(engine) as connection:
            has_champion = read_champion(connection).model_version is not None
        if not has_champion:  # beside a champion the score may have been given up
            require_score_to_beat(settings, names_of(declared.present_scores))
            if not dry_run:
                # Scoring counts beside a champion alone, and what follows may be refused.
                leave_counts(engine)
        lease_of_its_own: AbstractContextManager[HeldLease | None] = nullcontext()
        if not dry_run:  # which changes nothing and needs no lease
            lease_of_its_own = only_one(engine, RETRAINING, run.id, settings.retrain.lease_seconds)
        with lease_of_its_own as lease:
            corrected = _judged(engine, settings, recipe, declared, run, stop, lease)
            if not dry_run:
                # The verdict is on record, and a stop from here on takes nothing back.
                with suppress(Interrupted), stop.at_once():
                    leave_realised(engine, run.id, corrected)
                    leave_gain_on_line(engine, run.id)
                    leave_report(engine, settings, run)
    return run


def _judged(
    engine: Engine,
    settings: Settings,
    recipe: Recipe,
    declared: Declaration,
    run: OpenRun,
    stop: StopRequest,
    lease: HeldLease | None,
) -> Corrections:
    """Report rows and verdict, and return the rows' corrections."""
    with stop.at_once():
        history, holdout, read_at = read_history(engine, settings, declared)
        rows = _counted(history)
        run.report(RetrainResult(rows))
        if FOLLOWED_UP in rows.left_out and not rows.training_rows + rows.holdout_rows:
            raise HardlyFollowedUp(what=rows.followed_up)
        lacking = shortage(
            history, settings.retrain.minimum_labels, settings.retrain.minimum_of_each_class
        )
        if lacking is not None:
            raise TooFewLabels(what=lacking)
        asked_for = gate_fingerprint(settings, recipe, declared.features, declared.dividing)
        earlier = earlier_verdict(engine, history, asked_for)
        if earlier is not None:
            run.report(RetrainResult(rows, earlier))
            return rows.corrected
    # The fit calls stop.check at points of its own: a signal must not raise inside TensorFlow's
    # native code.
    history = all_or_newest(history, settings.retrain, recipe, declared.features, stop.check)
    rows = _counted(history)
    challenger = fit_challenger(history, settings, recipe, declared.features, stop.check)
    stop.check()
    asked = GateInput(
        history=history,
        holdout_rule=holdout,
        read_at=read_at,
        declared=declared,
        recipe=recipe,
        challenger=challenger,
        settings=settings,
    )
    still_ours: Callable[[Connection], None] | None = None
    if lease is not None:
        still_ours = lease.require
    verdict = decide_and_record(engine, asked, run.id, still_ours)
    run.report(RetrainResult(rows, verdict))
    return rows.corrected


def _counted(history: Split) -> HistoryRows:
    return HistoryRows(
        training_rows=len(history.training),
        holdout_rows=len(history.holdout),
        left_out=history.left_out,
        corrected=history.corrections,
        twins_kept=history.twins_kept,
        followed_up=history.followed_up,
        newest_weeks=history.newest_weeks,
    )


def read_history(
    engine: Engine, settings: Settings, declared: Declaration
) -> tuple[Split, HoldoutRule, datetime]:
    """Read the settled rows as they were predicted on, validated and split into training and
    holdout; also return the rule that split them and the time of the reading, by the database's
    clock.

    Raises WrongConfiguration if the settings name another holdout than the database was made with.
    """
    with reading(engine) as connection:
        holdout = holdout_rule(connection)
        require_same_holdout(holdout, settings.holdout)
        without_time_limit(connection)  # which rows were corrected is asked of all predictions
        read_at = clock(connection)
        rule = settling(connection, declared.outcome, read_at)
        labelled, acted_upon, unsettled = labelled_history(connection, declared, holdout, rule)
        # Read after the rows: the former values of one that is corrected meanwhile are kept by now.
        then, not_kept = predicted_on(connection, declared.columns, declared.outcome)
        in_time = predicted_in_time(connection, declared.outcome, read_at)
    labelled[UNCLAIMED] = ~labelled.index.isin(in_time.index)
    settled, today = as_predicted_on(labelled, then)
    # Drift compares them with nights, which know no later values either.
    acted_upon, _ = as_predicted_on(acted_upon, then)
    # A feature that was retired no longer counts.
    since = read_at - timedelta(weeks=COUNTED_WEEKS)
    corrected = corrections(settled, today, declared.names, in_time, since, not_kept)
    if declared.outcome.learn_from == "predicted":
        unsettled[NEVER_PREDICTED] = int(settled[UNCLAIMED].sum())
        settled = settled[~settled[UNCLAIMED]]
        acted_upon = acted_upon[acted_upon.index.isin(in_time.index)]
    # The shipped measurements are so fine that equal ones mean the same person, however many there
    # are.
    most_twins = MOST_TWINS
    if same_measurements(declared.features, SHIPPED.features):
        most_twins = math.inf
    history = split(settled, declared.features, most_twins, today)
    followed_up = None
    if declared.outcome.horizon is not None:
        followed_up = follow_up_in_words(rule.follow_up)
    found = replace(
        history,
        left_out=dict(+Counter(history.left_out | unsettled)),
        horizon=declared.outcome.horizon,
        corrections=corrected,
        followed_up=followed_up,
        acted_upon=split(acted_upon, declared.features, most_twins).training,
    )
    return found, holdout, read_at


def decide_and_record(
    engine: Engine, asked: GateInput, run_id: int, still_ours: Callable[[Connection], None] | None
) -> NewVerdict:
    """Judge against the current champion and record the verdict; judge again if the champion has
    moved meanwhile.

    `still_ours` raises if another retraining has taken over; it is None in a dry run, which records
    nothing. Raises ChampionKeepsMoving.
    """
    for _ in range(ATTEMPTS_TO_DECIDE):
        judgement = judge(engine, asked)
        if still_ours is None:
            return announce(judgement, None)
        number = record(engine, asked, judgement, run_id, still_ours)
        if number is not None:
            return announce(judgement, number)
    raise ChampionKeepsMoving(attempts=ATTEMPTS_TO_DECIDE)
