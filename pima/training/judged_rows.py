"""Which holdout rows a verdict is given on: of those that the champion can't have learned from, the recent ones.

The champion's own training rows tell, by id, by person and by features, or, where only their ids are kept, those and
the salted hash under the share that it was fitted under. Neither asks when a row or a version came, so it does not
matter whether a retraining began before the share was changed and recorded its version after.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.arrays import BoolArray, Float32Array, Int64Array
from pima.core.digest import sha256_of
from pima.core.features import names_of
from pima.core.history import Side, Split
from pima.core.learned import Learned, unseen_by
from pima.core.row_keys import WHOLE_TABLE, ranked
from pima.core.window import Window, in_window
from pima.logs import get_logger
from pima.settings import GateSettings
from pima.store import lineage, registry
from pima.store.declarations import as_features
from pima.store.engine import reading
from pima.store.generations import Generation
from pima.store.histories import count_without_trace, keys_of
from pima.store.registry import VersionSummary
from pima.training.snapshot import from_parquet, ids_from_parquet


@dataclass(frozen=True, slots=True)
class AsRead:
    """What was read beside the rows of a history, in the same transaction."""

    time: datetime
    """The database's."""
    salt: str
    generation: Generation
    """Of the holdout; the history was split by its share."""


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

    `taken` are the rows' features as that version takes them. Where so many rows are twins that they stay in training,
    equal features are no reason here either.

    Under the same share too a row may have been among its training rows: a patient who was entered again since, under
    an id that is in the holdout.
    """
    with reading(engine) as connection:
        learned = _learned(connection, number, as_read, has_keys=history.holdout.ranked is not None)
    if (
        learned.features is None
        and history.holdout.ranked is None
        and learned.holdout_share == as_read.generation.share
    ):
        return None  # the hash has split these rows already
    unseen = unseen_by(learned, history.holdout, taken, as_read.salt, not history.equal_says_nothing)
    return None if unseen.all() else unseen


def _learned(connection: Connection, number: int, as_read: AsRead, has_keys: bool) -> Learned:
    version = registry.read_version(connection, number)
    if version is None:
        return Learned(0.0)
    share = version.settings.get("holdout_share", 0.0)
    rows, ids = _snapshot(connection, version), registry.training_ids(connection, number)
    learned_ids = rows.patient_ids if rows is not None else None if ids is None else ids_from_parquet(ids)
    if learned_ids is None and has_keys and version.holdout_generation != as_read.generation.number:
        return Learned(0.0)  # under which names rows were kept from it, nobody knows any more
    keys = None if learned_ids is None else keys_of(connection, learned_ids)
    features = None if rows is None else rows.features
    left_no_trace = has_keys and learned_ids is not None and _left_no_trace(connection, learned_ids)
    return Learned(share, learned_ids, features, None if keys is None else ranked(keys, as_read.salt), left_no_trace)


def _left_no_trace(connection: Connection, ids: Int64Array) -> bool:
    return count_without_trace(connection, ids) >= WHOLE_TABLE * len(ids)


def _snapshot(connection: Connection, version: VersionSummary) -> Side | None:
    snapshot = lineage.read_snapshot(connection, version.number)
    if snapshot is None:
        return None
    if sha256_of(snapshot.content) != snapshot.sha256:
        get_logger().warning("a training snapshot is damaged and was not used", model_version=version.number)
        return None
    return from_parquet(snapshot.content, names_of(as_features(version.features)))
