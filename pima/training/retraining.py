"""The weekly job: from the labelled history to a verdict.

Read once, split, fit, export, reload what was exported, judge both models on the same rows now, and write version,
verdict and (only if it won) the champion's pointer in one transaction.
"""

import hashlib
import json
import math
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import Engine

from pima.core.digest import sha256_of
from pima.core.features import Declaration, Features, same_measurements
from pima.core.history import Split, shortage, split
from pima.core.reasons import Decision, Reason
from pima.core.twins import MOST_TWINS
from pima.declaring import SHIPPED
from pima.errors import TooFewLabels
from pima.logs import get_logger
from pima.model.libraries import Boundary, training_extra
from pima.model.recipes import inputs_of, recipe_for
from pima.process.leasing import HeldLease, only_one
from pima.process.recorded_run import OpenRun
from pima.process.results import as_json
from pima.process.stopping import StopRequest
from pima.scorer import Scorer
from pima.settings import RetrainSettings, Settings
from pima.store import registry
from pima.store.engine import clock, reading
from pima.store.histories import labelled_history
from pima.store.installation import holdout_rule, require_same_holdout
from pima.store.leases import RETRAINING
from pima.training.judged_rows import AsRead
from pima.training.judging import Case, Challenger, asks_for_log_loss, judge, load_champion
from pima.training.out_of_fold import threshold_of
from pima.training.recording import announce, decide_and_record
from pima.training.results import EarlierVerdict, HistoryRows, NewVerdict, RetrainResult


def retrain(
    engine: Engine, settings: Settings, declared: Declaration, run: OpenRun, stop: StopRequest, dry_run: bool
) -> None:
    """One retraining; reports its rows and then the verdict. A dry run decides and writes nothing but its run.

    Raises TooFewLabels, LeaseHeld, ChampionKeepsMoving, TrainingExtraMissing; Interrupted while nothing is written.
    """
    # A dry run changes nothing and needs no lease.
    alone = only_one(engine, RETRAINING, run.id, settings.retrain.lease_seconds)
    with nullcontext() if dry_run else alone as lease:
        with stop.at_once():
            history, as_read = read_history(engine, settings, declared)
            rows = HistoryRows.of(history)
            run.report(RetrainResult(rows))
            _tell_of_twins(rows)
            _require_enough(history, settings.retrain)
            earlier = _earlier_verdict(engine, history, settings, declared.features)
            if earlier is not None:
                run.report(RetrainResult(rows, earlier))
                return
            challenger = fit_challenger(history, settings, declared.features, stop.check)
            case = _case(history, as_read, settings, declared, challenger)
        run.report(RetrainResult(rows, _decide(engine, case, run.id, lease)))


def _decide(engine: Engine, case: Case, run_id: int, lease: HeldLease | None) -> NewVerdict:
    if lease is None:
        return announce(judge(engine, case), None)
    return decide_and_record(engine, case, run_id, lease.require)


def read_history(engine: Engine, settings: Settings, declared: Declaration) -> tuple[Split, AsRead]:
    """The labelled rows, validated and split into training and holdout, and what they were split by and when.

    Raises WrongConfiguration where the settings name another holdout than the database was made with.
    """
    with reading(engine) as connection:
        holdout = holdout_rule(connection)
        require_same_holdout(holdout, settings.holdout)
        as_read = AsRead(clock(connection), holdout)
        labelled = labelled_history(connection, declared.columns)
    # The shipped measurements are so fine that equal ones mean the same person, however many there are.
    most_twins = math.inf if same_measurements(declared.features, SHIPPED.features) else MOST_TWINS
    return split(labelled, declared.features, holdout.salt, holdout.share, most_twins), as_read


def _tell_of_twins(rows: HistoryRows) -> None:
    if rows.twins_kept:
        get_logger().warning(
            "rows with the features of a holdout row stay in training: they are so many that equal features say"
            " nothing of the person",
            twins_kept=rows.twins_kept,
            training_rows=rows.training_rows,
        )


def _require_enough(history: Split, settings: RetrainSettings) -> None:
    what = shortage(history, settings.minimum_labels, settings.minimum_of_each_class)
    if what is not None:
        raise TooFewLabels(what=what)


def _earlier_verdict(engine: Engine, history: Split, settings: Settings, features: Features) -> EarlierVerdict | None:
    """One look per data, settings and champion: running the job again on the same data cannot fish for luck.

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


def settings_of_fit(settings: Settings, features: Features) -> dict[str, Any]:
    """What, besides the data and the features' names, makes one fit differ from another."""
    return {
        "network": settings.retrain.network,
        "recipe": asdict(recipe_for(settings.retrain.network, features)),
        "threshold": settings.retrain.threshold,
        "holdout_share": settings.holdout.share,
    }


def fit_fingerprint(settings: Settings, features: Features) -> str:
    """sha256 over the settings of a fit."""
    return _fingerprint(_fit(settings, features))


def gate_fingerprint(settings: Settings, features: Features) -> str:
    """sha256 over the settings of a fit and of the gate: another question to the same data is another look."""
    gate = msgspec.structs.asdict(settings.gate) | {"log_loss_veto": asks_for_log_loss(settings.gate)}
    if settings.gate.subgroup_margin != "off":
        # Of other subgroups it is another question.
        gate["bands"] = {feature.name: feature.bands for feature in features if feature.bands}
    return _fingerprint(_fit(settings, features) | {"gate": gate})


def _fit(settings: Settings, features: Features) -> dict[str, Any]:
    recipe = recipe_for(settings.retrain.network, features)
    return settings_of_fit(settings, features) | {"features": inputs_of(recipe, features)}


def _fingerprint(settings: dict[str, Any]) -> str:
    return sha256_of(json.dumps(settings, sort_keys=True).encode())


def seed_of(history: Split, settings: RetrainSettings) -> int:
    """The fit's seed, from the data and the network's name: nobody picks it, and the same data give the same model."""
    digest = hashlib.sha256(f"{history.fingerprint} {settings.network}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def fit_challenger(history: Split, settings: Settings, features: Features, boundary: Boundary) -> Challenger:
    """Fit, export, and reload from the exported bytes, as scoring will. Raises TrainingExtraMissing, and what the
    boundary raises."""
    network, recipe = settings.retrain.network, recipe_for(settings.retrain.network, features)
    with training_extra():
        from pima.model.network import TrainingData, export, fit, library_versions, parity
    from pima.model.compiled import CompiledModel

    seed = seed_of(history, settings.retrain)
    told = {name: rows for name, rows in as_json(HistoryRows.of(history)).items() if rows}
    get_logger().info("fit started", network=network, seed=seed, **told)
    data = TrainingData(history.training.features, history.training.outcomes)
    artifacts = export(fit(recipe, features, data, seed, boundary))
    threshold = threshold_of(settings.retrain.threshold, recipe, features, data, seed, boundary)
    return Challenger(
        artifacts=artifacts,
        parity=parity(artifacts, history.holdout.features, features, threshold),
        scorer=Scorer(threshold, features, CompiledModel(artifacts.compiled)),
        seed=seed,
        settings=settings_of_fit(settings, features),
        settings_fingerprint=fit_fingerprint(settings, features),
        libraries=library_versions(),
    )


def _case(history: Split, as_read: AsRead, settings: Settings, declared: Declaration, challenger: Challenger) -> Case:
    return Case(
        history=history,
        declared=declared,
        as_read=as_read,
        challenger=challenger,
        gate=settings.gate,
        gate_fingerprint=gate_fingerprint(settings, declared.features),
        minimum_of_each_class=settings.retrain.minimum_of_each_class,
        lineage=settings.lineage,
    )
