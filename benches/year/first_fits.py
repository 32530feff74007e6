"""First fits of many histories, by the network itself and without the commands: how far the mean of
its predictions is from the prevalence of the rows that it has learned from."""

import tempfile
from functools import cache, partial
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np

from benches.year.hospital import write_settings
from benches.year.population import CLINICS, HORIZON_DAYS, visits_of
from pima.core.declared.features import Features
from pima.model.recipes import recipe_for
from pima.settings.reading import declared, read_settings
from pima.settings.sections import HoldoutSettings
from pima.train.fit import training_extra

HISTORIES = ("calm, 7 %", "calm, 35 %")
_FIRST_SEED = 2_000


def ratio(name: str, seed: int) -> float:
    """Of a first fit on one history of a clinic of CLINICS."""
    with training_extra():
        from pima.model.network import TrainingData, fit

    clinic = next(each for each in CLINICS if each.name == name)
    visits = visits_of(clinic, 1, _FIRST_SEED + seed)
    is_learned_from = np.random.default_rng(seed).random(len(visits.day)) >= HoldoutSettings().share
    is_learned_from &= visits.day + HORIZON_DAYS <= 0
    rows = visits.recorded[is_learned_from].astype(np.float32)
    data = TrainingData(rows, visits.outcome[is_learned_from])
    features = _features(name)
    model = fit(recipe_for("five_seeds", features), features, data, seed)
    return float(np.asarray(model(rows), dtype=np.float64).mean() / data.outcomes.mean())


@cache
def _features(name: str) -> Features:
    clinic = next(each for each in CLINICS if each.name == name)
    with tempfile.TemporaryDirectory() as folder:
        path = write_settings(Path(folder), clinic, has_horizon=True)
        return declared(path, read_settings(path, {})).features


def ratios(pool: Pool, histories: int) -> dict[str, list[float]]:
    """Of so many histories of each clinic of HISTORIES."""
    return {name: pool.map(partial(ratio, name), range(histories)) for name in HISTORIES}
