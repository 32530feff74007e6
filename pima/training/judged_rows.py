"""Which holdout rows a verdict is given on: of those that the champion can't have learned from, the recent ones.

The champion's own training rows tell, by id, by person and, where they are kept, by features. None of these asks when
a row or a version came.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.arrays import BoolArray, Float32Array
from pima.core.contest import Window, in_window
from pima.core.digest import sha256_of
from pima.core.features import names_of
from pima.core.history import Learned, Side, Split, unseen_by
from pima.core.holdout import ranked
from pima.errors import NoSuchVersion
from pima.logs import get_logger
from pima.settings.sections import GateSettings
from pima.store import lineage, registry
from pima.store.declarations import as_features
from pima.store.engine import reading
from pima.store.histories import keys_of
from pima.store.installation import HoldoutRule
from pima.store.registry import VersionSummary
from pima.training.snapshot import from_parquet, ids_from_parquet


@dataclass(frozen=True, slots=True)
class AsRead:
    """What was read beside the rows of a history, in the same transaction."""

    time: datetime
    """The database's."""
    holdout: HoldoutRule
    """By which the history was split."""


def rows_to_judge(holdout: Side, for_both: BoolArray | None, gate: GateSettings, now: datetime) -> BoolArray:
    """Which of the holdout rows are the test set at this moment, (n,); none but those `for_both`, where given."""
    recent = Window(gate.window_weeks, gate.window_minimum_rows, gate.window_maximum_rows)
    eligible = np.ones(len(holdout), dtype=bool) if for_both is None else for_both
    times = holdout.labelled_at_ms[eligible]
    test_set = eligible.copy()
    test_set[eligible] = in_window(times, None if gate.window == "all" else recent, int(now.timestamp() * 1000))
    return test_set


def unseen_rows(engine: Engine, history: Split, taken: Float32Array, as_read: AsRead, number: int) -> BoolArray | None:
    """Which of the holdout rows version `number` can't have learned from, (n,); None where these are all of them.

    `taken` are the rows' features as that version takes them. A holdout row was kept from it by the hash; but a patient
    may have been entered again since, under an id that is in the holdout. Where so many rows are twins that they stay
    in training, equal features are no reason here either.
    """
    with reading(engine) as connection:
        learned = _learned(connection, number, as_read.holdout.salt)
    unseen = unseen_by(learned, history.holdout, taken, by_features=not history.equal_says_nothing)
    return None if unseen.all() else unseen


def _learned(connection: Connection, number: int, salt: str) -> Learned:
    version, ids = registry.read_version(connection, number), registry.training_ids(connection, number)
    if version is None or ids is None:
        raise NoSuchVersion(number=number)
    rows = _snapshot(connection, version)
    learned_ids = ids_from_parquet(ids) if rows is None else rows.patient_ids
    keys = keys_of(connection, learned_ids)
    return Learned(learned_ids, None if rows is None else rows.features, None if keys is None else ranked(keys, salt))


def _snapshot(connection: Connection, version: VersionSummary) -> Side | None:
    snapshot = lineage.read_snapshot(connection, version.number)
    if snapshot is None:
        return None
    if sha256_of(snapshot.content) != snapshot.sha256:
        get_logger().warning("a training snapshot is damaged and was not used", model_version=version.number)
        return None
    return from_parquet(snapshot.content, names_of(as_features(version.features)))
