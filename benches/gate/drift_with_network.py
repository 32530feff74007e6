"""What straight lines say of newest weeks, by pima's own code: its choice of weeks and its network,
at the last of the weeks followed."""

import numpy as np
import pandas as pd

from benches.gate.drift import FOLLOWED, HORIZON, INPUTS, Life, Moves, Rows, life, lost
from benches.gate.settled import Clinic
from pima.core.arrays import Float32Array, Float64Array
from pima.core.declared.features import Feature, names_of
from pima.core.rows.history import Split, features_of
from pima.logs import quiet_native_code
from pima.model.recipes import never, recipe_for
from pima.settings.sections import RetrainSettings
from pima.train.fit import training_extra
from pima.train.newest_weeks import all_or_newest
from tests.support.labelled import labelled

_FEATURES = tuple(Feature(f"input_{n}", low=-9, high=9) for n in range(INPUTS))
_RECIPE = recipe_for("five_seeds", _FEATURES)
_DAY_MS = 86_400_000


def lost_by_network(clinic: Clinic, moves: Moves, seed: int) -> tuple[float, float]:
    """What the network loses beside the truth that learned from all rows, and that learned as
    `retrain` does."""
    lived = life(clinic, moves, seed)
    settled, _ = lived.settled(FOLLOWED - 1)
    training = _training(settled, lived.a_day)
    none = training[:0]
    history = Split(training, none, {}, horizon=f"{HORIZON} days", acted_upon=none)
    chosen = all_or_newest(history, RetrainSettings(), _RECIPE, _FEATURES, never)
    of_all = _lost(history, lived)
    return of_all, of_all if chosen is history else _lost(chosen, lived)


def _training(rows: Rows, a_day: int) -> pd.DataFrame:
    days = np.arange(len(rows.outcomes)) // a_day
    names = names_of(_FEATURES)
    found = labelled(
        rows.columns[:, 1:], rows.outcomes, "", 0.0, names=names, labelled_at_ms=days * _DAY_MS
    )
    return found.astype(dict.fromkeys(names, "float32"))


def _lost(history: Split, lived: Life) -> float:
    with training_extra(), quiet_native_code():
        from pima.model.network import TrainingData, fit

        learned = TrainingData(
            features_of(history.training), history.training["outcome"].to_numpy()
        )
        model = fit(_RECIPE, _FEATURES, learned, 1)
    said = _probabilities(model(lived.fresh[:, 1:].astype(np.float32)))
    return lost(np.log(said / (1 - said)), lived.true(FOLLOWED - 1))


def _probabilities(found: Float32Array) -> Float64Array:
    return np.asarray(found, np.float64)[:, 0]
